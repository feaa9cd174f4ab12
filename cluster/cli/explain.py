"""`shopreel explain`: why a viewer gets a product, as shares that sum to its score."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.errors import NotFoundError
from cluster.settings import Settings

if TYPE_CHECKING:
    from trainables.recommender.history import HistoryEvent
    from trainables.recommender.model import ItemModel

SHOWN = 20
"""Past products in the printed table; the others are summed in one row."""
ROUNDING = 1e-4
"""Of the score: ranking adds in float32, the shares in float64."""


@dataclass(frozen=True, kw_only=True)
class PastShare:
    """A past product and what it adds to the score; `share` = `item_item` + `content`."""

    product_id: str
    title: str
    events: list[str]
    """Kinds of what the viewer did with it."""
    at: str
    """The last of them, ISO 8601, UTC."""
    share: float
    item_item: float
    """Through viewers who took to both."""
    content: float
    """Through likeness of the products."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Score, rank and reasons of one product for one viewer."""

    product_id: str
    title: str
    score: float
    rank: int
    """From 1, among the products the viewer has not met and this one."""
    ranked_products: int
    source: str
    """history, content, popular or fresh: where most of the score comes from."""
    met: list[str]
    """Kinds of events the viewer had with the product itself; slates leave it out where there is one."""
    history_events: int
    popularity: float
    item_item: float
    content: float
    shares: list[PastShare]
    """Largest first; all of them."""
    sum_of_parts: float
    """The shares and popularity, added up."""
    ranking_score: float
    """What the ranking computed for all products at once; equals the sum but for float32 rounding."""

    @property
    def adds_up(self) -> bool:
        scale = max(1.0, abs(self.score))
        return all(abs(self.sum_of_parts - other) <= ROUNDING * scale for other in (self.score, self.ranking_score))


def command(
    viewer: Annotated[str, typer.Argument(help="The viewer's id in the shop's own log.")],
    product: Annotated[str, typer.Argument(help="The product's id in the shop's own log.")],
    data: Annotated[str, typer.Option(help="Dataset with the viewers' log, see `shopreel data list`.")],
    model: Annotated[str, typer.Option(help="recommender@ALIAS or recommender/VERSION.")] = "recommender@champion",
    as_json: Annotated[bool, typer.Option("--json", help="Print all shares as JSON.")] = False,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
) -> None:
    """Say why a product gets its score: the share of each past product of the viewer, and popularity.

    \b
    A share has two parts: `by viewers` (who took to the past product took to this one) and `by content` (the two are
    alike). The shares and popularity sum to the score exactly; the last line says so. The rank is among all products
    the viewer has not met. A viewer without events gets what is popular. Where the data has events newer than the
    model, or other products, the model is brought up to the data first, as `shopreel slates` does.
    Examples:
      shopreel explain 4711 lamp-7 --data shop
      shopreel explain 4711 lamp-7 --data shop --model recommender/3 --json
    """
    from cluster.pseudonym import Pseudonymiser
    from cluster.registry import Registry
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.batch import caught_up
    from trainables.recommender.bundle import load_model
    from trainables.recommender.history import histories
    from trainables.recommender.train import read_training_data

    settings = Settings.load(tracking_uri=tracking_uri)
    dataset = Dataset.open(Storage(settings.storage_root), data)
    version = Registry(settings).resolve(model, "recommender")
    notes = Console(stderr=True)
    with notes.status("reading the model and the log …") as status:
        trained = load_model(Registry(settings).fetch(version))
        training_data = read_training_data(dataset)
        status.update("counting the newest events …")
        current = caught_up(trained, training_data)
        if product not in current.row_of:
            raise NotFoundError(
                f"product {product!r} is not in the catalogue of {version.reference} on dataset {data!r}"
            )
        pseudonym = Pseudonymiser.load(settings).of(viewer.strip())  # as at import
        history = histories(training_data.events, [pseudonym]).get(pseudonym, [])
        names = training_data.products
        titles = dict(zip(names["product_id"].to_pylist(), names["title"].to_pylist(), strict=True))
        found = explanation(current, history, product, titles)
    if as_json:
        print(json.dumps({"viewer": viewer, "model": version.reference, **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        _show(found, viewer, version.reference)


def explanation(
    model: ItemModel, history: Sequence[HistoryEvent], product_id: str, titles: dict[str, str]
) -> Explanation:
    """Why a product of the model gets its score at the end of the model's statistics; later events do not count."""
    import numpy as np

    from trainables.data.schemas import EVENT_TYPES
    from trainables.recommender.recommender import Recommender

    now_ms, row = model.trained_until_ms, model.row_of[product_id]
    history = [event for event in history if event.at_ms < now_ms]
    recommender = Recommender(model)
    past = recommender.fold(history, now_ms)
    met_rows = {model.row_of[event.product_id] for event in history if event.product_id in model.row_of}
    unmet = replace(past, seen=np.array(sorted(met_rows - {row}), np.int64))
    ranked = recommender.rank(unmet, len(model.product_ids))
    told = recommender.explain(history, [product_id], now_ms)[0]
    by_viewers, by_content = (part[:, 0].tolist() for part in model.shares(past.rows, past.weights, np.array([row])))
    last: dict[str, int] = {}
    kinds: dict[str, set[str]] = {}
    for event in history:
        kinds.setdefault(event.product_id, set()).add(event.event_type)
        last[event.product_id] = max(event.at_ms, last.get(event.product_id, event.at_ms))
    shares = [
        PastShare(
            product_id=(past_id := model.product_ids[past_row]),
            title=titles.get(past_id, ""),
            events=sorted(kinds[past_id], key=EVENT_TYPES.index),
            at=datetime.fromtimestamp(last[past_id] / 1000, UTC).isoformat(timespec="seconds"),
            share=viewers + content,
            item_item=viewers,
            content=content,
        )
        for past_row, viewers, content in zip(past.rows.tolist(), by_viewers, by_content, strict=True)
    ]
    return Explanation(
        product_id=product_id,
        title=titles.get(product_id, ""),
        score=told.score,
        rank=int(np.flatnonzero(ranked == row)[0]) + 1,
        ranked_products=len(ranked),
        source=told.source,
        met=sorted(kinds.get(product_id, ()), key=EVENT_TYPES.index),
        history_events=len(history),
        popularity=told.popularity,
        item_item=math.fsum(by_viewers),
        content=math.fsum(by_content),
        shares=sorted(shares, key=lambda one: -one.share),
        sum_of_parts=math.fsum([told.popularity, *(one.share for one in shares)]),
        ranking_score=float(model.scores(past.rows, past.weights)[row]),
    )


def _show(found: Explanation, viewer: str, reference: str) -> None:
    console = Console()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    title = f" ({found.title})" if found.title else ""
    say(f"product {found.product_id}{title} for viewer {viewer}, {reference}")
    say(f"score {found.score:.6f}, rank {found.rank:,} of {found.ranked_products:,} products, source: {found.source}")
    if found.met:
        say(f"the viewer has met it ({', '.join(found.met)}), so slates leave it out; the rank is as if it were new")
    if not found.history_events:
        say(f"viewer {viewer} has no events in the data: the score is popularity alone")
    elif not found.shares:
        say("nothing in the viewer's history counts: the score is popularity alone")
    table = Table()
    for name in ("past product", "title", "events", "last"):
        table.add_column(name, overflow="fold")
    for name in ("by viewers", "by content", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.shares[:SHOWN]:
        texts = (one.product_id, one.title, ", ".join(one.events), one.at[:16].replace("T", " "))
        table.add_row(*(Text(text) for text in texts), *_numbers(one.item_item, one.content, one.share))
    if rest := found.shares[SHOWN:]:
        sums = (math.fsum(getattr(one, part) for one in rest) for part in ("item_item", "content", "share"))
        table.add_row(f"{len(rest):,} others", "", "", "", *_numbers(*sums))
    table.add_section()
    shared = found.item_item + found.content
    table.add_row("all past products", "", "", "", *_numbers(found.item_item, found.content, shared))
    table.add_row("popularity", "", "", "", "", "", *_numbers(found.popularity))
    console.print(table)
    verdict = "equals the score" if found.adds_up else "IS NOT the score"
    say(
        f"check: shares {shared:.6f} + popularity {found.popularity:.6f} = {found.sum_of_parts:.6f}, "
        f"which {verdict} {found.score:.6f}; the ranking scored {found.ranking_score:.6f}"
    )


def _numbers(*values: float) -> list[str]:
    return [f"{value:+.6f}" for value in values]
