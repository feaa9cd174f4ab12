"""The event store: what viewers did, durable before it is acknowledged, idempotent by event id.

Viewer ids are pseudonyms before they get here (`cluster.pseudonym`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from serving.database import insert_new, now_ms, open_engine, reading, scrub, vacuum, writing
from trainables.data import schemas
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent

_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("viewer_id", sa.String(64), nullable=False),
    sa.Column("product_id", sa.String(256), nullable=False),
    sa.Column("event_type", sa.String(16), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("watch_seconds", sa.Float),
    sa.Column("duration_seconds", sa.Float),
    sa.Column("position", sa.Integer),
    sa.Column("style", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("stored_at_ms", sa.BigInteger, nullable=False),
    sa.Index("events_of_viewer", "viewer_id", "at_ms"),
)
_SEEDS = sa.Table(
    "seeds",
    _METADATA,
    sa.Column("content_hash", sa.String(64), primary_key=True),
    sa.Column("seeded_at_ms", sa.BigInteger, nullable=False),
)
_ERASURES = sa.Table(
    "erasures",
    _METADATA,
    sa.Column("receipt_id", sa.String(32), primary_key=True),
    sa.Column("viewer_sha256", sa.String(64), nullable=False, index=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("receipt", sa.Text, nullable=False),
)
_SEED_ROWS = 20_000  # rows turned into Python objects at a time
# Made once: putting a statement together takes longer than SQLite takes to answer it.
_NEWEST_OF_VIEWER = (
    sa.select(*(_EVENTS.c[field.name] for field in fields(HistoryEvent)))
    .where(_EVENTS.c.viewer_id == sa.bindparam("viewer_id"), _EVENTS.c.event_type != "impression")
    .order_by(_EVENTS.c.at_ms.desc(), _EVENTS.c.sequence.desc())
    .limit(sa.bindparam("most"))
)


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """One event as the store keeps it; see `trainables.data.schemas.EVENTS` for the meaning of the fields."""

    event_id: str
    viewer_id: str
    product_id: str
    event_type: str
    at_ms: int
    """Milliseconds since 1970, UTC."""
    watch_seconds: float | None = None
    duration_seconds: float | None = None
    position: int | None = None
    style: str | None = None
    request_id: str | None = None


class EventStore:
    """Opens the store at `url` and makes its tables where they are missing. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, _METADATA)

    def append(self, events: Sequence[StoredEvent]) -> int:
        """Store all in one transaction, on disk on return; known event ids are skipped. Returns how many were new."""
        if not events:
            return 0
        now = now_ms()
        with writing(self._engine) as connection:
            return self._insert(connection, [{**asdict(event), "stored_at_ms": now} for event in events])

    def history(self, viewer_id: str, limit: int) -> list[HistoryEvent]:
        """The viewer's newest events, oldest first; impressions do not count as history."""
        with reading(self._engine) as connection:
            rows = connection.execute(_NEWEST_OF_VIEWER, {"viewer_id": viewer_id, "most": limit}).all()
        return [HistoryEvent(*row) for row in reversed(rows)]

    def last_sequence(self) -> int:
        """Grows with every stored event; 0 before the first."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(sa.func.max(_EVENTS.c.sequence))).scalar_one() or 0

    def erasures(self) -> int:
        """How many viewers have been erased; what was counted before has to be counted again."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(_ERASURES)).scalar_one()

    def forget(self, viewer_id: str) -> int:
        """Delete the viewer's events and what the files of the database still hold of them; returns how many."""
        with writing(self._engine) as connection:
            gone = connection.execute(_EVENTS.delete().where(_EVENTS.c.viewer_id == viewer_id)).rowcount
        vacuum(self._engine, "events")
        scrub(self._engine, viewer_id)
        return gone

    def keep_receipt(self, receipt_id: str, viewer_sha256: str, at_ms: int, receipt: str) -> None:
        """What was erased, as JSON; found again by the hash, which names nobody."""
        row = {"receipt_id": receipt_id, "viewer_sha256": viewer_sha256, "at_ms": at_ms, "receipt": receipt}
        with writing(self._engine) as connection:
            connection.execute(_ERASURES.insert().values(**row))

    @property
    def kind(self) -> str:
        """sqlite or postgresql."""
        return self._engine.dialect.name

    def since(self, at_ms: int) -> pa.Table:
        """Everybody's events from a moment on, as a table of `trainables.data.schemas.EVENTS`."""
        copied = [field.name for field in schemas.EVENTS if field.name in _EVENTS.c]
        columns = [*(_EVENTS.c[name] for name in copied), _EVENTS.c.at_ms]
        query = sa.select(*columns).where(_EVENTS.c.at_ms >= at_ms).order_by(_EVENTS.c.sequence)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        values = dict(zip([*copied, "at"], zip(*rows, strict=True), strict=True)) if rows else {"at": ()}
        at = pa.array(values.pop("at"), pa.int64()).cast(schemas.EVENTS.field("at").type)
        table = pa.table({name: pa.array(values.get(name, ()), schemas.EVENTS.field(name).type) for name in copied})
        return schemas.conform(table.append_column("at", at), "events", "event store")

    def of_looks(self, since_ms: int) -> pa.Table:
        """Everybody's events from a moment on that say in which look and in answer to which request the product was
        shown: request_id, event_type, watch_seconds, duration_seconds, style.
        """
        names = ("request_id", "event_type", "watch_seconds", "duration_seconds", "style")
        query = sa.select(*(_EVENTS.c[name] for name in names)).where(
            _EVENTS.c.stored_at_ms >= since_ms, _EVENTS.c.request_id.is_not(None), _EVENTS.c.style.is_not(None)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        schema = pa.schema([schemas.EVENTS.field(name) for name in names])
        return pa.Table.from_pylist([row._asdict() for row in rows], schema=schema)

    def count(self, viewer_id: str | None = None) -> int:
        """Stored events, of one viewer or of all."""
        query = sa.select(sa.func.count()).select_from(_EVENTS)
        if viewer_id is not None:
            query = query.where(_EVENTS.c.viewer_id == viewer_id)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def seed(self, dataset: Dataset, per_viewer: int) -> int:
        """Bring each viewer's newest `per_viewer` events of a dataset, once per content; returns how many were new."""
        if per_viewer == 0 or not dataset.has("events"):
            return 0
        content = dataset.content_hash()
        mark = insert_new(self._engine, _SEEDS, "content_hash").values(content_hash=content, seeded_at_ms=now_ms())
        with writing(self._engine) as connection:
            if not connection.execute(mark.returning(_SEEDS.c.content_hash)).all():
                return 0
            return sum(self._insert(connection, rows) for rows in _newest_rows(dataset, per_viewer))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _insert(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> int:
        insert = insert_new(self._engine, _EVENTS, "event_id").returning(_EVENTS.c.event_id)
        return len(connection.execute(insert, rows).all())


def _newest_rows(dataset: Dataset, per_viewer: int) -> Iterator[list[dict[str, Any]]]:
    """The last `per_viewer` non-impression events of every viewer, oldest first, in lists of rows.

    Other systems' ids may be longer than a column, which PostgreSQL refuses: events of such products are left out, such
    styles and requests are not told.
    """
    columns = [
        "event_id",
        "viewer_id",
        "product_id",
        "event_type",
        "at",
        "watch_seconds",
        "duration_seconds",
        "position",
        "style",
        "request_id",
    ]
    table = dataset.arrow("events", columns)
    table = table.filter(pc.not_equal(table["event_type"], "impression"))
    table = table.filter(pc.and_(_fits(table, "event_id"), _fits(table, "product_id")))
    for name in ("style", "request_id"):
        told = pc.if_else(_fits(table, name), table[name], None)
        table = table.set_column(table.schema.get_field_index(name), name, told)
    table = table.set_column(table.schema.get_field_index("at"), "at_ms", table["at"].cast(pa.int64()))
    table = table.sort_by([("viewer_id", "ascending"), ("at_ms", "descending")])
    frame_rank = table.select(["viewer_id"]).to_pandas().groupby("viewer_id", sort=False).cumcount().to_numpy()
    table = table.filter(pa.array(frame_rank < per_viewer)).sort_by("at_ms")
    now = now_ms()
    for batch in table.to_batches(max_chunksize=_SEED_ROWS):
        yield [{**row, "stored_at_ms": now} for row in batch.to_pylist()]


def _fits(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Whether each value of a dataset's column is short enough for the store's."""
    return pc.less_equal(pc.utf8_length(table[name]), _EVENTS.c[name].type.length)
