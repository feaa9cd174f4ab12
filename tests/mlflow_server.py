"""An MLflow tracking server of the tests' own, which can be killed, started again and stopped in its tracks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from cluster.mlflow_store import connect
from tests.waiting import free_port, wait_for


class MlflowServer:
    """One server at a port of loopback, with an SQLite store and its files in a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.store = f"sqlite:///{folder}/server.db"
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> MlflowServer:
        connect(self.store)  # makes the tables
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.signal(signal.SIGKILL)

    def start(self) -> None:
        """Returns at once; `wait` waits for an answer."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.store, "--workers", "1"]
        files = str(self._folder / "files")
        command += ["--host", "127.0.0.1", "--port", str(self._port), "--artifacts-destination", files]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.txt").open("a") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder, start_new_session=True
            )

    def wait(self) -> None:
        wait_for(self._answers, "the MLflow server answers", seconds=180, process=self._process)

    def signal(self, number: signal.Signals) -> None:
        """To the server and its workers."""
        os.killpg(self._process.pid, number)
        if number == signal.SIGKILL:
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
        except OSError:
            return False
        return True
