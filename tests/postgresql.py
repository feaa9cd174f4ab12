"""A PostgreSQL server of the tests' own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

QUIET = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    start: tuple[str, ...]
    stop: tuple[str, ...]

    def crash(self) -> None:
        """End it at once, as `kill -9` would: its connections break, its log is replayed when it starts."""
        subprocess.run(self.stop, **QUIET)

    def come_back(self) -> None:
        """Start it again; returns when it answers."""
        subprocess.run(self.start, **QUIET)


@contextmanager
def postgresql_server() -> Iterator[Server | None]:
    """A fresh server on a Unix socket, None where PostgreSQL is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    initdb, pg_ctl = (shutil.which(name, path=path) for name in ("initdb", "pg_ctl"))  # Debian keeps them off PATH
    if initdb is None or pg_ctl is None:
        yield None
        return
    # The server refuses to run as root; any other user will do.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        if user:
            os.chown(folder, 65534, 65534)
        data = Path(folder) / "data"
        subprocess.run([*user, initdb, "-D", data, "-U", "tests", "--auth=trust", "--no-sync"], **QUIET)
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        control = [*user, pg_ctl, "-D", data, "-w", "-l", f"{folder}/log"]
        server = Server(
            f"postgresql+psycopg://tests@/postgres?host={folder}",
            start=(*control, "-o", options, "start"),
            stop=(*control, "-m", "immediate", "stop"),
        )
        server.come_back()
        try:
            yield server
        finally:
            server.crash()
