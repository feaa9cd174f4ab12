"""Settings that hold for a whole installation, read once from the environment where a command starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.errors import InputError

_ROOTS = "a folder or a filesystem URI such as s3://bucket/prefix"


def holds_password(url: str) -> bool:
    """Whether a URL carries a password (`scheme://user:password@host`)."""
    return re.search(r"://[^/@]*:[^/@]+@", url) is not None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where this installation keeps its data and finds its services."""

    storage_root: str
    """Folder, or any pyarrow filesystem URI (`s3://bucket/prefix`). `SHOPREEL_HOME`, default `.shopreel` here."""

    tracking_uri: str
    """MLflow tracking and registry URI. `--tracking-uri` or `SHOPREEL_TRACKING_URI`, default SQLite under the root."""

    ray_address: str | None
    """Ray cluster to attach to; None starts Ray on this machine. `--address` or `RAY_ADDRESS`."""

    event_store_url: str
    """SQLAlchemy URL of the event store. `SHOPREEL_EVENT_STORE`, default SQLite under the root."""

    @classmethod
    def load(cls, env: Mapping[str, str] | None = None, *, tracking_uri: str | None = None) -> Settings:
        """Read the environment; `tracking_uri` is the command line's flag and wins over it."""
        env = os.environ if env is None else env
        root = env.get("SHOPREEL_HOME", ".shopreel").strip()
        if not root:
            raise InputError(f"SHOPREEL_HOME is empty; set it to {_ROOTS}")
        if "://" not in root and re.match(r"(s3|gs|gcs|abfss?|hdfs|file):", root):
            raise InputError(f"SHOPREEL_HOME is {root}, neither a path nor a URI; set it to {_ROOTS}")
        if "://" not in root:
            root = str(Path(root).expanduser().resolve())
        local = root if "://" not in root else str(Path(".shopreel").resolve())
        return cls(
            storage_root=root,
            tracking_uri=tracking_uri or env.get("SHOPREEL_TRACKING_URI") or _sqlite(local, "mlflow.db"),
            ray_address=env.get("RAY_ADDRESS") or None,
            event_store_url=env.get("SHOPREEL_EVENT_STORE") or _sqlite(local, "events.db"),
        )

    def with_address(self, address: str | None) -> Settings:
        """The same settings attached to another Ray cluster."""
        return replace(self, ray_address=address) if address else self


def _sqlite(folder: str, name: str) -> str:
    """URL of a database in a folder."""
    if re.search(r"\?|%[0-9A-Fa-f]{2}", folder):
        raise InputError(f"{folder} holds a '?' or a '%' with digits, which a database's URL cannot; rename it")
    return f"sqlite:///{folder}/{name}"
