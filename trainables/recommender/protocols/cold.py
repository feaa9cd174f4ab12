"""Cold products: a fifth of the catalogue, drawn by seed, is held out with all that viewers did with it.

Asked are viewers who took to held-out products; their history is what they took to among the others, and the held-out
products alone are ranked, which nothing but content can do. Content nearest neighbours get the feature set and the
number of neighbours that are best on held-out products of another seed; ours is the served model's content aligned to
the item-item model (see cold/alignment.py), λ chosen among the products that are left.

Dims: V viewers, n products, m known products.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import sparse

from cluster.errors import InputError
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender import ease
from trainables.recommender.cold.alignment import AlignmentConfig, aligned_content, choose_l2
from trainables.recommender.evaluation import RELEVANT_FEEDBACK
from trainables.recommender.features.attributes import catalogue_blocks
from trainables.recommender.features.blocks import joined
from trainables.recommender.feedback import WATCH, FeedbackConfig, collect, rows_in
from trainables.recommender.protocols.baselines import Method, Scorer, gram
from trainables.recommender.protocols.log import Log
from trainables.recommender.protocols.measure import measure, ndcg_of
from trainables.recommender.protocols.result import Result, Row, summarise
from trainables.recommender.protocols.splits import Question
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, features_of

K = 20
COLD_SHARE = 0.2
SETTINGS_SEED = 1000
MOST_VIEWERS = 5000
L2 = 200.0
OURS = "aligned content"


def run_cold(data: TrainingData, seeds: int, on_step: Callable[[str], None] = lambda step: None) -> Result:
    """Content neighbours and aligned content on held-out products of a few seeds."""
    liked = _liked(data)
    features_nD = features_of(data, RecommenderTrainConfig())
    if not features_nD.any():
        raise InputError("the catalogue says nothing of its products (tags, creator, attributes); there is no content")
    blocks = catalogue_blocks(data.products)
    sets = {name: joined({name: blocks[name]}) for name in ("category", "tags", "creator") if name in blocks}
    sets["all"] = features_nD
    neighbours = _neighbours(sets)
    on_step("content neighbours: choosing")
    question, cold = _question(liked, SETTINGS_SEED)
    gains = {
        name: ndcg_of(_only(fit(question.fit), cold)(question.asked), question, K)
        for name, fit in neighbours.settings.items()
    }
    chosen = max(gains, key=lambda name: gains[name])
    rows: list[Row] = []
    for seed in range(seeds):
        question, cold = _question(liked, seed)
        for name, setting, fit in (
            (neighbours.name, chosen, neighbours.settings[chosen]),
            (OURS, "", _aligned(sets["all"], cold)),
        ):
            on_step(f"seed {seed}: {name}")
            started = time.perf_counter()
            scorer = _only(fit(question.fit), cold)
            rows.append(
                Row(name, seed, setting, question.asked, measure(scorer, question, K), time.perf_counter() - started)
            )
    note = f"{len(cold):,} of {liked.products:,} products held out; the held-out ones alone are ranked"
    return summarise(rows, protocol="cold", k=K, ours=OURS, notes=(note,))


def _liked(data: TrainingData) -> Log:
    """Watches of 0.8 and more, likes and purchases; in a log without watches (ratings) everything."""
    feedback = collect(data.events, data.products["product_id"].to_pylist(), FeedbackConfig())
    watched = (rows_in(data.events["event_type"], EVENT_TYPES) == WATCH).any()
    kept = feedback.where(feedback.weight_N >= (RELEVANT_FEEDBACK if watched else 1e-9))
    ones = np.ones(len(kept.viewer_N), np.float32)
    return Log(len(kept.viewers), data.products.num_rows, kept.viewer_N, kept.product_N, ones, kept.at_ms_N)


def _question(liked: Log, seed: int) -> tuple[Question, np.ndarray]:
    """The question, and the catalogue rows of the held-out products."""
    rng = np.random.default_rng(seed)
    cold = np.sort(rng.permutation(liked.products)[: round(COLD_SHARE * liked.products)])
    held_out = np.isin(liked.product_N, cold)
    known = np.bincount(liked.viewer_N[~held_out], minlength=liked.viewers) > 0
    wanted = liked.where(held_out & known[liked.viewer_N]).matrix()
    asked = rng.permutation(np.flatnonzero(np.diff(wanted.indptr)))[:MOST_VIEWERS]
    kept = np.zeros(liked.viewers, np.float32)
    kept[asked] = 1
    wanted = sparse.csr_array(sparse.diags_array(kept) @ wanted)
    wanted.eliminate_zeros()
    return Question(liked.where(~held_out), wanted), cold


def _only(scorer: Scorer, cold: np.ndarray) -> Scorer:
    """Nothing but held-out products gets a score."""

    def scores(rows: np.ndarray) -> np.ndarray:
        found = scorer(rows)
        only = np.full(found.shape, -np.inf, np.float32)
        only[:, cold] = found[:, cold]
        return only

    return scores


def _neighbours(sets: dict[str, np.ndarray]) -> Method:
    def fit(features_nD: np.ndarray, most: int | None) -> Callable[[Log], Scorer]:
        def fitted(log: Log) -> Scorer:
            x_Vn = log.matrix()
            similar_nn = features_nD @ features_nD.T
            similar_nn[np.bincount(log.product_N, minlength=log.products) == 0] = 0
            if most is not None:
                least_n = -np.partition(-similar_nn, most, axis=0)[most]
                similar_nn = np.where(similar_nn >= least_n, similar_nn, 0)
            return lambda rows: np.asarray(x_Vn[rows] @ similar_nn, np.float32)

        return fitted

    settings = {
        f"{name}, {most or 'all'} neighbours": fit(features, most)
        for name, features in sets.items()
        for most in (None, 50, 200)
        if most is None or most < len(features)
    }
    return Method("content nearest neighbours", settings)


def _aligned(features_nD: np.ndarray, cold: np.ndarray) -> Callable[[Log], Scorer]:
    def fit(log: Log) -> Scorer:
        x_Vn = log.matrix()
        warm = np.setdiff1d(np.arange(log.products), cold)
        item_item_mm = ease.solve(gram(x_Vn[:, warm]), L2)
        config = choose_l2(features_nD, item_item_mm, warm, x_Vn, AlignmentConfig())
        factors = aligned_content(features_nD, item_item_mm, warm, config)
        return lambda rows: np.asarray((x_Vn[rows] @ factors.past_nR) @ factors.target_nR.T, np.float32)

    return fit
