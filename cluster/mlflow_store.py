"""The connection to MLflow: a client of the tracking store and registry, without touching MLflow's global state."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.errors import StorageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # The defaults (7 retries, 120 s each) hold a command for minutes before it says that the server is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
DATABASE_SERVERS = ("postgresql", "mysql", "mssql")


def connect(tracking_uri: str) -> MlflowClient:
    """A client of this store; makes and migrates an SQLite file that is not there yet. StorageError when it cannot."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        if _sqlite_file(tracking_uri) is None:
            _check_database(tracking_uri)
            return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        _check_sqlite(tracking_uri)
        # The client makes the tables, and MLflow does not guard that against a second process.
        with exclusive(tracking_uri):
            client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            client.search_registered_models(max_results=1)
    except (OSError, ImportError, sqlite3.Error, SQLAlchemyError, MlflowException) as error:
        fix = "check SHOPREEL_HOME or --tracking-uri"
        raise StorageError(f"cannot open the tracking store {tracking_uri}: {error}; {fix}") from error
    return client


def failures() -> tuple[type[Exception], ...]:
    """What MLflow and the stores behind it raise where they refuse, or do not answer; for `except failures()`."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    found: list[type[Exception]] = [MlflowException, RequestException, SQLAlchemyError]
    with contextlib.suppress(ImportError):  # MLflow keeps files on S3 with the extra `s3`
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        found += [Boto3Error, BotoCoreError, ClientError]
    return tuple(found)


@contextmanager
def exclusive(tracking_uri: str) -> Iterator[None]:
    """One process at a time inside the block for an SQLite store; a server or database has its own transactions.

    Not reentrant.
    """
    file = _sqlite_file(tracking_uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_sqlite(tracking_uri: str) -> None:
    """An error at once where the file cannot be opened or is no database: MLflow tries for two minutes."""
    file = _sqlite_file(tracking_uri)
    if file is not None and file.exists():
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA schema_version")


def _check_database(tracking_uri: str) -> None:
    """An error at once where a database server does not answer: MLflow tries for most of an hour."""
    if urlsplit(tracking_uri).scheme.split("+")[0] not in DATABASE_SERVERS:
        return
    import sqlalchemy as sa

    sa.create_engine(tracking_uri, poolclass=sa.NullPool).connect().close()


def _sqlite_file(tracking_uri: str) -> Path | None:
    return Path(tracking_uri.removeprefix("sqlite:///")) if tracking_uri.startswith("sqlite:///") else None
