"""AUC and GAUC against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.metrics import impressions as measures

sklearn = pytest.importorskip("sklearn.metrics")


def test_auc_and_log_loss_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    happened, chance = rng.integers(0, 2, 2000), rng.integers(1, 40, 2000) / 41
    assert measures.auc(happened, chance) == pytest.approx(sklearn.roc_auc_score(happened, chance))
    assert measures.log_loss(happened, chance) == pytest.approx(sklearn.log_loss(happened, chance))


def test_gauc_agrees_with_scikit_learn_viewer_by_viewer() -> None:
    rng = np.random.default_rng(2)
    viewer, happened, score = rng.integers(0, 90, 1500), rng.integers(0, 2, 1500), rng.integers(0, 9, 1500)
    found = {
        int(one): (sklearn.roc_auc_score(happened[viewer == one], score[viewer == one]), (viewer == one).sum())
        for one in np.unique(viewer)
        if 0 < happened[viewer == one].mean() < 1
    }
    values, weights = zip(*found.values(), strict=True)
    assert measures.gauc(viewer, happened, score) == pytest.approx(np.average(values, weights=weights))
