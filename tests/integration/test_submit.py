"""`shopreel submit|jobs|logs|stop` against a Ray cluster that asks for a token, started as a user would start it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from ray.job_submission import JobStatus
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.job_client import JobFailedError, connect
from cluster.registry import Registry
from cluster.runtime import RAY_ENVIRONMENT
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import ensure_experiment
from tests.tiny_shop import make_tiny_shop
from tests.waiting import wait_for

PORTS = (
    "port",
    "dashboard-port",
    "ray-client-server-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
pytestmark = pytest.mark.timeout(600)
TOKEN = "of-this-cluster-alone"
ATTEMPTS = 3
"""A node ends itself when its agents need more than 30 s to start, as they may on a busy machine."""

TINY_GENERATOR = [
    f"--set={setting}"
    for setting in (
        "batch_size=2",
        "frame_size=32",
        "network.widths=[16, 16, 16]",
        "network.blocks=1",
        "discriminator.width=8",
        "looks.references=1",
        "looks.variants=0",
        "looks.crops=1",
    )
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """URL of the dashboard of a separate one-node cluster; only its own processes are ended."""
    # Ray's sockets lie in the temporary folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="shopreel-ray-", ignore_cleanup_errors=True) as folder:
        for attempt in range(ATTEMPTS):
            ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
            log = Path(folder) / f"start-{attempt}.log"
            process = _start_node(Path(folder) / str(attempt), ports, log)
            wait_for(
                lambda p=process, f=log: p.poll() is not None or "Ray runtime started" in f.read_text(),
                "Ray is up", seconds=300,
            )  # fmt: skip
            if process.poll() is None:
                break
        else:
            pytest.fail(f"no cluster started: {log.read_text()}")
        url = f"http://127.0.0.1:{ports['dashboard-port']}"
        try:
            wait_for(lambda: _answers(url), "the head answers", seconds=60)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # after a SIGTERM the head drains itself for half a minute
            process.wait(60)


def _start_node(folder: Path, ports: dict[str, int], log: Path) -> subprocess.Popen:
    """A node whose processes ignore SIGINT, as those do that a script has started in the background."""
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    command += [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=4"]
    command += [f"--temp-dir={folder}", "--include-dashboard=true", "--dashboard-host=127.0.0.1"]
    command += ["--object-store-memory=200000000", *(f"--{name}={number}" for name, number in ports.items())]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | RAY_ENVIRONMENT
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with log.open("w") as sink:
        return subprocess.Popen(
            command, env=env, cwd=log.parent, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A storage root with the tiny dataset."""
    settings = Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("home"))})
    make_tiny_shop(Storage(settings.storage_root))
    ensure_experiment(settings)
    return settings


def start(shop: Settings, cluster: str, *command: str) -> subprocess.Popen[str]:
    """`shopreel submit -- COMMAND` in a process of its own, which heeds SIGINT whatever these tests were told."""
    return subprocess.Popen(
        [sys.executable, "-m", "cluster.cli.main", "submit", "--address", cluster, "--", *command],
        env=os.environ | {"SHOPREEL_HOME": shop.storage_root},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_submitted_training_registers_a_model(shop, cluster):
    """The job runs on that cluster with the uploaded code, its log comes back, and the version is in the registry."""
    process = start(shop, cluster, "train", "recommender", "--data", "tiny", "--run", "from-a-job")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "run from-a-job → recommender/1 (challenger)" in output
    version = Registry(shop).resolve("recommender@challenger")
    assert (version.version, version.lineage["data_name"]) == (1, "tiny")
    assert MlflowClient(shop.tracking_uri).get_run(version.run_id).info.run_name == "from-a-job"
    (job,) = [job for job in connect(cluster).list_jobs() if job.submission_id in output]
    assert job.status == JobStatus.SUCCEEDED
    listed = CliRunner().invoke(app, ["jobs", "--address", cluster], env={"COLUMNS": "200"}).stdout
    assert job.submission_id in listed
    assert "train recommender --data tiny --run from-a-job" in listed
    log = CliRunner().invoke(app, ["logs", job.submission_id[-8:], "--address", cluster])
    assert "run from-a-job → recommender/1 (challenger)" in log.stdout


def test_a_job_that_runs_on_its_own_is_stopped(cluster):
    """`stop` returns when the job has ended; `logs --follow` of a job ends with its exit code."""
    client = connect(cluster)
    endless = client.submit_job(entrypoint="echo begun; sleep 600", submission_id="endless-1a2b")
    brief = client.submit_job(entrypoint="echo done; exit 7", submission_id="brief-1a2b")
    wait_for(lambda: "begun" in client.get_job_logs(endless), "the job has begun", seconds=120)
    stopped = CliRunner().invoke(app, ["stop", "endless", "--address", cluster])
    assert stopped.exit_code == 0, stopped.output
    assert client.get_job_status(endless) == JobStatus.STOPPED
    followed = CliRunner().invoke(app, ["logs", brief, "--follow", "--address", cluster])
    assert (followed.exit_code, followed.stdout.count("done\n")) == (7, 1)


@pytest.mark.parametrize("wrong", ["", "of-another-cluster"])
def test_without_its_token_the_cluster_lets_nobody_in(cluster, monkeypatch, wrong):
    monkeypatch.setenv("RAY_AUTH_TOKEN", wrong)
    with pytest.raises(JobFailedError, match="asks for a token; set RAY_AUTH_TOKEN"):
        connect(cluster)


def test_a_command_that_fails_gives_its_exit_code_and_its_message(shop, cluster):
    process = start(shop, cluster, "train", "recommender", "--data", "missing")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 3, output
    assert "error: dataset 'missing' does not exist (there are: tiny)" in output


def test_ctrl_c_cancels_the_job_and_its_run(shop, cluster):
    """After one SIGINT the job is stopped on the cluster, its run in MLflow is KILLED, the command ends with 130."""
    arguments = ["train", "generator", "--data", "tiny", "--no-ray", "--run", "endless", "--set=steps=1000000"]
    process = start(shop, cluster, *arguments, *TINY_GENERATOR)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    client = MlflowClient(shop.tracking_uri)

    def run() -> Any:
        (found,) = client.search_runs(
            [client.get_experiment_by_name("shopreel").experiment_id], "attributes.run_name = 'endless'"
        ) or (None,)
        return found

    wait_for(
        lambda: process.poll() is not None or (run() and "loss/style" in run().data.metrics), "a loss", seconds=240
    )
    assert process.poll() is None, "".join(lines)
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 130
    reader.join(10)
    output = "".join(lines)
    (job,) = [job for job in connect(cluster).list_jobs() if job.submission_id in output]
    assert job.status == JobStatus.STOPPED
    assert run().info.status == "KILLED"


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return numbers


def _answers(url: str) -> bool:
    try:
        request = urllib.request.Request(f"{url}/api/version", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
