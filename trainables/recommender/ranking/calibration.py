"""Calibrated chances: a logistic map of the logit with an offset per surface (Platt 1999), shrunk to the common one.

Dims: N impressions, S surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLIP = 1e-4
OFFSET_PRIOR = 100.0
"""Impressions' worth of variance with which a surface's offset is pulled to 0."""
LEVEL_PRIOR = 1000.0
"""The same for the common intercept: a small log's newest impressions are few."""
FIXED = 1e12
"""Precision of a weight that is given."""
NEWTON_STEPS = 20


@dataclass(frozen=True)
class Calibration:
    """logit → slope · logit + intercept + offset of the surface."""

    slope: float
    intercept: float
    offset_S: np.ndarray

    @classmethod
    def fit(
        cls,
        logit_N: np.ndarray,
        surface_N: np.ndarray,
        happened_N: np.ndarray,
        surfaces: int,
        slope: float | None = None,
    ) -> Calibration:
        """Maximum likelihood by Newton, of intercept and offsets alone where `slope` is given; with one class only, the
        identity."""
        if len(np.unique(happened_N)) < 2:
            return cls(1.0, 0.0, np.zeros(surfaces))
        design = np.zeros((len(logit_N), 2 + surfaces))
        design[:, 0], design[:, 1] = logit_N, 1.0
        design[np.arange(len(logit_N)), 2 + surface_N] = 1.0
        precision = np.r_[1.0 if slope is None else FIXED, LEVEL_PRIOR / 4, np.full(surfaces, OFFSET_PRIOR / 4)]
        centre = np.r_[1.0 if slope is None else slope, 0.0, np.zeros(surfaces)]
        weights = centre.copy()
        for _ in range(NEWTON_STEPS):
            chance = sigmoid(design @ weights)
            gradient = design.T @ (happened_N - chance) - precision * (weights - centre)
            curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(precision)
            step = np.linalg.solve(curvature, gradient)
            weights = weights + step
            if np.abs(step).max() < 1e-8:
                break
        if weights[0] <= 0:  # a ranking that is worse than chance is flattened, never turned round
            return cls(1e-3, float(logit(np.array([happened_N.mean()]))[0]), np.zeros(surfaces))
        return cls(float(weights[0]), float(weights[1]), weights[2:])

    def __call__(self, logit_N: np.ndarray, surface_N: np.ndarray) -> np.ndarray:
        """Chances, strictly between 0 and 1."""
        chance = sigmoid(self.slope * logit_N + self.intercept + self.offset_S[surface_N])
        return np.clip(chance, CLIP, 1 - CLIP)


def sigmoid(logit_N: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x))."""
    return 1 / (1 + np.exp(-np.clip(logit_N, -30, 30)))


def logit(chance_N: np.ndarray) -> np.ndarray:
    """log(p / (1 − p)) of chances, kept off 0 and 1."""
    chance_N = np.clip(chance_N, CLIP, 1 - CLIP)
    return np.log(chance_N / (1 - chance_N))
