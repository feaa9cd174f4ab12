"""What a Ray job is told: its command line, its environment, and where it is sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import InputError
from cluster.jobs import JobFailedError, connect, entrypoint, runtime_env


def test_the_job_gets_the_settings_but_not_the_pseudonym_key(settings):
    env = {"SHOPREEL_PSEUDONYM_KEY": "secret", "SHOPREEL_DATA": "/data", "HOME": "/root"}
    variables = runtime_env(settings, env, None)["env_vars"]
    assert variables["SHOPREEL_HOME"] == settings.storage_root
    assert variables["SHOPREEL_TRACKING_URI"] == settings.tracking_uri
    assert variables["SHOPREEL_DATA"] == "/data"
    assert variables["SHOPREEL_CODE_VERSION"]
    assert not {"SHOPREEL_PSEUDONYM_KEY", "HOME"} & variables.keys()


def test_the_job_gets_this_code_and_the_folder_to_run_in(settings, tmp_path):
    environment = runtime_env(settings, {}, tmp_path)
    assert [Path(module).name for module in environment["py_modules"]] == ["cluster", "trainables", "tuning", "serving"]
    assert all((Path(module) / "__init__.py").is_file() for module in environment["py_modules"])
    assert environment["working_dir"] == str(tmp_path)
    with pytest.raises(InputError, match="--working-dir .*nowhere is not a folder"):
        runtime_env(settings, {}, tmp_path / "nowhere")


def test_the_entrypoint_keeps_arguments_whole_in_a_shell(tmp_path):
    """A stand-in for the interpreter prints what it is called with."""
    line = entrypoint(["train", "generator", "--set", "network.widths=[16, 16]", "--run", "$HOME; it's"])
    echo = tmp_path / "python"
    echo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    line = line.replace(sys.executable, "/nowhere/python")  # not on this node: `python` of its PATH is taken
    done = subprocess.run(line, shell=True, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        *("-P", "-m", "cluster.cli.main", "train", "generator"),
        *("--set", "network.widths=[16, 16]", "--run", "$HOME; it's"),
    ]


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        pytest.param("ray://head:10001", InputError, "give the URL of the cluster's dashboard", id="not a URL"),
        pytest.param("http://127.0.0.1:9", JobFailedError, "no Ray cluster answers at http://127.0.0.1:9", id="silent"),
    ],
)
def test_an_address_without_a_cluster_is_refused(address, error, message):
    with pytest.raises(error, match=message):
        connect(address)
