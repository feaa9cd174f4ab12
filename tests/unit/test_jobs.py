"""What a Ray job is told: its command line, its environment, and where it is sent; and what is told of it."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ray.dashboard.modules.job.pydantic_models import JobDetails
from ray.job_submission import JobStatus
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.errors import InputError, NotFoundError
from cluster.job_client import JobFailedError, connect, headers_from
from cluster.jobs import entrypoint, find_job, follow_job, list_jobs, runtime_env


def test_the_job_gets_the_settings_but_no_key(settings):
    env = {"SHOPREEL_PSEUDONYM_KEY": "secret", "SHOPREEL_API_KEY": "secret", "SHOPREEL_DATA": "/data", "HOME": "/root"}
    variables = runtime_env(settings, env, None)["env_vars"]
    assert variables["SHOPREEL_HOME"] == settings.storage_root
    assert variables["SHOPREEL_TRACKING_URI"] == settings.tracking_uri
    assert variables["SHOPREEL_DATA"] == "/data"
    assert variables["SHOPREEL_CODE_VERSION"]
    assert not {"SHOPREEL_PSEUDONYM_KEY", "SHOPREEL_API_KEY", "HOME"} & variables.keys()


def test_the_job_gets_this_code_and_the_folder_to_run_in(settings, tmp_path):
    environment = runtime_env(settings, {}, tmp_path)
    assert [Path(module).name for module in environment["py_modules"]] == ["cluster", "trainables", "tuning", "serving"]
    assert all((Path(module) / "__init__.py").is_file() for module in environment["py_modules"])
    assert environment["working_dir"] == str(tmp_path)
    with pytest.raises(InputError, match="--working-dir .*nowhere is not a folder"):
        runtime_env(settings, {}, tmp_path / "nowhere")


@pytest.mark.parametrize("interpreter", ["/nowhere/python", "a folder/python"], ids=["of the node", "of this machine"])
def test_the_entrypoint_keeps_arguments_whole_in_a_shell(tmp_path, monkeypatch, interpreter):
    """A stand-in for the interpreter prints what it is called with; where it is not there, `python` of the PATH is."""
    for echo in (tmp_path / "python", tmp_path / "a folder" / "python"):
        echo.parent.mkdir(exist_ok=True)
        echo.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        echo.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / interpreter))
    line = entrypoint(["train", "generator", "--set", "network.widths=[16, 16]", "--run", "$HOME; it's"])
    done = subprocess.run(line, shell=True, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    taken = tmp_path / ("python" if interpreter.startswith("/") else interpreter)
    assert done.stdout.splitlines() == [
        *(str(taken), "-P", "-m", "cluster.cli.main", "train", "generator"),
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


def test_a_job_in_an_image_brings_its_own_code(settings, tmp_path):
    environment = runtime_env(settings, {}, None, "shopreel:0.1.0-ray2.60.0")
    assert environment.keys() == {"image_uri", "env_vars"}
    assert environment["env_vars"]["SHOPREEL_HOME"] == settings.storage_root
    with pytest.raises(InputError, match="--working-dir does not go with --image"):
        runtime_env(settings, {}, tmp_path, "shopreel:0.1.0-ray2.60.0")


def test_the_token_and_the_headers_of_the_environment_go_with_every_request(tmp_path):
    """The token may stand in a file; an Authorization header given outright wins."""
    (tmp_path / "token").write_text("from-a-file\n")
    assert headers_from({}) == {}
    assert headers_from({"RAY_AUTH_TOKEN": "abc"}) == {"Authorization": "Bearer abc"}
    assert headers_from({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == {"Authorization": "Bearer from-a-file"}
    both = {"RAY_JOB_HEADERS": '{"X-Shop": "1", "authorization": "Basic x"}', "RAY_AUTH_TOKEN": "abc"}
    assert headers_from(both) == {"X-Shop": "1", "authorization": "Basic x"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"RAY_JOB_HEADERS": "X-Shop: 1"}, "RAY_JOB_HEADERS is not JSON"),
        ({"RAY_JOB_HEADERS": "[1]"}, "RAY_JOB_HEADERS must map names to texts"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, "RAY_AUTH_TOKEN_PATH is /nowhere/token, which cannot be read"),
        ({"RAY_AUTH_TOKEN_PATH": sys.executable}, "which is not text; name the file of the token"),
        ({"RAY_AUTH_TOKEN": "…"}, "RAY_AUTH_TOKEN.* has characters that no token has"),
    ],
)
def test_a_header_or_token_that_cannot_be_sent_is_named(env, message):
    with pytest.raises(InputError, match=message):
        headers_from(env)


HALF_UP = "Request failed with status code 502"
"""Ray's words for the answer of a proxy whose cluster is away."""


class Cluster:
    """Stands in for the job API: two jobs; the log of the first breaks off, and the head is away for two questions."""

    commands = ("sh", "tune")

    def __init__(self) -> None:
        self.connections = 0
        self.away = [ConnectionRefusedError("the head is coming back"), RuntimeError(f"{HALF_UP}: upstream is away.")]

    def get_address(self) -> str:
        return "http://head:8265"

    def list_jobs(self) -> list[JobDetails]:
        first, second = self.commands
        done = {"type": "SUBMISSION", "entrypoint": first, "status": JobStatus.SUCCEEDED, "driver_exit_code": 3}
        return [
            JobDetails(**done, submission_id="shopreel-train-1a2b", start_time=1000, end_time=61_000),
            JobDetails(
                **done, submission_id="shopreel-tune-1c2d", start_time=2000, metadata={"shopreel_command": second}
            ),
        ]

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self.connections += 1
        yield "one\ntwo\n"
        if self.connections < 3:
            raise RuntimeError("the connection broke")
        yield "three\n"

    def get_job_status(self, job_id: str) -> JobStatus:
        if self.away:
            raise self.away.pop()
        return JobStatus.SUCCEEDED if self.connections > 2 else JobStatus.RUNNING

    def get_job_info(self, job_id: str) -> JobDetails:
        return self.list_jobs()[0]


def test_jobs_are_listed_with_their_command_the_newest_first():
    newest, oldest = list_jobs(Cluster())
    assert (newest.command, oldest.command) == ("tune", "sh")
    assert (oldest.ended - oldest.started).total_seconds() == 60


def test_the_table_of_jobs_shows_every_command_as_it_was_given(monkeypatch):
    """Brackets in one, such as a list of looks, are no style of the table."""
    commands = ["python -c 'print([/red])'", "tune generator --set looks.styles=[warm,cool]"]
    monkeypatch.setattr(Cluster, "commands", commands)
    monkeypatch.setattr("cluster.job_client.connect", lambda address: Cluster())
    listed = CliRunner().invoke(app, ["jobs", "--address", "http://head:8265"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0, listed.exception
    assert all(command in listed.stdout for command in commands)


def test_a_password_that_a_job_would_show_is_told(monkeypatch, tmp_path):
    """In the URL of a store it is seen on the dashboard; the job runs all the same."""
    monkeypatch.setattr("cluster.job_client.connect", lambda address: Cluster())
    monkeypatch.setattr("cluster.jobs.submit_command", lambda *_, **__: "shopreel-data-1a2b")
    env = {"SHOPREEL_HOME": str(tmp_path), "SHOPREEL_EVENT_STORE": "postgresql+psycopg://me:secret@db/shop"}
    command = ["submit", "--address", "http://127.0.0.1:8265", "--detach", "--", "data", "list"]
    told = CliRunner().invoke(app, command, env=env | {"COLUMNS": "300"})
    assert (told.exit_code, told.stdout) == (0, "shopreel-data-1a2b\n")
    assert "SHOPREEL_EVENT_STORE holds a password" in told.stderr


def test_a_job_is_found_by_a_part_of_its_id_that_no_other_has():
    assert find_job(Cluster(), "1a").job_id == "shopreel-train-1a2b"
    with pytest.raises(NotFoundError, match="part of several jobs.*tune-1c2d.*train-1a2b"):
        find_job(Cluster(), "shopreel")
    with pytest.raises(NotFoundError, match="no job '9z'; there are: shopreel-tune-1c2d"):
        find_job(Cluster(), "9z")


def test_a_followed_log_goes_on_after_a_broken_connection_without_a_line_twice():
    """The log breaks off, the head is away for a moment: the rest comes, once, and the job's exit code."""
    lines: list[str] = []
    assert follow_job(Cluster(), "shopreel-train-1a2b", lines.append) == 3
    assert "".join(lines) == "one\ntwo\nthree\n"
