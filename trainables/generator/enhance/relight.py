"""Relighting: one tone curve for a whole clip, so that nothing flickers.

The curve is a straight line in Oklab lightness with soft ends, L' = soft(gain·L + lift): smooth and rising. Its two
numbers are solved for on the clip's histogram, so that mean and deviation become the wanted ones. A gain alone is
what a longer or shorter exposure does.
Dims: T frames, H height, W width, C = 3 channels, K bins of the histogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cluster.errors import InputError
from trainables.data.style_code import LINEAR_TO_LMS, LMS_TO_OKLAB, rgb_to_oklab

BINS = 1024
STEEPEST, FLATTEST = 3.0, 0.1
"""Bounds of the gain: beyond them a picture turns into a stencil or into fog, and compression shows."""
KNEE = 0.015
"""Lightness over which the line bends into black and into white."""
_ROUNDS = 3
"""Colours that the curve drives out of sRGB are cut off; so often the targets are moved to make up for it."""
_TO_LMS = np.linalg.inv(LMS_TO_OKLAB).T.astype(np.float32)
_TO_LINEAR = np.linalg.inv(LINEAR_TO_LMS).T.astype(np.float32)
_BINS_K = (np.arange(BINS) + 0.5) / BINS


@dataclass(frozen=True)
class ToneCurve:
    """L' = soft(gain·L + lift), 0…1."""

    gain: float = 1.0
    lift: float = 0.0

    def __call__(self, lightness: np.ndarray) -> np.ndarray:
        """Lightness 0…1 of any shape → the same, float32."""
        return np.interp(lightness, _BINS_K, self.bins()).astype(np.float32)

    def bins(self) -> np.ndarray:
        """Values at the centres of the bins."""
        line_K = (self.gain * _BINS_K + self.lift) / KNEE
        return KNEE * (np.logaddexp(0, line_K) - np.logaddexp(0, line_K - 1 / KNEE))


def light(frames_THWC: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of Oklab lightness over a clip uint8 (T, H, W, 3), 0…1."""
    return _moments(_histogram(frames_THWC), _BINS_K)


def check_light(brightness: float | None, contrast: float | None) -> None:
    """Refuse targets that `relight` does not take."""
    for name, value, most in (("brightness", brightness, 1.0), ("contrast", contrast, 0.5)):
        if value is not None and not 0 < value < most:
            raise InputError(f"{name} is {value}; it is of Oklab lightness, set it above 0 and below {most:g}")


def relight(frames_THWC: np.ndarray, brightness: float | None = None, contrast: float | None = None) -> np.ndarray:
    """The clip, uint8 (T, H, W, 3), with the wanted mean and deviation of Oklab lightness.

    Without a brightness the mean stays; without a contrast the light changes as another exposure would change it.
    Targets no curve reaches (a mean of 0.95 with a deviation of 0.3) are met as nearly as a curve can.
    """
    check_light(brightness, contrast)
    weights_K = _histogram(frames_THWC)
    mean = _moments(weights_K, _BINS_K)[0] if brightness is None else brightness
    wanted = np.array([mean, contrast or 0.0])
    aim, relit = wanted.copy(), frames_THWC
    for _ in range(_ROUNDS):
        relit = apply_curve(frames_THWC, fit_curve(weights_K, aim[0], None if contrast is None else aim[1]))
        aim = np.clip(aim + wanted - light(relit), 1e-3, [0.999, 0.499])
    return relit


def fit_curve(weights_K: np.ndarray, mean: float, deviation: float | None) -> ToneCurve:
    """The curve under which a histogram (shares that sum to 1) gets this mean and deviation; without a deviation it is
    a gain alone.

    The mean rises with lift and gain, and at a fixed mean the deviation rises with the gain, so all are bisected.
    """

    def lifted(gain: float) -> ToneCurve:
        lift = _bisect(lambda lift: _moments(weights_K, ToneCurve(gain, lift).bins())[0] < mean, -gain, 1.0)
        return ToneCurve(gain, lift)

    if deviation is None:
        return ToneCurve(_bisect(lambda gain: _moments(weights_K, ToneCurve(gain).bins())[0] < mean, 0.0, STEEPEST))
    gain = _bisect(lambda gain: _moments(weights_K, lifted(gain).bins())[1] < deviation, FLATTEST, STEEPEST)
    return lifted(gain)


def apply_curve(frames_THWC: np.ndarray, curve: ToneCurve) -> np.ndarray:
    """Lightness through the curve, hue kept; colourfulness follows the gamut towards black and towards white."""
    relit = np.empty_like(frames_THWC)
    for index, frame in enumerate(frames_THWC):
        lab_HWC = rgb_to_oklab(frame)
        before, after = lab_HWC[..., :1].clip(1e-4, 1 - 1e-4), curve(lab_HWC[..., :1])
        share = np.where(after < before, after / before, (1 - after) / (1 - before))
        relit[index] = _to_rgb(np.concatenate([after, lab_HWC[..., 1:] * share], -1))
    return relit


def _bisect(too_low: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return (low + high) / 2


def _histogram(frames_THWC: np.ndarray) -> np.ndarray:
    counts = np.zeros(BINS)
    for frame in frames_THWC:
        place = (rgb_to_oklab(frame)[..., 0].ravel() * BINS).astype(np.int64).clip(0, BINS - 1)
        counts += np.bincount(place, minlength=BINS)
    return counts / counts.sum()


def _moments(weights_K: np.ndarray, values_K: np.ndarray) -> tuple[float, float]:
    mean = float(weights_K @ values_K)
    return mean, float(np.sqrt(max(weights_K @ (values_K - mean) ** 2, 0.0)))


def _to_rgb(lab_HWC: np.ndarray) -> np.ndarray:
    """Oklab → uint8 sRGB, colours outside cut off."""
    linear = ((lab_HWC @ _TO_LMS) ** 3 @ _TO_LINEAR).clip(0, 1)
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(value * 255).clip(0, 255).astype(np.uint8)
