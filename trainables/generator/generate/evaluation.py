"""Measure a clip generator against clips of products it never saw.

The features are those of the frozen trunk that training uses, so the figures are for sweeps and the gate; reports and
model cards take theirs from `trainables.generator.scoring`.
Dims: T frames, H height, W width, N clips, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cluster.errors import InputError
from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.features import FrozenFeatures
from trainables.generator.generate.clip_maker import MOST_FRAMES, ClipMaker
from trainables.metrics.distances import distances, diversity, kernel_distance

FRAMES = 8
LEAST_PRODUCTS = 2
"""Held-out products without which nothing can be said of diversity."""
CLIPS = 12
"""Clips made for the measure, at least; as many as there are held-out products where those are more."""

GATE: tuple[Criterion, ...] = (
    Criterion(metric="motion_magnitude", higher_is_better=True, tolerance=0.5, bound=0.2),
    Criterion(metric="diversity", higher_is_better=True, tolerance=0.25, bound=0.4),
    Criterion(metric="distance_to_exemplars", higher_is_better=True, tolerance=0.25, bound=0.25),
    Criterion(metric="score", higher_is_better=False, tolerance=0.5),
)


def evaluate(maker: ClipMaker, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
    """Made clips against held-out ones (64 pixels, features over the real ones' root mean square):

    appearance             kernel distance × 1000 of mean frame features
    motion                 the same of mean absolute changes between frames
    motion_magnitude       mean change between frames, over that of real clips
    diversity              mean distance between two clips, over that of real clips
    distance_to_exemplars  mean distance to the nearest exemplar the clip was drawn from, over real clips' own distances
    score                  appearance + motion, each at least 0: one number for sweeps, lower is better
    """
    if len(product_ids) < LEAST_PRODUCTS:
        raise InputError(f"measuring generated clips needs at least {LEAST_PRODUCTS} held-out products; import more")
    features = _ClipFeatures()
    whole = [dataset.clip(product_id).frames_THWC for product_id in product_ids]
    # Made as long as real ones and cut like them: a shorter clip would run through its camera move faster.
    frames = min(MOST_FRAMES, *(len(clip) for clip in whole))
    made = maker.make(max(CLIPS, len(whole)), seed=0, size=64, frames=frames)
    real_look, real_move = features([_halved(clip[:FRAMES]) for clip in whole])
    made_look, made_move = features([clip[:FRAMES] for clip in made])
    exemplars, _ = features([_halved(np.repeat(picture[None], 2, 0)) for picture in maker.drafter.pictures(64)])
    scale = float(np.sqrt((real_look**2).mean()))
    real_look, real_move, made_look, made_move, exemplars = (
        value / scale for value in (real_look, real_move, made_look, made_move, exemplars)
    )
    metrics = {
        "appearance": kernel_distance(real_look, made_look),
        "motion": kernel_distance(real_move, made_move),
        "motion_magnitude": float(made_move.mean() / max(real_move.mean(), 1e-6)),
        "diversity": diversity(made_look) / max(diversity(real_look), 1e-6),
        "distance_to_exemplars": float(distances(made_look, exemplars).min(1).mean() / max(diversity(real_look), 1e-6)),
    }
    return metrics | {"score": max(metrics["appearance"], 0.0) + max(metrics["motion"], 0.0)}


class _ClipFeatures:
    """Clips uint8 (T, H, W, 3) → appearance and motion (N, F), channel means of the trunk's last two levels."""

    def __init__(self) -> None:
        self.trunk = FrozenFeatures()

    @torch.inference_mode()
    def __call__(self, clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        looks, moves = [], []
        for clip_THWC in clips:
            frames_NCHW = torch.from_numpy(np.array(clip_THWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
            each = torch.cat([level.mean((2, 3)) for level in self.trunk(frames_NCHW)[-2:]], 1)
            looks.append(each.mean(0))
            moves.append(each.diff(dim=0).abs().mean(0))
        return torch.stack(looks).numpy(), torch.stack(moves).numpy()


def _halved(clip_THWC: np.ndarray) -> np.ndarray:
    """Every clip at 64 pixels, as made clips are here."""
    frames = torch.from_numpy(np.array(clip_THWC)).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(frames, (64, 64), mode="bilinear", antialias=True, align_corners=False)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
