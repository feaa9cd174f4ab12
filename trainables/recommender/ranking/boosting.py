"""Gradient-boosted trees (LightGBM), one model a target; the newest rows tell how many trees.

Dims: N rows, D features.
"""

from __future__ import annotations

import lightgbm
import numpy as np

from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.features import FeatureTable

PATIENCE = 30
"""Trees without a gain on the newest rows before training stops."""


def fit_trees(
    objective: str,
    table: FeatureTable,
    target_N: np.ndarray,
    config: RankerConfig,
    *,
    rounds: int,
    watch: tuple[FeatureTable, np.ndarray] | None = None,
) -> lightgbm.Booster:
    """Train at most `rounds` trees; with `watch`, as many as are best on its rows."""
    settings = {
        "objective": objective,
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": min(config.leaf_impressions, max(len(target_N) // 20, 1)),
        "feature_fraction": 0.35,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "max_bin": 127,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": config.threads,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(table.values_ND, target_N, free_raw_data=True)
    if watch is None:
        return lightgbm.train(settings, data, rounds)
    newest = data.create_valid(watch[0].values_ND, watch[1])
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(settings, data, rounds, valid_sets=[newest], callbacks=[stopping])


def rounds_of(booster: lightgbm.Booster) -> int:
    """Trees that are used."""
    return booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
