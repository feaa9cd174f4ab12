"""Measure an enhancement bundle on clips it never saw: each is spoilt in one fixed way and brought back.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from cluster.errors import InputError
from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.bundles import SMALLEST
from trainables.generator.enhance.baselines import BASELINES, bicubic
from trainables.generator.enhance.degradation import Degradation, degrade
from trainables.generator.enhance.enhancer import LARGEST, Enhancer
from trainables.generator.scoring.floor import stored
from trainables.metrics.image import luma, psnr, ssim
from trainables.metrics.motion import static_flicker

if TYPE_CHECKING:
    from trainables.generator.scoring.features import ScoringFeatures

FRAMES = 16
FLOOR = "clean, as stored (floor)"
HIGHEST_PSNR = 60.0
"""dB that a clip counts as having at most, or one that is matched exactly would outweigh all others."""
LEAST_SHARPNESS = 0.1
"""Grey levels a pixel that a clean clip counts as having, or one of a single colour would outweigh all others."""
MULTIPLE = 4
"""Sides are cut to multiples of it."""
STANDARD = Degradation()
"""How clips are spoilt here: blur 0.5, half the size, noise 0.06, H.264 at crf 35."""

GATE: tuple[Criterion, ...] = (
    Criterion(metric="faithful_gain", higher_is_better=True, tolerance=0.1, bound=0.2),
    Criterion(metric="ssim_gain", higher_is_better=True, tolerance=0.1, bound=0.0),
    Criterion(metric="vivid_gain", higher_is_better=True, tolerance=0.5, bound=-0.5),
    Criterion(metric="vivid_sharpness", higher_is_better=True, tolerance=0.1, bound=0.6),
    Criterion(metric="vivid_static_flicker", higher_is_better=False, tolerance=0.25, bound=2.0),
)


Enhance = Callable[[np.ndarray, int], np.ndarray]
"""Spoilt clip uint8 (T, h, w, 3) and scale → (T, scale·h, scale·w, 3)."""


def spoil(clean_THWC: np.ndarray, how: Degradation = STANDARD) -> np.ndarray:
    """The clip after `how`; the noise depends on the clip's first frame alone."""
    return degrade(clean_THWC, how, np.random.default_rng(zlib.crc32(clean_THWC[0].tobytes())))


def sharpness(frames_THWC: np.ndarray) -> float:
    """Mean magnitude of the luma's gradient, grey levels a pixel."""
    down, right = np.gradient(luma(frames_THWC), axis=(-2, -1))
    return float(np.hypot(down, right).mean())


def measure(
    enhanced_THWC: np.ndarray, clean_THWC: np.ndarray, features: ScoringFeatures | None = None
) -> dict[str, float]:
    """psnr in dB, 60 at most; ssim; sharpness over the clean clip's; static flicker in grey levels; with features also
    the perceptual distance.
    """
    measures = {
        "psnr": min(psnr(enhanced_THWC, clean_THWC), HIGHEST_PSNR),
        "ssim": ssim(enhanced_THWC, clean_THWC),
        "sharpness": sharpness(enhanced_THWC) / max(sharpness(clean_THWC), LEAST_SHARPNESS),
        "static_flicker": static_flicker(enhanced_THWC, clean_THWC) if len(clean_THWC) > 1 else 0.0,
    }
    if features is not None:
        from trainables.generator.scoring.perceptual import perceptual_distance

        measures["perceptual"] = perceptual_distance(features, enhanced_THWC, clean_THWC)
    return measures


def modes_of(enhancer: Enhancer) -> dict[str, Enhance]:
    """Both of a model's methods by name."""
    return {"faithful": partial(enhancer.enhance, mode="faithful"), "vivid": partial(enhancer.enhance, mode="vivid")}


def compare(
    methods: Mapping[str, Enhance],
    clean: Sequence[np.ndarray],
    *,
    how: Degradation = STANDARD,
    features: ScoringFeatures | None = None,
) -> dict[str, dict[str, float]]:
    """Means of `measure` over clips uint8 (T, H, W, 3), cut to sides that suit H.264 at half the size: the baselines,
    the floor (the clean clip after storage), and `methods` by name.

    With features, `perceptual_share` is the perceptual distance as a share of bicubic's.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for clean_THWC in map(_even, clean):
        spoilt = spoil(clean_THWC, how)
        results = {name: method(spoilt, how.scale) for name, method in BASELINES.items()}
        results[FLOOR] = stored(clean_THWC)
        results |= {name: method(spoilt, how.scale) for name, method in methods.items()}
        for name, result in results.items():
            rows.setdefault(name, []).append(measure(result, clean_THWC, features))
    table = {name: {key: float(np.mean([m[key] for m in ms])) for key in ms[0]} for name, ms in rows.items()}
    if features is not None:
        for means in table.values():
            means["perceptual_share"] = means["perceptual"] / table["bicubic"]["perceptual"]
    return table


def check_sizes(clean: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """InputError with the name of a clip that, cut and at half its size, the enhancer would refuse."""
    for clip_THWC, name in zip(clean, names, strict=True):
        height, width = clip_THWC.shape[1:3]
        least, most = (STANDARD.scale * side for side in (SMALLEST, LARGEST))
        if not least <= min(height, width) <= max(height, width) < most + MULTIPLE:
            raise InputError(
                f"clip {name} is {height} × {width} pixels; enhancing is measured on sides of {least} to {most}; "
                "leave it out or import it smaller"
            )


def evaluate(enhancer: Enhancer, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
    """What the gate looks at, means over products:

    faithful_gain, vivid_gain   PSNR over bicubic's, dB
    ssim_gain                   SSIM of the faithful clip over bicubic's
    vivid_sharpness             mean gradient magnitude over the clean clip's
    vivid_static_flicker        grey levels where the clean clip stands still
    score                       −faithful_gain: one number for sweeps, lower is better
    """
    clean = [dataset.clip(product_id).frames_THWC[:FRAMES] for product_id in product_ids]
    check_sizes(clean, product_ids)
    table = compare(modes_of(enhancer), clean)
    plain, faithful, vivid = table["bicubic"], table["faithful"], table["vivid"]
    return {
        "faithful_gain": faithful["psnr"] - plain["psnr"],
        "vivid_gain": vivid["psnr"] - plain["psnr"],
        "ssim_gain": faithful["ssim"] - plain["ssim"],
        "vivid_sharpness": vivid["sharpness"],
        "vivid_static_flicker": vivid["static_flicker"],
        "score": plain["psnr"] - faithful["psnr"],
    }


def sheet(
    enhancer: Enhancer,
    clean: Sequence[np.ndarray],
    names: Sequence[str],
    title: str,
    *,
    how: Degradation = STANDARD,
    cell: int | None = None,
) -> Image.Image:
    """A clip a row, its middle frame: as uploaded, bicubic, faithful, vivid, clean."""
    rows = []
    for clean_THWC in clean:
        clip = _even(clean_THWC[:FRAMES])
        spoilt, middle = spoil(clip, how), len(clip) // 2
        uploaded = cv2.resize(spoilt[middle], clip.shape[2:0:-1], interpolation=cv2.INTER_NEAREST)
        enhanced = [enhancer.enhance(spoilt, how.scale, mode)[middle] for mode in ("faithful", "vivid")]
        rows.append([uploaded, bicubic(spoilt, how.scale)[middle], *enhanced, clip[middle]])
    columns = ["uploaded", "bicubic", "faithful", "vivid", "clean"]
    return contact_sheet(rows, list(names[: len(rows)]), columns, title=title, cell=cell)


def _even(frames_THWC: np.ndarray) -> np.ndarray:
    """Sides cut so that the half of them suits H.264."""
    height, width = (side - side % MULTIPLE for side in frames_THWC.shape[1:3])
    return np.ascontiguousarray(frames_THWC[:, :height, :width])
