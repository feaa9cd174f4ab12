"""What was shown before, without what came of it: known at the moment of showing, also within a file to be scored."""

from __future__ import annotations

import numpy as np

from trainables.recommender.feedback import DAY_MS
from trainables.recommender.ranking.counters import AsOfCounter, joint_key
from trainables.recommender.ranking.facts import Facts
from trainables.recommender.ranking.log import Impressions
from trainables.recommender.ranking.units import HOUR_MS, log_gap

LATEST = 4
SESSION_GAP_MS = HOUR_MS // 2
WINDOWS = {"10m": HOUR_MS // 6, "1h": HOUR_MS, "1d": DAY_MS, "3d": 3 * DAY_MS}


def exposure_features(rows: Impressions, shown: Impressions, facts: Facts) -> dict[str, np.ndarray]:
    """Columns of `rows` from the impressions in `shown` that lie strictly before each of them."""
    at_ms = rows.at_ms_N
    viewer = AsOfCounter(shown.viewer_N, shown.at_ms_N)
    columns = _latest(rows, shown, facts, viewer)
    for name, window in WINDOWS.items():
        columns[f"shown_to_viewer:{name}"] = viewer.count_between(rows.viewer_N, at_ms - window, at_ms)
    columns |= _session(rows, shown, viewer)
    product = AsOfCounter(shown.product_N, shown.at_ms_N)
    columns["shown:all"] = product.before(rows.product_N, at_ms)[:, 0]
    for name in ("1h", "1d"):
        columns[f"shown:{name}"] = product.count_between(rows.product_N, at_ms - WINDOWS[name], at_ms)
    pairs = {
        "surface": (shown.surface_N, rows.surface_N),
        "category": (facts.category_n[shown.product_N], facts.category_n[rows.product_N]),
        "creator": (facts.creator_n[shown.product_N], facts.creator_n[rows.product_N]),
        "product": (shown.product_N, rows.product_N),
    }
    for name, (of_shown, of_rows) in pairs.items():
        counter = AsOfCounter(joint_key(shown.viewer_N, of_shown), shown.at_ms_N)
        key = joint_key(rows.viewer_N, of_rows)
        columns[f"shown_to_viewer:{name}"] = counter.before(key, at_ms)[:, 0]
        if name in ("surface", "product"):
            last = counter.latest(key, at_ms)
            columns[f"since_{name}"] = log_gap(at_ms, shown.at_ms_N[last], last >= 0) if len(shown) else at_ms * np.nan
    both = AsOfCounter(joint_key(shown.product_N, shown.surface_N), shown.at_ms_N)
    columns["shown:surface"] = both.before(joint_key(rows.product_N, rows.surface_N), at_ms)[:, 0]
    return columns


def _latest(rows: Impressions, shown: Impressions, facts: Facts, viewer: AsOfCounter) -> dict[str, np.ndarray]:
    """The viewer's latest impressions. How soon the next one came bounds how long each can have been watched."""
    columns: dict[str, np.ndarray] = {}
    for back in range(1, LATEST + 1):
        last = viewer.latest(rows.viewer_N, rows.at_ms_N, back)
        there = last >= 0
        gap = log_gap(rows.at_ms_N, shown.at_ms_N[last], there) if len(shown) else np.full(len(rows), np.nan)
        seconds = shown.seconds_N[last] if len(shown) else np.zeros(len(rows))
        columns[f"latest_{back}:gap"] = gap
        columns[f"latest_{back}:seconds"] = np.where(there, np.log1p(seconds), np.nan)
        columns[f"latest_{back}:gap_to_seconds"] = gap - np.log1p(np.minimum(seconds, 300.0))
        if back < 3 and len(shown):
            columns[f"latest_{back}:surface"] = np.where(there, shown.surface_N[last], -1)
            same = facts.category_n[shown.product_N[last]] == facts.category_n[rows.product_N]
            columns[f"latest_{back}:same_category"] = np.where(there, same, np.nan)
        elif back < 3:
            columns[f"latest_{back}:surface"] = columns[f"latest_{back}:same_category"] = np.full(len(rows), np.nan)
    return columns


def _session(rows: Impressions, shown: Impressions, viewer: AsOfCounter) -> dict[str, np.ndarray]:
    """Place in the sitting and seconds since it began; a sitting ends with half an hour of nothing."""
    if not len(shown):
        return {"sitting:place": np.zeros(len(rows)), "sitting:seconds": np.zeros(len(rows))}
    at_ms, of_viewer = shown.at_ms_N[viewer.order], shown.viewer_N[viewer.order]
    begins = np.ones(len(at_ms), bool)
    begins[1:] = (of_viewer[1:] != of_viewer[:-1]) | (at_ms[1:] - at_ms[:-1] > SESSION_GAP_MS)
    began = np.maximum.accumulate(np.where(begins, np.arange(len(at_ms)), 0))
    first, end = viewer.span_before(rows.viewer_N, rows.at_ms_N)
    last = np.maximum(end - 1, 0)
    going_on = (end > first) & (rows.at_ms_N - at_ms[last] <= SESSION_GAP_MS)
    return {
        "sitting:place": np.where(going_on, end - began[last], 0),
        "sitting:seconds": np.where(going_on, (rows.at_ms_N - at_ms[began[last]]) / 1000, 0.0),
    }
