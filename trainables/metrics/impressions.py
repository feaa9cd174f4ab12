"""Measures of chances and watch times per impression. Pure functions of equally long arrays; dims: N impressions."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

CLIP = 1e-7


def auc(happened_N: np.ndarray, score_N: np.ndarray) -> float:
    """Chance that one that happened is scored above one that did not, ties counting half; NaN with one class only."""
    positive = np.asarray(happened_N) > 0
    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits == 0 or misses == 0:
        return float("nan")
    return float((rankdata(score_N)[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def gauc(viewer_N: np.ndarray, happened_N: np.ndarray, score_N: np.ndarray) -> float:
    """AUC within each viewer who has both outcomes, weighted by impressions (Zhu et al., KDD 2017); NaN if none has."""
    parts = viewer_auc(viewer_N, happened_N, score_N)
    return float(np.average(parts[:, 1], weights=parts[:, 2])) if len(parts) else float("nan")


def viewer_auc(viewer_N: np.ndarray, happened_N: np.ndarray, score_N: np.ndarray) -> np.ndarray:
    """(viewers, 3): viewer, AUC, impressions, of those viewers who have both outcomes."""
    viewer_N, happened_N, score_N = np.asarray(viewer_N), np.asarray(happened_N) > 0, np.asarray(score_N)
    order = np.lexsort((score_N, viewer_N))
    viewers, start_V, count_V = np.unique(viewer_N[order], return_index=True, return_counts=True)
    if not len(viewers):
        return np.empty((0, 3))
    code, happened, score = np.repeat(np.arange(len(viewers)), count_V), happened_N[order], score_N[order]
    # Mean rank of ties: ranks within a viewer, averaged over runs of equal scores.
    rank = np.arange(1, len(order) + 1) - start_V[code]
    new_run = np.ones(len(order), bool)
    new_run[1:] = (code[1:] != code[:-1]) | (score[1:] != score[:-1])
    run = np.cumsum(new_run) - 1
    rank = (np.bincount(run, rank) / np.bincount(run))[run]
    hits_V = np.bincount(code, happened)
    misses_V = count_V - hits_V
    both = (hits_V > 0) & (misses_V > 0)
    ranks_V = np.bincount(code, rank * happened)
    value = (ranks_V[both] - hits_V[both] * (hits_V[both] + 1) / 2) / (hits_V[both] * misses_V[both])
    return np.column_stack([viewers[both], value, count_V[both]])


def log_loss(happened_N: np.ndarray, chance_N: np.ndarray) -> float:
    """Mean −log of the chance given to what came, nats."""
    chance = np.clip(chance_N, CLIP, 1 - CLIP)
    return float(-np.mean(np.where(np.asarray(happened_N) > 0, np.log(chance), np.log1p(-chance))))


def expected_calibration_error(happened_N: np.ndarray, chance_N: np.ndarray, bins: int = 10) -> float:
    """Mean gap between chance and frequency over bins of equal width (Guo et al., ICML 2017), weighted by rows."""
    place = np.minimum((np.asarray(chance_N) * bins).astype(int), bins - 1)
    gap = np.bincount(place, np.asarray(happened_N, float) - chance_N, bins)
    return float(np.abs(gap).sum() / len(place))


def mean_absolute_error(seen_N: np.ndarray, said_N: np.ndarray) -> float:
    """Mean |seen − said|."""
    return float(np.abs(np.asarray(seen_N) - said_N).mean())


def xauc(seen_N: np.ndarray, said_N: np.ndarray) -> float:
    """Share of pairs of unequal watch times that are put in the right order, ties of the score counting half, exact.

    (Zhan et al., KDD 2022.) Counted by a merge over blocks, O(N log² N); NaN where all are equal.
    """
    seen, said = np.asarray(seen_N), np.asarray(said_N)
    order = np.lexsort((said, seen))
    _, group = np.unique(seen[order], return_inverse=True)
    rank = np.unique(said[order], return_inverse=True)[1]
    counts = np.bincount(group).astype(np.int64)
    pairs = (len(seen) * (len(seen) - 1) - (counts * (counts - 1)).sum()) // 2
    if pairs == 0:
        return float("nan")
    below, tied = _ordered_pairs(rank)
    key = np.lexsort((rank, group))
    joint = np.unique(np.stack([group[key], rank[key]]), axis=1, return_counts=True)[1].astype(np.int64)
    tied -= int((joint * (joint - 1) // 2).sum())
    # Within a group of equal watch times scores ascend, so that each pair was counted as ordered or tied.
    within = (counts * (counts - 1) // 2).sum() - (joint * (joint - 1) // 2).sum()
    return float((below - within + tied / 2) / pairs)


def _ordered_pairs(rank: np.ndarray) -> tuple[int, int]:
    """Pairs i < j with rank_i < rank_j, and pairs of equal rank."""
    counts = np.bincount(rank).astype(np.int64)
    tied = int((counts * (counts - 1) // 2).sum())
    inversions, values, width = 0, rank.astype(np.int64), 1
    size = len(values)
    offset = int(values.max(initial=0)) + 1
    while width < size:
        block = np.arange(size) // (2 * width)
        left = (np.arange(size) // width) % 2 == 0
        keyed = block * offset + values
        left_keys = keyed[left]
        right = ~left
        # In each block: left values greater than a right value = left of the block − left values up to it.
        ends = np.searchsorted(left_keys, (block[right] + 1) * offset, side="left")
        inversions += int((ends - np.searchsorted(left_keys, keyed[right], side="right")).sum())
        values = values[np.argsort(keyed, kind="stable")]
        width *= 2
    return size * (size - 1) // 2 - tied - inversions, tied
