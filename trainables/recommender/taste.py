"""From what a viewer watched to the look their clips are made in.

The aesthetic vector is the faded mean of the style codes of what was watched to the end (liked and bought count as
well). Means of many codes all lie close to the catalogue's mean, so compared with the presets as they are, everybody
would get the look nearest to the middle. `look_for` therefore asks to which presets a viewer leans *more than others*:

1. the deviation from the usual is expressed in preset coordinates, c = P⁺(a − μ), where the columns of P are the
   presets' codes less their mean: a viewer who finishes nothing but neon has a large neon coordinate. The usual, μ, is
   the mean over all the viewer began to watch, finished or not, drawn towards what everybody finishes as long as that
   is little: nobody is taken for a friend of neon because neon is what they were shown;
2. each coordinate is divided by its standard error under the assumption of no taste;
3. a softmax of these z-scores gives weights over presets, and the look is the weighted mean of the preset codes.

A viewer of whom nothing is known gets the preset `minimal`.

Dims: S style code, P presets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.ease import fade
from trainables.recommender.feedback import LIKE, PURCHASE, WATCH, watched_share
from trainables.recommender.history import HistoryEvent

DEFAULT_PRESET = "minimal"
TO_THE_END = 0.8
"""Share of a clip, or of `FULL_WATCH_SECONDS` of a long one, that counts as watched to the end."""
FULL_WATCH_SECONDS = 20.0
MOST_LOOPS = 3.0
"""A clip that loops counts once for every time it was watched through, up to this."""
PRIOR_WATCHES = 5.0
"""How many watches of one's own weigh as much as what everybody watches, in what is usual for a viewer."""
SHARPNESS = 1.5
"""Weight ratio between two presets is exp(SHARPNESS · difference of their z-scores)."""
LEAST_WEIGHT = 0.1
"""Presets below this weight are left out of the blend, so that it stays a look instead of a mush."""


@dataclass(frozen=True)
class Looks:
    """The presets, and what everybody watches."""

    preset_codes: Mapping[str, np.ndarray]
    """Preset name → (S,)."""
    mean: np.ndarray
    """(S,), mean code of everybody's finished watches."""
    covariance: np.ndarray
    """(S, S), of the codes of single finished watches."""

    @cached_property
    def codes(self) -> np.ndarray:
        """(P, S) float64, the presets' codes."""
        return np.stack(list(self.preset_codes.values())).astype(np.float64)

    @cached_property
    def to_coordinates(self) -> np.ndarray:
        """P⁺ (P, S): from a deviation of codes to preset coordinates."""
        return np.linalg.pinv((self.codes - self.codes.mean(0)).T, rcond=1e-3)

    @cached_property
    def spread(self) -> np.ndarray:
        """(P,), standard deviation of each coordinate over single finished watches."""
        variance = np.einsum("ps,st,pt->p", self.to_coordinates, self.covariance, self.to_coordinates)
        # A log in which everybody watches the same codes has no spread to compare with: any deviation counts in full.
        return np.sqrt(np.maximum(variance, 1e-4))


@dataclass(frozen=True)
class Look:
    """What the generator is asked for."""

    code: np.ndarray
    """(S,) float32, weighted mean of preset codes."""
    nearest: str
    """The preset with the largest weight."""
    weights: dict[str, float]
    """Preset → weight; they sum to 1."""


def finished(type_E: np.ndarray, watch_E: np.ndarray, duration_E: np.ndarray) -> np.ndarray:
    """True for events that show liking the look: a watch to the end, a like, a purchase. NaN: time not known."""
    share, _, _ = watched_share(watch_E, duration_E, FULL_WATCH_SECONDS)
    with np.errstate(invalid="ignore"):
        return (type_E == LIKE) | (type_E == PURCHASE) | ((type_E == WATCH) & (share >= TO_THE_END))


@dataclass(frozen=True)
class Watched:
    """What a viewer began to watch or liked, as far as it has a style code."""

    codes_ES: np.ndarray
    """Codes of the events."""
    begun_E: np.ndarray
    """Faded weight of each."""
    finished_E: np.ndarray
    """The same, times how often it was watched through (up to 3); 0 where it was not finished."""

    @property
    def aesthetic(self) -> np.ndarray | None:
        """Mean code (S,) float32 of what was finished; None where nothing was."""
        if not self.finished_E.any():
            return None
        weight_E = self.finished_E / self.finished_E.max()  # what faded for decades is too small to divide by
        return (weight_E @ self.codes_ES / weight_E.sum()).astype(np.float32)


def watched(
    history: Sequence[HistoryEvent],
    style_code_of_product: Mapping[str, np.ndarray],
    preset_codes: Mapping[str, np.ndarray],
    now_ms: int,
    half_life_days: float,
) -> Watched:
    """Codes and weights of a history. Clicks, impressions and watches of unknown length say nothing about the look."""
    types = np.array([EVENT_TYPES.index(e.event_type) if e.event_type in EVENT_TYPES else -1 for e in history], int)
    times = [[np.nan if v is None else v for v in (e.watch_seconds, e.duration_seconds)] for e in history]
    watch_E, duration_E = np.array(times, float).reshape(-1, 2).T
    done = finished(types, watch_E, duration_E)
    with np.errstate(invalid="ignore", divide="ignore"):
        through = np.where((types == WATCH) & (watch_E > duration_E) & (duration_E > 0), watch_E / duration_E, 1.0)
    codes, kept = [], []
    for row, event in enumerate(history):
        code = preset_codes.get(event.style) if event.style else None
        code = style_code_of_product.get(event.product_id) if code is None else code
        if code is not None and (done[row] or (types[row] == WATCH and not np.isnan(watch_E[row]))):
            codes.append(code)
            kept.append(row)
    at_ms = np.array([history[row].at_ms for row in kept], np.int64)
    # Faded from the newest event that counts: a viewer who comes back after years still has a taste.
    begun = fade(at_ms, min(now_ms, at_ms.max(initial=0)), half_life_days)
    return Watched(np.array(codes, np.float64), begun, begun * done[kept] * np.minimum(through[kept], MOST_LOOPS))


def aesthetic_vector(
    history: Sequence[HistoryEvent],
    style_code_of_product: Mapping[str, np.ndarray],
    preset_codes: Mapping[str, np.ndarray],
    now_ms: int,
    half_life_days: float,
) -> np.ndarray | None:
    """Faded mean (S,) float32 of the codes of what was finished; None where nothing was.

    An event shown in a named look counts with the preset's code, any other with its product's own.
    """
    return watched(history, style_code_of_product, preset_codes, now_ms, half_life_days).aesthetic


def effective_count(weights_E: np.ndarray) -> float:
    """How many equally weighted watches tell as much: (Σw)² / Σw² (Kish); the same at any scale of the weights."""
    if not weights_E.any():
        return 0.0
    weights_E = weights_E / weights_E.max()  # squares of what faded for decades are 0
    return float(weights_E.sum() ** 2 / (weights_E**2).sum())


def look_for(aesthetic: np.ndarray | None, looks: Looks, watches: float = 1.0, usual: np.ndarray | None = None) -> Look:
    """Look of a viewer with this aesthetic vector.

    It is compared with `usual` (S,), what everybody finishes when None; their difference is as uncertain as the mean of
    `watches` watches.
    """
    names = tuple(looks.preset_codes)
    if aesthetic is None:
        return Look(np.asarray(looks.preset_codes[DEFAULT_PRESET], np.float32), DEFAULT_PRESET, {DEFAULT_PRESET: 1.0})
    coordinates = looks.to_coordinates @ (aesthetic - (looks.mean if usual is None else usual))
    z = coordinates / looks.spread * np.sqrt(max(watches, 1.0))
    weights = np.exp(SHARPNESS * (z - z.max()))
    weights /= weights.sum()
    weights = np.where(weights >= LEAST_WEIGHT, weights, 0)
    weights /= weights.sum()
    code = (weights @ looks.codes).astype(np.float32)
    blend = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight > 0}
    return Look(code, names[int(weights.argmax())], blend)


def viewer_look(
    history: Sequence[HistoryEvent],
    style_code_of_product: Mapping[str, np.ndarray],
    looks: Looks,
    now_ms: int,
    half_life_days: float,
) -> Look:
    """The whole way from a history to a look."""
    seen = watched(history, style_code_of_product, looks.preset_codes, now_ms, half_life_days)
    if seen.aesthetic is None:
        return look_for(None, looks)
    usual = (seen.begun_E @ seen.codes_ES + PRIOR_WATCHES * looks.mean) / (seen.begun_E.sum() + PRIOR_WATCHES)
    # Were all watches independent draws, the difference would have the variance σ² (1/part − 2/all + whole/all²).
    part = effective_count(seen.finished_E)
    whole = max(effective_count(seen.begun_E), part)
    total = whole + PRIOR_WATCHES
    return look_for(seen.aesthetic, looks, 1 / (1 / part - 2 / total + whole / total**2), usual)
