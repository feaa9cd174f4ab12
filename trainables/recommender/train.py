"""Training: events, products and style codes in, an `ItemModel` out. Pure: the same input gives the same model.

Dims: n products, m products in the item-item matrix, S style code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from scipy import sparse

from trainables.data.dataset import Dataset
from trainables.data.schemas import conform
from trainables.data.style_code import CODE_DIM
from trainables.recommender import ease
from trainables.recommender.cold.alignment import AlignedContent, aligned_content
from trainables.recommender.content import content_features
from trainables.recommender.features.table import content_blocks, read_modalities
from trainables.recommender.feedback import Feedback, collect, far_future
from trainables.recommender.model import ItemModel, dense_block
from trainables.recommender.popularity import popularity, trend
from trainables.recommender.retrieval.sparse_item_item import sparse_item_item
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.watched_looks import watched_looks

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, steps done, and steps in all."""
GramSum = Callable[[Feedback, np.ndarray, ease.EaseConfig, Progress], np.ndarray]
"""Dense Gram matrix (m, m) of a feedback over catalogue rows; here or on a cluster."""

SPREAD_SAMPLE = 2000
CONTENT_DIMS, LARGE_CONTENT_DIMS = 256, 64
"""Content features of a product at most; in a large catalogue, see SparseConfig.above."""


@dataclass(frozen=True)
class TrainingData:
    """What the recommender learns from."""

    events: pa.Table
    """schemas.EVENTS."""
    products: pa.Table
    """schemas.PRODUCTS; its order is the catalogue's."""
    style_codes: Mapping[str, np.ndarray]
    """Product → (S,) code of its clip; products without a clip are left out."""
    viewers: pa.Table | None = None
    """schemas.VIEWERS; None where nothing is known of viewers but their events."""
    modalities: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Modality → (n, d) in the order of `products`, NaN rows where missing; empty where no features were built."""


def read_training_data(dataset: Dataset) -> TrainingData:
    """Tables of a dataset. A log without a catalogue gets one of its product ids alone."""
    events = dataset.arrow("events")
    if dataset.has("products"):
        products = dataset.arrow("products").sort_by("product_id")
    else:
        ids = sorted(set(events["product_id"].to_pylist()))
        products = bare_products(ids)
    codes: dict[str, np.ndarray] = {}
    if dataset.has("clips"):
        clips = dataset.arrow("clips", ["product_id", "style_code"])
        for product_id, code in zip(clips["product_id"].to_pylist(), clips["style_code"].to_pylist(), strict=True):
            codes.setdefault(product_id, np.asarray(code, np.float32))
    viewers = dataset.arrow("viewers") if dataset.has("viewers") else None
    modalities = read_modalities(dataset, products["product_id"].to_pylist())
    return TrainingData(events, products, codes, viewers, modalities)


def bare_products(ids: list[str]) -> pa.Table:
    """A catalogue of which nothing is known but the ids."""
    table = pa.table({"product_id": ids, "title": [""] * len(ids), "category": ["unknown"] * len(ids)})
    return conform(table, "products", "the log's products")


def sum_here(feedback: Feedback, rows: np.ndarray, config: ease.EaseConfig, on_progress: Progress) -> np.ndarray:
    """Gram matrix summed in this process, chunk after chunk."""
    chunks = -(-len(feedback.viewers) // config.chunk_viewers)
    grams = (ease.chunk_gram(x_Vn) for x_Vn in ease.viewer_chunks(feedback, rows, config))
    return ease.sum_grams(grams, len(rows), counted(on_progress, chunks))


def counted(on_progress: Progress, chunks: int) -> Callable[[], None]:
    """A callback that counts chunks of the Gram sum."""
    done = iter(range(1, chunks + 1))
    return lambda: on_progress("item-item statistics", next(done), chunks)


def train(
    config: RecommenderTrainConfig,
    data: TrainingData,
    preset_codes: Mapping[str, np.ndarray],
    *,
    until_ms: int,
    learned_until_ms: int | None = None,
    gram_sum: GramSum = sum_here,
    on_progress: Progress = lambda stage, done, total: None,
) -> ItemModel:
    """Train on the events before `until_ms`; later ones are not looked at, whatever they say.

    `learned_until_ms` is the end of the events that the settings were chosen on; None: `until_ms`.
    """
    events = events_before(data.events, until_ms)
    product_ids = data.products["product_id"].to_pylist()
    feedback = collect(events, product_ids, config.feedback)
    liked = feedback.where(feedback.weight_N > 0)
    counts = _product_counts(liked, len(product_ids), until_ms, config)
    viewers_n = counts["viewers_n"]
    rows, item_item = item_item_of(liked, viewers_n, config, gram_sum, on_progress)
    style_codes = _code_rows(product_ids, data.style_codes)
    features = features_of(data, config)
    aligned = aligned_content(features, item_item, rows, config.alignment) if config.alignment.enabled else None
    content = reduced(features, CONTENT_DIMS)
    factors = aligned or AlignedContent(content, content)
    return ItemModel(
        product_ids=tuple(product_ids),
        categories=tuple(data.products["category"].to_pylist()),
        item_item_mm=item_item,
        item_rows=rows,
        content_nD=content,
        aligned=aligned,
        content_scale=config.content_weight * _spread_ratio(item_item, factors, rows),
        **counts,
        style_codes_nS=style_codes,
        looks=watched_looks(events, product_ids, style_codes, preset_codes),
        config=config,
        trained_until_ms=until_ms,
        learned_until_ms=until_ms if learned_until_ms is None else learned_until_ms,
        counts={**feedback.counts, "outside_matrix": int((viewers_n > 0).sum()) - len(rows)},
    )


def features_of(data: TrainingData, config: RecommenderTrainConfig) -> np.ndarray:
    """Content features (n, D) of the catalogue; few of a large one."""
    codes = _code_rows(data.products["product_id"].to_pylist(), data.style_codes)
    large = data.products.num_rows > config.sparse.above
    settings = replace(config.content, most_values=LARGE_CONTENT_DIMS) if large else config.content
    features = content_features(data.products, codes, settings, content_blocks(data.modalities))
    return reduced(features, LARGE_CONTENT_DIMS) if large else features


def item_item_of(
    liked: Feedback,
    viewers_n: np.ndarray,
    config: RecommenderTrainConfig,
    gram_sum: GramSum = sum_here,
    on_progress: Progress = lambda stage, done, total: None,
) -> tuple[np.ndarray, np.ndarray | sparse.csr_array]:
    """Catalogue rows (m,) of the item-item matrix, and the matrix (m, m): EASE, or a sparse one for a large one."""
    if len(viewers_n) > config.sparse.above:
        rows = np.flatnonzero(viewers_n)

        def on_step(done: int, total: int) -> None:
            on_progress("item-item matrix", done, total)

        return rows, sparse_item_item(liked, rows, config.sparse, config.ease, on_step)
    rows = matrix_rows(viewers_n, config.ease.max_products)
    gram = gram_sum(liked, rows, config.ease, on_progress)
    on_progress("item-item matrix", 0, 1)
    item_item = ease.solve(gram, config.ease.l2)
    on_progress("item-item matrix", 1, 1)
    return rows, item_item


def reduced(features_nD: np.ndarray, dims: int) -> np.ndarray:
    """Features on their leading principal directions, rows of length 1 again: catalogues are scanned by these."""
    if features_nD.shape[1] <= dims:
        return features_nD
    _, directions = np.linalg.eigh(features_nD.T @ features_nD)
    found = features_nD @ directions[:, -dims:]
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(length > 1e-6, found / np.maximum(length, 1e-6), 0).astype(np.float32)


def rebuild(
    model: ItemModel,
    data: TrainingData,
    until_ms: int,
    *,
    gram_sum: GramSum = sum_here,
    on_progress: Progress = lambda stage, done, total: None,
) -> ItemModel:
    """The same recipe (settings, presets) over statistics counted anew from the events before `until_ms`.

    With the moment the model was trained until, it is the same model; with a later one, it has caught up with the log.
    """
    return train(
        model.config,
        data,
        model.looks.preset_codes,
        until_ms=until_ms,
        learned_until_ms=model.learned_until_ms,
        gram_sum=gram_sum,
        on_progress=on_progress,
    )


def recount(model: ItemModel, events: pa.Table, until_ms: int) -> ItemModel:
    """The model with viewers, popularity and trend counted anew from the events before `until_ms`; the item-item matrix
    and all that hangs on it stay as they are. A second for a million events.
    """
    feedback = collect(events_before(events, until_ms), model.product_ids, model.config.feedback)
    liked = feedback.where(feedback.weight_N > 0)
    return replace(model, **_product_counts(liked, len(model.product_ids), until_ms, model.config))


def _product_counts(
    liked: Feedback, products: int, until_ms: int, config: RecommenderTrainConfig
) -> dict[str, np.ndarray]:
    """What an `ItemModel` counts for each product, by field, (n,) float32 each."""
    shown = config.feedback.impression
    return {
        "viewers_n": np.bincount(liked.product_N, minlength=products).astype(np.float32),
        "popularity_n": popularity(liked, products, until_ms, config.popularity, shown),
        "trend_n": trend(liked, products, until_ms, config.popularity, shown),
    }


def events_before(events: pa.Table, until_ms: int) -> pa.Table:
    """The events before a moment, milliseconds since 1970."""
    return events.filter(pa.array(events["at"].cast(pa.int64()).to_numpy() < until_ms))


def end_of(events: pa.Table) -> int:
    """The first moment after all events, milliseconds since 1970; events of a wrong clock (a year ahead) do not count.

    0 where there are none.
    """
    at_ms = events["at"].cast(pa.int64()).to_numpy()
    at_ms = at_ms[~far_future(at_ms)]
    return int(at_ms.max()) + 1 if len(at_ms) else 0


def matrix_rows(viewers_n: np.ndarray, most: int) -> np.ndarray:
    """Catalogue rows with feedback, at most `most`, those with the most viewers; ascending."""
    order = np.argsort(-viewers_n, kind="stable")[:most]
    return np.sort(order[viewers_n[order] > 0])


def _code_rows(product_ids: list[str], codes: Mapping[str, np.ndarray]) -> np.ndarray:
    rows = np.full((len(product_ids), CODE_DIM), np.nan, np.float32)
    for row, product_id in enumerate(product_ids):
        if product_id in codes:
            rows[row] = codes[product_id]
    return rows


def _spread_ratio(item_item_mm: np.ndarray | sparse.csr_array, content: AlignedContent, rows: np.ndarray) -> float:
    """γ: deviation of item-item weights / that of what content says in their place, over pairs of (up to 2000) known
    products.
    """
    chosen = np.linspace(0, len(rows) - 1, min(SPREAD_SAMPLE, len(rows))).astype(int)
    if len(chosen) < 2:
        return 1.0
    apart = ~np.eye(len(chosen), dtype=bool)
    similar = float((content.past_nR[rows[chosen]] @ content.target_nR[rows[chosen]].T)[apart].std())
    weights = float(dense_block(item_item_mm, chosen, chosen)[apart].std())
    return weights / similar if similar > 1e-9 and weights > 0 else 1.0
