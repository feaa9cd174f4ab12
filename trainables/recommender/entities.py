"""Creators and live hosts by the machinery for products: what happened to a product happened to who made it.

A log of products becomes a log of creators, a catalogue of products one of creators; with these the same training gives
a model whose items are creators, the same recommender their slates and reasons, and `live` who may be shown right now:

    data = of_creators(training_data)
    model = train(config, data, presets, until_ms=now_ms)
    live_slate(Recommender(model), history_of_creators(history, creator_of), 10, now_ms, live={"acme", "studio-9"})

Dims: h past creators, k creators asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import InputError
from trainables.data.schemas import PRODUCTS, conform
from trainables.recommender.history import HistoryEvent
from trainables.recommender.recommender import Recommendation, Recommender
from trainables.recommender.train import TrainingData

MOST_TAGS = 20
"""Tags a creator takes over from their products, most frequent first."""


def creators(products: pa.Table) -> dict[str, str]:
    """Product → creator, of the products that have one."""
    pairs = zip(products["product_id"].to_pylist(), products["creator"].to_pylist(), strict=True)
    return {product_id: creator for product_id, creator in pairs if creator}


def of_creators(data: TrainingData) -> TrainingData:
    """The same data with creators as the items, in order of their names; events of nobody's products are left out.

    A creator's category is that of most of their products, their tags the most frequent ones, their style code the mean
    of their products'. A creator is met again and again, so feedback on several products of one adds up only as far as
    `FeedbackConfig` lets the strongest event of a pair count. Raises InputError where no product has a creator.
    """
    creator_of = creators(data.products)
    if not creator_of:
        raise InputError("no product has a creator; import a catalogue with one (column 'creator', brand or author)")
    names = pc.index_in(data.events["product_id"], value_set=pa.array(list(creator_of), pa.string()))
    whose = pa.array(list(creator_of.values()), pa.string()).take(names.combine_chunks())
    place = data.events.schema.get_field_index("product_id")
    events = data.events.set_column(place, data.events.schema.field(place), pa.chunked_array([whose]))
    return replace(
        data,
        events=events.filter(pc.is_valid(whose)),
        products=_catalogue(data.products, creator_of),
        style_codes=_mean_codes(data.style_codes, creator_of),
        modalities={},
    )


def history_of_creators(history: Sequence[HistoryEvent], creator_of: Mapping[str, str]) -> list[HistoryEvent]:
    """A viewer's history told of creators; what nobody made is left out."""
    return [replace(e, product_id=creator_of[e.product_id]) for e in history if e.product_id in creator_of]


def live_slate(
    recommender: Recommender, history: Sequence[HistoryEvent], k: int, now_ms: int, live: Collection[str]
) -> list[Recommendation]:
    """The k best creators among those who are `live`, best first, with exact reasons; fewer where fewer are live.

    Unlike a video, a host is watched again: one the viewer met keeps their place, and what the viewer's own feedback on
    them was, faded until now, counts in full beside what the model says. Names the model does not know are left out.
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for 1 creator or more")
    row_of = recommender.model.row_of
    rows = np.array(sorted(row_of[name] for name in set(live) if name in row_of), np.int64)
    past = recommender.fold(history, now_ms)
    own_hk = np.where(past.rows[:, None] == rows, past.weights[:, None], 0.0)
    return sorted(recommender.explained(past, rows, own_hk), key=lambda item: -item.score)[:k]


def _catalogue(products: pa.Table, creator_of: Mapping[str, str]) -> pa.Table:
    """A row a creator; `description` and `price` stay empty."""
    rows: dict[str, tuple[Counter[str], Counter[str]]] = {}
    columns = (products[name].to_pylist() for name in ("product_id", "category", "tags"))
    for product_id, category, tags in zip(*columns, strict=True):
        if product_id in creator_of:
            categories, own_tags = rows.setdefault(creator_of[product_id], (Counter(), Counter()))
            categories[category] += 1
            own_tags.update(set(tags or ()))
    names = sorted(rows)
    table = {
        "product_id": names,
        "title": names,
        "category": [_frequent(rows[name][0], 1)[0] for name in names],
        "tags": pa.array([_frequent(rows[name][1], MOST_TAGS) or None for name in names], PRODUCTS.field("tags").type),
    }
    return conform(pa.table(table), "products", "the catalogue's creators")


def _frequent(counts: Counter[str], most: int) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))[:most]


def _mean_codes(style_codes: Mapping[str, np.ndarray], creator_of: Mapping[str, str]) -> dict[str, np.ndarray]:
    codes: dict[str, list[np.ndarray]] = {}
    for product_id, code in style_codes.items():
        if product_id in creator_of:
            codes.setdefault(creator_of[product_id], []).append(code)
    return {name: np.mean(own, axis=0).astype(np.float32) for name, own in codes.items()}
