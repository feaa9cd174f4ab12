"""Protocols A, M, leave-one-out and global-time on a log of ratings: every baseline and the blend, a few seeds.

Settings of the baselines and weights of the blend are chosen on validation, for each seed anew; the test question is
asked once. Measures are those at 10 of `measure`; intervals are bootstrapped over viewers, seeds averaged first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from cluster.errors import InputError
from trainables.recommender.protocols.baselines import Method, Scorer, baselines
from trainables.recommender.protocols.blend import blend, blend_members, fit_weights, start_weights
from trainables.recommender.protocols.log import Log
from trainables.recommender.protocols.measure import measure, ndcg_of
from trainables.recommender.protocols.result import Result, Row, summarise
from trainables.recommender.protocols.splits import SPLITS, Split

K = 10
OURS = "shopreel blend"


def run_ratings(
    protocol: str,
    log_of_seed: Callable[[int], Log],
    seeds: Sequence[int],
    on_step: Callable[[str], None] = lambda step: None,
) -> Result:
    """All methods on a protocol of `splits.SPLITS`; `log_of_seed` draws the order of ties.

    InputError where the split leaves no viewer to ask.
    """
    rows: list[Row] = []
    for seed in seeds:
        log = log_of_seed(seed)
        split = SPLITS[protocol](log, seed)
        _check(protocol, log, split)
        for method in baselines(seed):
            on_step(f"seed {seed}: {method.name}")
            started = time.perf_counter()
            setting, scorer = tuned(method, split)
            rows.append(_row(method.name, seed, setting, scorer, split, started))
        on_step(f"seed {seed}: {OURS}")
        started = time.perf_counter()
        fits = blend_members(protocol, seed)
        weights = fit_weights(fits, split.validation, K, start_weights(fits, protocol))
        setting = " + ".join(f"{weight:g} {name}" for name, weight in weights.items())
        rows.append(_row(OURS, seed, setting, blend(fits, weights)(split.test.fit), split, started))
    return summarise(rows, protocol=protocol, k=K, ours=OURS)


def _check(protocol: str, log: Log, split: Split) -> None:
    for name, question in (("validation", split.validation), ("the test", split.test)):
        if not len(question.asked):
            raise InputError(
                f"protocol {protocol} leaves nobody to ask in {name}: the dataset has {len(log.viewer_N):,} ratings "
                f"(events of type click, one a product) of {log.viewers:,} viewers; it takes viewers with several, and "
                "for --protocol time some who come back; of a log of watches ask --protocol kuairand"
            )


def tuned(method: Method, split: Split) -> tuple[str, Scorer]:
    """The setting with the best NDCG on validation, refitted for the test."""
    question = split.validation
    names = list(method.settings)
    gains = [
        ndcg_of(method.settings[name](question.fit)(question.asked), question, K) if len(names) > 1 else 0.0
        for name in names
    ]
    best = names[int(np.argmax(gains))]
    return best, method.settings[best](split.test.fit)


def _row(name: str, seed: int, setting: str, scorer: Scorer, split: Split, started: float) -> Row:
    measured = measure(scorer, split.test, K)
    return Row(name, seed, setting, split.test.asked, measured, time.perf_counter() - started)
