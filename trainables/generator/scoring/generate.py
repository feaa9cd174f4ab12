"""Score made clips against real ones no training saw, beside real clips spoilt in known ways.

Dims: N clips, T frames, H height, W width, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from cluster.errors import InputError
from trainables.data.contact_sheet import contact_sheet
from trainables.generator.scoring.features import ScoringFeatures
from trainables.metrics.distances import (
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_distances,
    precision_recall_density_coverage,
)
from trainables.metrics.motion import motion_magnitude

SEEDS = (0, 1, 2)
FRECHET = ("appearance_frechet", "motion_frechet")
NEIGHBOURS = 5
FLOOR = "real clips (floor)"
MEASURES = {
    "appearance_kernel": "kernel distance × 1000 of clips' mean frame features; 0 is real",
    "motion_kernel": "the same of mean feature changes between frames",
    "appearance_frechet": "Fréchet distance of the same features, in every row of sets half as large as the real one, "
    "for it grows as sets shrink; separates little below hundreds of clips",
    "motion_frechet": "the same of changes",
    "precision": "share of made clips among real ones",
    "recall": "share of real clips among made ones",
    "density": "how deep made clips lie among real ones; 1 is real",
    "coverage": "share of real clips with a made one near",
    "motion_magnitude": "grey levels of change between frames, over the real clips'",
    "diversity": "mean distance between two clips, over the real clips'",
    "nearest_known": "median distance to the nearest training clip, over held-out real clips'; near 0 are copies",
    "closest_known": "the same of the one clip nearest to a training clip, over the nearest held-out real clip's",
}


@dataclass(frozen=True)
class Described:
    """A set of clips as the measures see it."""

    appearance_NF: np.ndarray
    motion_NF: np.ndarray
    magnitude_N: np.ndarray
    """Mean change between frames, grey levels."""

    def of(self, places: np.ndarray) -> Described:
        """Some of the clips."""
        return Described(self.appearance_NF[places], self.motion_NF[places], self.magnitude_N[places])


def describe(features: ScoringFeatures, clips: Sequence[np.ndarray]) -> Described:
    """Features of clips uint8 (T, H, W, 3), T ≥ 2."""
    return Described(*features.of_clips(clips), np.array([motion_magnitude(clip) for clip in clips]))


def compare_sets(real: Described, made: Described, known: Described | None = None) -> dict[str, float]:
    """Every one of `MEASURES`; those of `known` where the training clips are given.

    Features are divided by the real set's root mean square, so that kernel distances have one scale.
    """
    scale = float(np.sqrt(np.mean(real.appearance_NF.astype(np.float64) ** 2)))
    real_look, made_look = real.appearance_NF / scale, made.appearance_NF / scale
    real_move, made_move = real.motion_NF / scale, made.motion_NF / scale
    spread = precision_recall_density_coverage(real_look, made_look, min(NEIGHBOURS, len(made_look) - 1))
    measures = {
        "appearance_kernel": kernel_distance(real_look, made_look),
        "motion_kernel": kernel_distance(real_move, made_move),
        "appearance_frechet": frechet_distance(real_look, made_look),
        "motion_frechet": frechet_distance(real_move, made_move),
        **asdict(spread),
        "motion_magnitude": float(made.magnitude_N.mean() / max(real.magnitude_N.mean(), 1e-3)),
        "diversity": diversity(made_look) / max(diversity(real_look), 1e-9),
    }
    if known is not None:
        known_look = known.appearance_NF / scale
        usual, found = nearest_distances(real_look, known_look), nearest_distances(made_look, known_look)
        measures["nearest_known"] = float(np.median(found) / max(np.median(usual), 1e-9))
        measures["closest_known"] = float(found.min() / max(usual.min(), 1e-9))
    return measures


Make = Callable[[int, int], Sequence[np.ndarray]]
"""Count of clips and seed → clips uint8 (T, H, W, 3)."""


def compare(
    makers: Mapping[str, Make],
    real_clips: Sequence[np.ndarray],
    features: ScoringFeatures,
    known_clips: Sequence[np.ndarray] | None = None,
    seeds: Sequence[int] = SEEDS,
    on_set: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Measures of real clips spoilt in known ways, of the floor, and of what each maker makes over the seeds: their
    mean under its name and their deviation as `NAME, deviation`.

    The floor is one half of the real clips against the other, and so are the spoilt ones: a clip beside its own spoilt
    copy would be nearer than a fresh one can be.
    """
    if len(real_clips) < 2 * NEIGHBOURS + 2:
        raise InputError(f"{len(real_clips)} real clips are too few to compare with; give at least 12")
    real = describe(features, real_clips)
    known = describe(features, known_clips) if known_clips is not None else None
    on_set()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(real_clips))
    ours, theirs = order[0::2], order[1::2]
    half = real.of(ours)
    rows = {FLOOR: compare_sets(half, real.of(theirs), known)}
    for name, spoil in SPOILT.items():
        spoilt = describe(features, [spoil(real_clips[place], rng) for place in theirs])
        rows[name] = compare_sets(half, spoilt, known)
        on_set()
    for name, make in makers.items():
        runs = []
        for seed in seeds:
            made = describe(features, make(len(real_clips), seed))
            of_halves = compare_sets(half, made.of(theirs))
            runs.append(compare_sets(real, made, known) | {measure: of_halves[measure] for measure in FRECHET})
            on_set()
        rows[name] = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        rows[f"{name}, deviation"] = {key: float(np.std([run[key] for run in runs])) for key in runs[0]}
    return rows


def blurred(clip_THWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reduced four times and enlarged again."""
    height, width = clip_THWC.shape[1:3]
    small = (max(1, width // 4), max(1, height // 4))
    return np.stack(
        [
            np.asarray(
                Image.fromarray(frame)
                .resize(small, Image.Resampling.BOX)
                .resize((width, height), Image.Resampling.BICUBIC)
            )
            for frame in clip_THWC
        ]
    )


def noisy(clip_THWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of deviation 0.15 on a scale of 0…1."""
    return (clip_THWC + rng.normal(0, 0.15 * 255, clip_THWC.shape)).clip(0, 255).round().astype(np.uint8)


SPOILT: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "real, blurred 4 ×": blurred,
    "real, noise 0.15": noisy,
    "real, first frame frozen": lambda clip, rng: np.repeat(clip[:1], len(clip), 0),
    "real, frames shuffled": lambda clip, rng: clip[rng.permutation(len(clip))],
    "pure noise": lambda clip, rng: rng.integers(0, 256, clip.shape, dtype=np.uint8),
}


def sheet(clips: Sequence[np.ndarray], title: str, columns: int = 8) -> Image.Image:
    """First and last frame of every clip side by side, several clips a row."""
    pictures = [np.concatenate([clip[0], clip[-1]], 1) for clip in clips]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    return contact_sheet(rows, title=title)
