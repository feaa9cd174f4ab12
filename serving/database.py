"""The database of an installation: events, keys and receipts, in SQLite (the default) or PostgreSQL.

SQLAlchemy Core; the same statements run on both. What cannot be reached is a DatabaseError, what cannot be written any
more (a full disk) a StorageError.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cluster.errors import InputError, StorageError

_FULL = ("database or disk is full", "No space left on device", "could not extend file")

_PIECE_BYTES = 1 << 20
PATIENCE = {"connect_timeout": "5", "tcp_user_timeout": "10000"}
"""Of connections to PostgreSQL, unless the URL says otherwise: seconds for a new one, milliseconds until one whose
other end has gone silent is given up. Without them a machine that vanished holds up requests for minutes.
"""
_LIBPQ = ("psycopg", "psycopg2")


class DatabaseError(StorageError):
    """The database does not answer."""


def open_engine(url: str, metadata: sa.MetaData) -> sa.Engine:
    """An engine for `url` in which the tables exist; several processes may open it at once.

    Raises InputError for a URL that cannot be used, StorageError where the folder or the tables cannot be made.
    """
    try:
        address = sa.make_url(url)
        if address.get_backend_name() == "sqlite" and address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        if address.get_backend_name() == "postgresql" and address.get_driver_name() in _LIBPQ:
            address = address.set(query={**PATIENCE, **address.query})
        engine = sa.create_engine(address, pool_pre_ping=address.get_backend_name() != "sqlite")
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise InputError(
            f"event store URL (SHOPREEL_EVENT_STORE): {error}; use sqlite:///FILE or postgresql+psycopg://…"
        ) from error
    except OSError as error:
        raise StorageError(f"event store: cannot make the folder of {url}: {error}") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # CREATE … IF NOT EXISTS alone races with itself there
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7347)")
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    return engine


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A write transaction: on disk when the block ends, nothing of it where the block raises."""
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection to read from."""
    with _translated(), engine.connect() as connection:
        yield connection


def insert_new(engine: sa.Engine, table: sa.Table, key: str) -> Any:
    """An insert that leaves out rows whose `key` is there already."""
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing(index_elements=[key])


def vacuum(engine: sa.Engine, table: str) -> None:
    """PostgreSQL: make room of a table's deleted rows; its pages, its log and backups keep bytes until they are used
    again. SQLite: nothing, deleted rows are zeros already (secure_delete).
    """
    if engine.dialect.name != "sqlite":
        with _translated(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"VACUUM {table}")


def scrub(engine: sa.Engine, text: str) -> None:
    """SQLite: see to it that a text whose rows were deleted is gone from the database's files as well.

    The write-ahead log is emptied, and where a page still holds a copy the whole file is written anew.
    """
    if engine.dialect.name != "sqlite":
        return
    with _translated(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        if _holds(engine.url.database, text.encode()):
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        if _holds(engine.url.database, text.encode()):
            raise DatabaseError("event store: the database's files are in use and still hold erased rows; erase again")


def _holds(database: str | None, needle: bytes) -> bool:
    """Whether the files of an SQLite database hold some bytes anywhere."""
    for file in (Path(f"{database}{suffix}") for suffix in ("", "-wal")):
        if not file.exists():
            continue
        with file.open("rb") as source:
            tail = b""
            while piece := source.read(_PIECE_BYTES):
                if needle in tail + piece:
                    return True
                tail = piece[-len(needle) :]
    return False


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return int(time.time() * 1000)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.TimeoutError as error:  # every connection is waiting for the database already
        raise DatabaseError(f"event store: {error}") from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError) as error:
        kind = StorageError if any(text in str(error.orig) for text in _FULL) else DatabaseError
        raise kind(f"event store: {error.orig}") from error


def _configure_sqlite(connection: Any, _: Any) -> None:
    """Write-ahead log, a commit that returns only when it is on disk, and zeros over what is deleted; writers wait for
    each other.
    """
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
