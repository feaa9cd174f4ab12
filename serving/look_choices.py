"""The log of looks that were chosen: by request, with the chance that each style had; in the database of the events."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa

from serving.database import now_ms, open_engine, reading, vacuum, writing
from trainables.recommender.looks.outcomes import LookChosen

_METADATA = sa.MetaData()
_CHOICES = sa.Table(
    "look_choices",
    _METADATA,
    sa.Column("request_id", sa.String(64), primary_key=True),
    sa.Column("viewer_id", sa.String(64), nullable=False, index=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("style", sa.String(64), nullable=False),
    sa.Column("propensities", sa.Text, nullable=False),
    sa.Column("weights", sa.Text, nullable=False),
)


class LookChoices:
    """Opens the log at `url` and makes its table where it is missing. Calls block: an event loop uses a thread."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, _METADATA)

    def keep(
        self,
        request_id: str,
        viewer_id: str,
        style: str,
        propensities: Mapping[str, float],
        weights: Mapping[str, float],
    ) -> None:
        """Log one choice; `viewer_id` is a pseudonym."""
        row = {
            "request_id": request_id,
            "viewer_id": viewer_id,
            "at_ms": now_ms(),
            "style": style,
            "propensities": json.dumps(propensities),
            "weights": json.dumps(weights),
        }
        with writing(self._engine) as connection:
            connection.execute(_CHOICES.insert().values(**row))

    def between(self, since_ms: int, until_ms: int) -> list[LookChosen]:
        """Choices made from `since_ms` on and before `until_ms`, oldest first."""
        query = _CHOICES.select().where(_CHOICES.c.at_ms >= since_ms, _CHOICES.c.at_ms < until_ms)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_CHOICES.c.at_ms)).all()
        return [
            LookChosen(row.request_id, row.style, json.loads(row.propensities), json.loads(row.weights)) for row in rows
        ]

    def drop_before(self, at_ms: int) -> None:
        """Forget choices nobody learns from any more."""
        with writing(self._engine) as connection:
            connection.execute(_CHOICES.delete().where(_CHOICES.c.at_ms < at_ms))

    def forget(self, viewer_id: str) -> int:
        """Delete the viewer's choices; returns how many. What files still hold is gone with `EventStore.forget`, which
        comes after.
        """
        with writing(self._engine) as connection:
            gone = connection.execute(_CHOICES.delete().where(_CHOICES.c.viewer_id == viewer_id)).rowcount
        vacuum(self._engine, "look_choices")
        return gone
