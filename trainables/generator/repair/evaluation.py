"""Measure repairs on clips that no training saw: every clip with every kind of damage, beside simple methods.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image
from scipy import ndimage

from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.repair.baselines import BASELINES, linear_in_time
from trainables.generator.repair.damage import KINDS, damage_clip
from trainables.generator.repair.repairer import Repairer
from trainables.generator.scoring.floor import stored
from trainables.metrics.image import luma

FRAMES = 16
"""Frames of a clip that are measured."""
FLOOR = "clean, as stored (floor)"
STILL = 0.1
"""Grey levels a frame: damage that moves less in the clean clip has no flicker ratio."""

GATE: tuple[Criterion, ...] = (
    Criterion(metric="hole_psnr", higher_is_better=True, tolerance=0.03, bound=17.0),
    Criterion(metric="hole_ssim", higher_is_better=True, tolerance=0.05, bound=0.6),
    Criterion(metric="gain_over_linear", higher_is_better=True, tolerance=0.5, bound=1.0),
    Criterion(metric="flicker_miss", higher_is_better=False, tolerance=0.5, bound=0.3),
)

Repair = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One repair of one damaged clip."""

    method: str
    source: str
    clip: str
    damage: str
    psnr: float
    """Of the damaged pixels, dB."""
    ssim: float
    """Mean over the damaged pixels of SSIM's map."""
    flicker: float
    """Mean |frame difference| inside the damage over the clean clip's; NaN where that stands still."""


def hole_psnr(mended_THWC: np.ndarray, clean_THWC: np.ndarray, mask_THW: np.ndarray) -> float:
    """10·log10(255² / MSE) over damaged pixels; 60 at most, so that a flawless clip does not outweigh all others."""
    difference = mended_THWC[mask_THW].astype(np.float64) - clean_THWC[mask_THW]
    return float(10 * np.log10(255**2 / max(np.mean(difference**2), 255**2 * 1e-6)))


def hole_ssim(mended_THWC: np.ndarray, clean_THWC: np.ndarray, mask_THW: np.ndarray) -> float:
    """SSIM's map of luma (Wang et al. 2004: Gaussian window σ 1.5, K 0.01 and 0.03), averaged over damaged pixels."""
    hurt = mask_THW.any((1, 2))
    x, y = luma(mended_THWC[hurt]), luma(clean_THWC[hurt])
    window = partial(ndimage.gaussian_filter, sigma=(0, 1.5, 1.5), truncate=5 / 1.5)
    mean_x, mean_y = window(x), window(y)
    spread = window(x * x) - mean_x**2 + window(y * y) - mean_y**2
    covariance = window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (spread + c2))
    return float(likeness[mask_THW[hurt]].mean())


def flicker_ratio(mended_THWC: np.ndarray, clean_THWC: np.ndarray, mask_THW: np.ndarray) -> float:
    """Mean |y_{t+1} − y_t| over mean |x_{t+1} − x_t| where either frame is damaged: 1 moves as the clean clip does,
    below it stands still or is blurred, above it flickers. NaN where the clean clip moves by less than `STILL`.
    """
    hurt = mask_THW[1:] | mask_THW[:-1]
    change, true = (np.abs(np.diff(v.astype(np.float64), axis=0))[hurt] for v in (mended_THWC, clean_THWC))
    return float(change.mean() / true.mean()) if len(true) and true.mean() >= STILL else float("nan")


def measure(
    methods: Mapping[str, Repair], clips: Sequence[np.ndarray], names: Sequence[str], sources: Sequence[str]
) -> list[Row]:
    """Every method on every clip uint8 (T, H, W, 3) with every kind of damage; what is damaged depends on the clip's
    name alone.
    """
    rows = []
    for clean, name, source in zip(clips, names, sources, strict=True):
        for kind in KINDS:
            damaged, mask = damage_clip(clean, kind, np.random.default_rng(zlib.crc32(f"{name}/{kind}".encode())))
            if not mask.any():
                continue
            for method, repair in methods.items():
                mended = repair(damaged, mask)
                measured = (f(mended, clean, mask) for f in (hole_psnr, hole_ssim, flicker_ratio))
                psnr, ssim, flicker = measured
                rows.append(
                    Row(method=method, source=source, clip=name, damage=kind, psnr=psnr, ssim=ssim, flicker=flicker)
                )
    return rows


def evaluate(
    repairers: Mapping[str, Repairer], clips: Sequence[np.ndarray], names: Sequence[str], sources: Sequence[str]
) -> list[Row]:
    """Rows of models by name, beside the simple methods and the floor."""
    models, rows = {name: repairer.repair for name, repairer in repairers.items()}, []
    for clean, name, source in zip(clips, names, sources, strict=True):
        methods = {**BASELINES, FLOOR: partial(_whatever_came, stored(clean)), **models}
        rows += measure(methods, [clean], [name], [source])
    return rows


def _whatever_came(result_THWC: np.ndarray, frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    return result_THWC


def table(rows: Sequence[Row]) -> list[dict[str, str | float]]:
    """Means by method, source and damage, with "all" for either: method, source, damage, clips, psnr, ssim, flicker."""
    lines: list[dict[str, str | float]] = []
    sources, damages = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("source", "damage"))
    for source in [*sources, "all"]:
        for damage in [*damages, "all"]:
            for method in dict.fromkeys(row.method for row in rows):
                chosen = [
                    row
                    for row in rows
                    if row.method == method and source in (row.source, "all") and damage in (row.damage, "all")
                ]
                if chosen:
                    lines.append({"source": source, "damage": damage, "method": method} | _means(chosen))
    return lines


def _means(rows: Sequence[Row]) -> dict[str, float]:
    flicker = [row.flicker for row in rows if np.isfinite(row.flicker)]
    return {
        "clips": len(rows),
        "psnr": float(np.mean([row.psnr for row in rows])),
        "ssim": float(np.mean([row.ssim for row in rows])),
        "flicker": float(np.mean(flicker)) if flicker else float("nan"),
    }


def evaluate_dataset(repairer: Repairer, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
    """Means over products × kinds of damage:

    hole_psnr         dB over damaged pixels
    hole_ssim         SSIM over damaged pixels
    gain_over_linear  hole_psnr above linear in time
    flicker_miss      |flicker ratio − 1|
    score             −hole_psnr: one number for sweeps, lower is better
    """
    clips = [dataset.clip(product_id).frames_THWC[:FRAMES] for product_id in product_ids]
    methods = {"repair": repairer.repair, "linear": linear_in_time}
    rows = measure(methods, clips, product_ids, ["shop"] * len(clips))
    own, simple = (_means([row for row in rows if row.method == name]) for name in methods)
    return {
        "hole_psnr": own["psnr"],
        "hole_ssim": own["ssim"],
        "gain_over_linear": own["psnr"] - simple["psnr"],
        "flicker_miss": abs(own["flicker"] - 1) if np.isfinite(own["flicker"]) else 0.0,
        "score": -own["psnr"],
    }


def sheet(repairer: Repairer, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:
    """A clip and kind of damage a row: damaged, mask, mended by linear in time, mended, clean; of its worst frame."""
    rows, labels = [], []
    for index, (clean, name) in enumerate(zip(clips, names, strict=True)):
        kind = KINDS[index % len(KINDS)]
        damaged, mask = damage_clip(clean, kind, np.random.default_rng(zlib.crc32(f"{name}/{kind}".encode())))
        if not mask.any():
            continue
        t = int(mask.sum((1, 2)).argmax())
        cover = np.repeat(mask[t].astype(np.uint8)[..., None] * 255, 3, -1)
        mended = repairer.repair(damaged, mask)
        rows.append([damaged[t], cover, linear_in_time(damaged, mask)[t], mended[t], clean[t]])
        labels.append(f"{name}\n{kind}")
    return contact_sheet(rows, labels, ["damaged", "mask", "linear in time", "mended", "clean"], title=title)
