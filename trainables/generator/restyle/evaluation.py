"""Measure a generator bundle on products it never saw: every held-out product in every preset.

Dims: T frames, H height, W width, S style code.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from trainables.data.dataset import Dataset
from trainables.data.style_code import CODE_DIM, style_code
from trainables.gate import Criterion
from trainables.generator.restyle.presets import PRESETS, preset_codes
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.usability.gate import UsabilityGate
from trainables.metrics.image import sobel_correlation, ssim
from trainables.metrics.motion import static_flicker, temporal_error

FRAMES = 6
_TEXTURE = slice(CODE_DIM - 12, CODE_DIM)
"""Edge energies of the style code; no loss computes them."""

GATE: tuple[Criterion, ...] = (
    Criterion(metric="style_distance", higher_is_better=False, tolerance=0.05, bound=0.95),
    Criterion(metric="content_ssim", higher_is_better=True, tolerance=0.1, bound=0.35),
    Criterion(metric="sobel_correlation", higher_is_better=True, tolerance=0.05, bound=0.55),
    Criterion(metric="static_flicker", higher_is_better=False, tolerance=0.25, bound=2.0),
    # Of the presets minimal and ink are the most alike, both pale: 11 grey levels apart on photos of garments, where
    # looks at half their strength would be 5 apart.
    Criterion(metric="look_separation", higher_is_better=True, tolerance=0.25, bound=8.0),
    # Of 36 clips, one product whose edges drown in its own backdrop costs three; the server shows the original instead.
    Criterion(metric="usable_share", higher_is_better=True, tolerance=0.05, bound=0.85),
)


def evaluate(restyler: Restyler, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
    """Means over products × presets:

    style_distance     ‖code(y) − code‖ / ‖code(x) − code‖, below 1 is nearer to the look than the unstyled source
    texture_distance   the same on the code's edge energies alone, which no loss uses
    content_ssim       SSIM of luma against the source
    sobel_correlation  of contours against the source
    temporal_error     against the source's own motion
    static_flicker     grey levels where the source stands still
    usable_share       share of clips that the usability gate would show
    look_separation    mean |difference| in grey levels between the two most alike presets
    score              style_distance + 1 − sobel_correlation: one number for sweeps, lower is better
    """
    codes, gate = preset_codes(), UsabilityGate()
    rows: list[dict[str, float]] = []
    apart = {pair: [] for pair in itertools.combinations(PRESETS, 2)}
    for product_id in product_ids:
        source = dataset.clip(product_id).frames_THWC[:FRAMES]
        source_code = style_code(source)
        restyled = restyler.restyle([source] * len(PRESETS), np.stack([codes[name] for name in PRESETS]))
        looks = dict(zip(PRESETS, restyled, strict=True))
        for name in PRESETS:
            usable = gate.check(looks[name], source).usable
            rows.append({**_measure(looks[name], source, codes[name], source_code), "usable_share": float(usable)})
        for first, second in apart:
            difference = np.abs(looks[first].astype(np.float32) - looks[second].astype(np.float32))
            apart[first, second].append(difference.mean())
    metrics = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    metrics["look_separation"] = float(min(np.mean(values) for values in apart.values()))
    metrics["score"] = metrics["style_distance"] + 1 - metrics["sobel_correlation"]
    return metrics


def _measure(
    restyled: np.ndarray, source: np.ndarray, code_S: np.ndarray, source_code_S: np.ndarray
) -> dict[str, float]:
    reached = style_code(restyled)
    moving = len(source) > 1
    return {
        "style_distance": _ratio(reached - code_S, source_code_S - code_S),
        "texture_distance": _ratio((reached - code_S)[_TEXTURE], (source_code_S - code_S)[_TEXTURE]),
        "content_ssim": ssim(restyled, source),
        "sobel_correlation": sobel_correlation(restyled, source),
        "temporal_error": temporal_error(restyled, source) if moving else 0.0,
        "static_flicker": static_flicker(restyled, source) if moving else 0.0,
    }


def _ratio(left: np.ndarray, before: np.ndarray) -> float:
    return float(np.linalg.norm(left) / max(np.linalg.norm(before), 1e-3))
