"""The serving side: a viewer's history in; ranked products, exact reasons and a look out. numpy only."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from cluster.errors import InputError, NotFoundError
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.bundle import load_model
from trainables.recommender.ease import fade
from trainables.recommender.feedback import IMPRESSION, LIKE, WATCH, event_weights, strongest, watched_share
from trainables.recommender.history import HistoryEvent
from trainables.recommender.model import ItemModel
from trainables.recommender.retrieval.candidates import best, blended
from trainables.recommender.taste import Look, viewer_look

Source = Literal["history", "content", "popular", "fresh"]


class Reason(NamedTuple):
    """A past product and its share in a score; shares may be negative."""

    product_id: str
    share: float


@dataclass(frozen=True)
class Recommendation:
    """One place of a slate. `score` is the sum of the reasons' shares plus `popularity`."""

    product_id: str
    score: float
    """In units of feedback; comparable within one slate."""
    source: Source
    """Where most of the score comes from: what viewers with the same history took to, likeness to a past product,
    or popularity. `fresh`: a product about which there is nothing yet."""
    reasons: list[Reason]
    """Largest share first; empty without history."""
    popularity: float
    """The part of the score that everybody gets."""


class Candidate(NamedTuple):
    """A product to be ranked, with the score that retrieved it."""

    product_id: str
    score: float


@dataclass(frozen=True)
class PastProducts:
    """A history folded to one row a product."""

    rows: np.ndarray
    """(h,) catalogue rows the viewer took to."""
    weights: np.ndarray
    """(h,) float64, faded feedback > 0."""
    seen: np.ndarray
    """Catalogue rows that are not recommended again: all the viewer did more with than being shown it."""


class Recommender:
    """Answers for one trained model; holds no state about viewers."""

    def __init__(self, model: ItemModel) -> None:
        self.model = model

    @classmethod
    def from_bundle(cls, folder: Path) -> Recommender:
        return cls(load_model(Path(folder)))

    def warm(self) -> None:
        """Compute what is computed once a model, so that no request waits for it."""
        now_ms = self.model.trained_until_ms
        liked = [HistoryEvent(self.products[0], EVENT_TYPES[LIKE], now_ms)]
        self.recommend(liked, 1, now_ms)
        self.look(liked, now_ms)

    @property
    def products(self) -> Sequence[str]:
        """Product ids the model knows, in catalogue order."""
        return self.model.product_ids

    def recommend(
        self, history: Sequence[HistoryEvent], k: int, now_ms: int, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """The k best products the viewer has not met, best first; fewer where the catalogue runs out.

        Events of products the model does not know are left out. An empty history gives what is popular.
        """
        past = self.fold(history, now_ms)
        rows = self.rank(past, k, self._known(exclude))
        slate = self.explained(past, rows)
        # Ranking adds in float32; the exact sums may swap neighbours that are equal to seven digits.
        return sorted(slate, key=lambda item: (-item.score, self.model.row_of[item.product_id]))

    def explain(
        self, history: Sequence[HistoryEvent], product_ids: Collection[str], now_ms: int
    ) -> list[Recommendation]:
        """What single products would score for this history and why, met before or not; unknown ones are left out."""
        return self.explained(self.fold(history, now_ms), self._known(product_ids))

    def similar(self, product_id: str, k: int) -> list[tuple[str, float]]:
        """The k products nearest to one, best first: taken to by the same viewers, or alike where few are known."""
        if product_id not in self.model.row_of:
            raise NotFoundError(f"product {product_id!r} is not known to this recommender")
        row = np.array([self.model.row_of[product_id]])
        scores = self.model.scores(row, np.ones(1)) - self.model.prior_n
        scores[row] = -np.inf
        return [(self.model.product_ids[i], float(scores[i])) for i in best(scores, _checked(k))]

    def look(self, history: Sequence[HistoryEvent], now_ms: int) -> Look:
        """The look this viewer's clips are made in."""
        return viewer_look(history, self._style_codes, self.model.looks, now_ms, self.model.config.taste_half_life_days)

    def fold(self, history: Sequence[HistoryEvent], now_ms: int) -> PastProducts:
        """One row a product, weighed as in training and faded until `now_ms`."""
        config, row_of = self.model.config, self.model.row_of
        known = [event for event in history if event.product_id in row_of and event.event_type in EVENT_TYPES]
        types = np.array([EVENT_TYPES.index(event.event_type) for event in known], np.int64)
        watch, duration = (
            np.array([np.nan if value is None else value for value in values], float)
            for values in ([event.watch_seconds for event in known], [event.duration_seconds for event in known])
        )
        share, _, _ = watched_share(
            np.where(types == WATCH, watch, np.nan), duration, config.feedback.full_watch_seconds
        )
        weight = event_weights(types, share, config.feedback)
        rows = np.array([row_of[event.product_id] for event in known], np.int64)
        at_ms = np.array([event.at_ms for event in known], np.int64)
        seen = np.unique(rows[types > IMPRESSION])
        told = (types > IMPRESSION) | (weight > 0)
        _, rows, at_ms, weight = strongest(np.zeros(int(told.sum()), np.int64), rows[told], at_ms[told], weight[told])
        newest = slice(max(0, len(rows) - config.feedback.max_products), None)
        rows, at_ms, weight = rows[newest], at_ms[newest], weight[newest]
        weight = weight * fade(at_ms, now_ms, config.history_half_life_days)
        return PastProducts(rows[weight > 0], weight[weight > 0], seen)

    def retrieve(
        self, history: Sequence[HistoryEvent], k: int, now_ms: int, exclude: Collection[str] = ()
    ) -> list[Candidate]:
        """Up to k candidates for a ranker, best first: products the viewer has not met, by score.

        Some places are kept for what is popular now and for what nobody has met yet, see `retrieval.candidates`.
        """
        past = self.fold(history, now_ms)
        scores = self.model.scores(past.rows, past.weights)
        known = self._known(exclude)
        scores[past.seen] = scores[known] = -np.inf
        rows = blended(scores, self.model.popularity_n, self.model.viewers_n, _checked(k))
        return [Candidate(self.model.product_ids[row], float(scores[row])) for row in rows]

    def rank(self, past: PastProducts, k: int, excluded: np.ndarray = np.zeros(0, np.int64)) -> np.ndarray:
        """Catalogue rows of the k best products that are neither seen nor excluded, best first."""
        return self.scored(past, k, excluded)[0]

    def scored(
        self, past: PastProducts, k: int, excluded: np.ndarray = np.zeros(0, np.int64)
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `rank`, and their scores (float32)."""
        scores = self.model.scores(past.rows, past.weights)
        scores[past.seen] = scores[excluded] = -np.inf
        rows = best(scores, _checked(k))
        return rows, scores[rows]

    def _known(self, product_ids: Collection[str]) -> np.ndarray:
        """Catalogue rows of those products the model knows."""
        return np.array([self.model.row_of[i] for i in product_ids if i in self.model.row_of], np.int64)

    def explained(
        self, past: PastProducts, rows: np.ndarray, own_hk: np.ndarray | float = 0.0, most: int | None = None
    ) -> list[Recommendation]:
        """Scores of some catalogue rows with exact reasons, in the order given; `own_hk` is added to the shares (of
        past products h in rows k). `most` reasons are kept of each, the strongest; None: all, so that they sum up.
        """
        by_viewers_hk, by_content_hk = self.model.shares(past.rows, past.weights, rows)
        by_viewers_hk = by_viewers_hk + own_hk
        shares_hk = by_viewers_hk + by_content_hk
        order_hk = np.argsort(-shares_hk, axis=0, kind="stable")[:most]
        past_ids = [self.model.product_ids[row] for row in past.rows]
        by_viewers_k, by_content_k = (np.sum(part_hk, axis=0).tolist() for part_hk in (by_viewers_hk, by_content_hk))
        slate = []
        for place, row in enumerate(rows.tolist()):
            shares = shares_hk[:, place].tolist()
            reasons = [Reason(past_ids[j], shares[j]) for j in order_hk[:, place].tolist()]
            popularity = float(self.model.prior_n[row])
            parts = {
                "history": by_viewers_k[place],
                "content": by_content_k[place],
                "popular": popularity,
            }
            source = max(parts, key=lambda name, parts=parts: parts[name])
            if parts[source] <= 0 and self.model.viewers_n[row] == 0:
                source = "fresh"
            score = math.fsum([popularity, *shares])
            slate.append(Recommendation(self.model.product_ids[row], score, source, reasons, popularity))
        return slate

    @cached_property
    def _style_codes(self) -> dict[str, np.ndarray]:
        codes = self.model.style_codes_nS
        return {self.model.product_ids[i]: codes[i] for i in np.flatnonzero(~np.isnan(codes).any(1))}


def _checked(k: int) -> int:
    if k < 1:
        raise InputError(f"k is {k}; ask for 1 product or more")
    return k
