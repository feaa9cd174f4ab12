"""One function from candidates to a slate, place by place, in which every move has its reason.

1. Rules block; so does an empty stock.
2. Relevance r: scores brought to 0…1 over the candidates; with factors f of boosting rules, freshness and stock it is
   f·(r + ε) − ε, so that those lift the last ones as well, of whom nothing is known but that they are new.
3. Each place goes to what is pinned there, else to the candidate of most value (relevance and variety, `diversity.py`)
   that keeps to the caps by category and creator.
4. Where the caps leave nobody, they are lifted for that place, so a slate is never shorter than the candidates allow.

Equal values go by score, then by order of the candidates: the same input gives the same slate.

Dims: C candidates, D content features, k places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from cluster.errors import InputError
from trainables.recommender.reranking.caps import Caps
from trainables.recommender.reranking.diversity import GreedyDeterminant, MarginalRelevance, Variety
from trainables.recommender.reranking.rules import Rule, Rules
from trainables.recommender.reranking.trace import Trace

FLOOR = 0.05
"""ε: relevance that a factor finds in the lowest-scored candidate."""
METHODS = {"mmr": MarginalRelevance, "dpp": GreedyDeterminant}


@dataclass(frozen=True, kw_only=True)
class RerankConfig:
    """How a slate is put together."""

    method: Literal["mmr", "dpp"] = "dpp"
    """How variety is counted."""
    diversity: float = 0.05
    """0 (by relevance alone) … 0.95: weight of variety against relevance."""
    most_of_category: int = 0
    """Products of one category in a slate, ≥ 1; 0: no cap. Unknown categories are not capped."""
    most_of_creator: int = 0
    """Products of one creator in a slate, ≥ 1; 0: no cap. Products without a creator are not capped."""
    freshness: float = 0.0
    """≥ 0: a product that came in just now counts 1 + this much."""
    fresh_half_life_days: float = 3.0
    """Days, > 0, in which that fades to half."""
    stock: float = 0.0
    """≥ 0: a product of which there is plenty counts 1 + this much."""
    plenty: float = 100.0
    """Pieces, > 0, at which half of that is given."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"rerank.method is {self.method!r}; set {' or '.join(METHODS)}")
        if not 0 <= self.diversity <= 0.95:
            raise ValueError(f"rerank.diversity is {self.diversity}; set 0…0.95, e.g. 0.05")
        for name in ("most_of_category", "most_of_creator"):
            if getattr(self, name) < 0:
                raise ValueError(f"rerank.{name} is {getattr(self, name)}; set 1 or more, 0 for no cap")
        for name in ("freshness", "stock"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"rerank.{name} is {getattr(self, name)}; set 0 (off) or more, e.g. 0.3")
        for name in ("fresh_half_life_days", "plenty"):
            if not getattr(self, name) > 0:
                raise ValueError(f"rerank.{name} is {getattr(self, name)}; set a value above 0")


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is to be ranked; all of length C."""

    product_ids: Sequence[str]
    scores: np.ndarray
    """Higher is better; any finite unit."""
    features_CD: np.ndarray
    """Content features, rows of length 1 or 0."""
    categories: Sequence[str]
    creators: Sequence[str | None]
    tags: Sequence[Sequence[str]] | None = None
    """For rules about tags; None: nobody has any."""
    age_days: np.ndarray | None = None
    """Since the product came in; NaN where not known."""
    pieces: np.ndarray | None = None
    """In stock; NaN where not counted."""

    def __post_init__(self) -> None:
        for name in ("scores", "features_CD", "categories", "creators", "tags", "age_days", "pieces"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.product_ids):
                raise InputError(f"candidates.{name} has {len(value)} entries for {len(self.product_ids)} products")
        if not np.isfinite(self.scores).all():
            raise InputError("candidates.scores holds values that are not finite; leave those products out")

    def taken(self, rows: np.ndarray) -> Candidates:
        """These rows, in this order."""
        picked = {}
        for field in fields(self):
            value = getattr(self, field.name)
            is_array = isinstance(value, np.ndarray)
            picked[field.name] = value if value is None else value[rows] if is_array else [value[i] for i in rows]
        return replace(self, **picked)


@dataclass(frozen=True)
class Place:
    """One place of a slate."""

    candidate: int
    """Row of the candidates."""
    product_id: str
    place: int
    """1 first."""
    by_score: int
    """Its place by score alone."""
    reasons: tuple[str, ...]
    """Why it stands here and not there; empty where both are the same and nothing was done to it."""


@dataclass(frozen=True)
class Slate:
    """The slate, and who is kept out of every slate and why."""

    places: tuple[Place, ...]
    blocked: dict[str, str]


def rerank(candidates: Candidates, k: int, *, rules: Rules, config: RerankConfig, now_ms: int) -> Slate:
    """The k places; fewer where fewer candidates are left. InputError for k < 1.

    A pinned product that is not among the candidates is not shown: add those of `rules.pinned(now_ms)` to them. A pin
    beyond the end of a slate that runs short moves up.
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for 1 product or more")
    by_score = np.argsort(-candidates.scores, kind="stable")
    candidates = candidates.taken(by_score)  # the first of the largest values is the one with the highest score
    blocked = _blocked(candidates, rules.in_force("block", now_ms))
    relevance_C, lifted = _relevance(candidates, rules.in_force("boost", now_ms), config)
    waiting_C = np.array([product not in blocked for product in candidates.product_ids], bool)
    length = min(k, int(waiting_C.sum()))
    pinned = _pinned(candidates, rules.pinned(now_ms), waiting_C, k)
    waiting_C[list(pinned.values())] = False
    waiting = int(waiting_C.sum())  # kept count of: asking for any of them at each place costs as much as a place
    variety = METHODS[config.method](candidates.features_CD, config.diversity)
    caps = Caps(candidates.categories, candidates.creators, config.most_of_category, config.most_of_creator)
    trace = Trace(candidates.product_ids, blocked)
    places = []
    for place in range(1, length + 1):
        why = list[str]()
        at = place if place in pinned or waiting else min(pinned)
        if at in pinned:
            chosen = pinned.pop(at)
            why.append(f"pinned to place {at}")
            trace.pass_by(chosen, waiting_C, lambda _: "below a pinned product")
        else:
            within_C, worth_C = waiting_C & caps.open_C, variety.values(relevance_C)
            chosen = _largest(worth_C, within_C)
            if not within_C[chosen]:
                within_C = waiting_C
                chosen = _largest(worth_C, within_C)
                why.append("the caps leave nobody else")
            waiting_C[chosen] = False
            waiting -= 1
            trace.pass_by(chosen, waiting_C, _cause(candidates, chosen, within_C, relevance_C, variety, caps))
        variety.add(chosen)
        caps.take(chosen)
        why += lifted[chosen]
        moved = trace.moved(chosen, place) if not why or place > chosen + 1 else None
        reasons = (*why, moved) if moved else tuple(why)
        places.append(Place(int(by_score[chosen]), candidates.product_ids[chosen], place, chosen + 1, reasons))
    return Slate(tuple(places), blocked)


def _largest(worth_C: np.ndarray, within_C: np.ndarray) -> int:
    """The first of those with the largest value; any one where nobody is within."""
    return int(np.where(within_C, worth_C, -np.inf).argmax())


def _blocked(candidates: Candidates, rules: list[Rule]) -> dict[str, str]:
    """Product → why it is never shown."""
    blocked = {}
    if candidates.pieces is not None:
        blocked.update({candidates.product_ids[i]: "out of stock" for i in np.flatnonzero(candidates.pieces <= 0)})
    for rule in reversed(rules):  # of several, the first one written is named
        for i, product_id in enumerate(candidates.product_ids):
            if _matches(rule, candidates, i):
                blocked[product_id] = f"blocked by {rule}"
    return blocked


def _relevance(candidates: Candidates, rules: list[Rule], config: RerankConfig) -> tuple[np.ndarray, list[list[str]]]:
    """Relevance (C,) float64, and what each candidate's was multiplied by."""
    scores = candidates.scores.astype(np.float64)
    least, most = (scores.min(), scores.max()) if len(scores) else (0.0, 0.0)
    relevance = (scores - least) / (most - least) if most > least else np.ones(len(scores))
    factors, lifted = np.ones(len(scores)), [list[str]() for _ in scores]
    for rule in rules:
        for i in range(len(scores)):
            if _matches(rule, candidates, i):
                factors[i] *= rule.factor
                lifted[i].append(f"times {rule.factor:g} by {rule}")
    lifts = []
    if config.freshness and candidates.age_days is not None:
        fresh = np.exp2(-np.maximum(np.nan_to_num(candidates.age_days, nan=np.inf), 0) / config.fresh_half_life_days)
        lifts.append(("fresh", 1 + config.freshness * fresh))
    if config.stock and candidates.pieces is not None:
        pieces = np.maximum(np.nan_to_num(candidates.pieces, nan=0.0), 0)
        lifts.append(("in stock", 1 + config.stock * pieces / (pieces + config.plenty)))
    for name, factor in lifts:
        factors *= factor
        for i in np.flatnonzero(factor > 1.005):
            lifted[i].append(f"times {factor[i]:.2f}: {name}")
    return relevance + (factors - 1) * (relevance + FLOOR), lifted


def _matches(rule: Rule, candidates: Candidates, i: int) -> bool:
    if rule.subject == "tag":
        return candidates.tags is not None and rule.value in (candidates.tags[i] or ())
    own = {"product": candidates.product_ids, "category": candidates.categories, "creator": candidates.creators}
    return own[rule.subject][i] == rule.value


def _pinned(candidates: Candidates, pins: dict[int, str], free_C: np.ndarray, k: int) -> dict[int, int]:
    """Place → candidate, of the pins that can be kept."""
    row_of = {product_id: i for i, product_id in enumerate(candidates.product_ids)}
    rows = {place: row_of.get(product_id, -1) for place, product_id in pins.items() if place <= k}
    return {place: row for place, row in rows.items() if row >= 0 and free_C[row]}


def _cause(
    candidates: Candidates, chosen: int, within_C: np.ndarray, relevance_C: np.ndarray, variety: Variety, caps: Caps
) -> Callable[[int], str]:
    """Why a candidate is passed by, as things stand while `chosen` is taken."""

    def cause(i: int) -> str:
        if not within_C[i]:
            return caps.reason(i)
        if relevance_C[chosen] > relevance_C[i] or variety.like_C[i] < 0:
            return "below a boosted product"
        return f"like {candidates.product_ids[variety.like_C[i]]} above (cosine {variety.nearest_C[i]:.2f})"

    return cause
