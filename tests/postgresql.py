"""A PostgreSQL server of the tests' own, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql_server() -> Iterator[str | None]:
    """URL of a fresh server on a Unix socket, None where PostgreSQL is not installed."""
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
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*user, initdb, "-D", data, "-U", "tests", "--auth=trust", "--no-sync"], **quiet)
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        control = [*user, pg_ctl, "-D", data, "-w", "-l", f"{folder}/log"]
        subprocess.run([*control, "-o", options, "start"], **quiet)
        try:
            yield f"postgresql+psycopg://tests@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
