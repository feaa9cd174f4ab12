"""What everybody watches: mean and covariance of the style codes of all finished watches of a log.

They are the yardstick for single viewers (see taste.py). An event shown in a named look counts with the preset's code,
so in a log whose clips were shown in looks the yardstick is the mixture of looks that was on offer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.feedback import numbers, rows_in
from trainables.recommender.taste import Looks, finished


def watched_looks(
    events: pa.Table, product_ids: list[str], style_codes_nS: np.ndarray, preset_codes: Mapping[str, np.ndarray]
) -> Looks:
    """Presets with the mean and covariance to compare viewers by.

    A log without a finished watch of anything that has a code falls back to the catalogue, then to the presets.
    """
    presets_PS = np.stack([np.asarray(code, np.float64) for code in preset_codes.values()])
    done = finished(
        rows_in(events["event_type"], EVENT_TYPES),
        numbers(events["watch_seconds"]),
        numbers(events["duration_seconds"]),
    )
    style = rows_in(events["style"], list(preset_codes))[done]
    product = rows_in(events["product_id"], product_ids)[done]
    # One table of codes: presets, then products, then a row of NaN for what is not known.
    codes = np.concatenate([presets_PS, style_codes_nS, np.full((1, presets_PS.shape[1]), np.nan)])
    row = np.where(style >= 0, style, np.where(product >= 0, product + len(presets_PS), len(codes) - 1))
    count = np.bincount(row, minlength=len(codes)).astype(np.float64)
    for weight in (count, np.r_[np.zeros(len(presets_PS)), np.ones(len(codes) - len(presets_PS))], np.ones(len(codes))):
        known = (weight > 0) & ~np.isnan(codes).any(1)
        if known.any():
            mean = np.average(codes[known], axis=0, weights=weight[known])
            covariance = np.cov(codes[known].T, aweights=weight[known], bias=True)
            return Looks(dict(preset_codes), mean.astype(np.float32), covariance.astype(np.float32))
    raise ValueError("preset_codes is empty; at least one preset is needed")
