"""The usability gate: a generated clip is shown, or refused with the reasons. Bounds are calibrated by `calibrate`.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cluster.errors import InputError
from trainables.generator.usability import motion, pixels
from trainables.generator.usability.recognition import feature_agreement
from trainables.generator.usability.safety import NOT_MADE, SafetyClassifier, installed_classifier
from trainables.generator.usability.source import Measured, Sources


@dataclass(frozen=True, kw_only=True)
class UsabilityConfig:
    """Bounds of the gate; the defaults are what `calibrate` found, rounded, stricter where nothing good comes near."""

    contrast: float = 8.0
    """Least deviation of a frame's pixels from its mean colour, grey levels, ≥ 0; below it a frame is blank."""
    lost_gradation: float = 0.35
    """Most of the source's midtones that may be at black or white, 0…1."""
    at_the_ends: float = 0.9
    """Without a source: most pixels of a frame that may be at an end of every channel, 0…1."""
    edges: float = 0.6
    """Least correlation of Sobel edges with the source's, mean over every second frame, −1…1."""
    worst_edges: float = 0.5
    """The same in the worst of these frames, −1…1."""
    features: float = 0.32
    """Least correlation of normalised features with the source's, in the worst frame looked at, −1…1."""
    flicker: float = 3.0
    """Most change between frames where the source stands still, grey levels, ≥ 0."""
    jerk: float = 0.3
    """Most by which jerk may exceed the source's."""
    restlessness: float = 6.0
    """Without a source: most restlessness of coarse blocks, grey levels, ≥ 0."""
    jump: float = 1.8
    """Largest step between frames over the expected one, ≥ 1."""
    misplaced: float = 0.02
    """Most by which frames may look more like another moment of the source than like their own, correlation, ≥ 0."""
    frozen: float = 0.3
    """Most of the source's moving steps in which the clip may stand still, 0…1."""
    moves_alike: float = 0.5
    """Least correlation of where the clip changes with where the source does, −1…1."""
    unsafe: float = 0.9
    """Most the safety classifier may give, 0…1."""
    frames_compared: int = 3
    """Frames whose features are compared, evenly spread, 1…16."""
    longest: int = 48
    """Frames measured of a clip; of a longer one that many in four stretches, 8…1024."""

    def __post_init__(self) -> None:
        for name in ("lost_gradation", "at_the_ends", "frozen", "unsafe"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"usability.{name} is {getattr(self, name)}; give a share of 0 to 1")
        for name in ("edges", "worst_edges", "features", "moves_alike"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"usability.{name} is {getattr(self, name)}; give a correlation of −1 to 1")
        for name in ("contrast", "flicker", "jerk", "restlessness", "jump", "misplaced"):
            if getattr(self, name) < 0:
                raise InputError(f"usability.{name} is {getattr(self, name)}; give 0 or more")
        if not 1 <= self.frames_compared <= 16:
            raise InputError(f"usability.frames_compared is {self.frames_compared}; give 1 to 16")
        if not 8 <= self.longest <= 1024:
            raise InputError(f"usability.longest is {self.longest}; give 8 to 1024 frames")


@dataclass(frozen=True)
class Verdict:
    """Whether a clip may be shown, and why not."""

    usable: bool
    reasons: tuple[str, ...]
    """A line for each fault: its name, a colon, what was found and the bound."""
    measures: dict[str, float]
    not_made: tuple[str, ...] = field(default=())
    """Checks that could not be made here."""


@dataclass(frozen=True)
class Bound:
    """One line of the gate."""

    measure: str
    fault: str
    text: str
    least: bool = False
    """The bound is a minimum."""


BOUNDS_WITH_SOURCE = (
    Bound("contrast", "blank", "contrast in grey levels", least=True),
    Bound("lost_gradation", "saturated", "share of midtones at black or white"),
    Bound("edges", "unrecognisable", "agreement of edges with the source", least=True),
    Bound("worst_edges", "unrecognisable", "agreement of edges in the worst frame", least=True),
    Bound("features", "unrecognisable", "agreement of features with the source", least=True),
    Bound("flicker", "flickers", "grey levels a frame where the source stands still"),
    Bound("jerk", "flickers", "jerk beyond the source's"),
    Bound("jump", "flickers", "largest step over the expected one"),
    Bound("misplaced", "disordered", "agreement of frames with other moments beyond their own"),
    Bound("moves_alike", "flickers", "agreement of motion with the source", least=True),
    Bound("frozen", "frozen", "share of moving steps that stand still"),
    Bound("unsafe", "unsafe", "score of the safety classifier"),
)
BOUNDS_ALONE = (
    Bound("contrast", "blank", "contrast in grey levels", least=True),
    Bound("at_the_ends", "saturated", "share of pixels at black, white or a pure colour"),
    Bound("restlessness", "flickers", "grey levels by which coarse blocks come and go"),
    Bound("unsafe", "unsafe", "score of the safety classifier"),
)


class UsabilityGate:
    """Checks clips one by one; loads its networks when they are first needed."""

    def __init__(self, config: UsabilityConfig | None = None, *, safety: SafetyClassifier | None = None) -> None:
        """`safety` in place of the packaged classifier."""
        self.config = config or UsabilityConfig()
        self._safety = safety or installed_classifier()
        self._sources = Sources(self.config.frames_compared)

    def check(self, clip_THW3: np.ndarray, source_THW3: np.ndarray | None = None) -> Verdict:
        """Judge a clip uint8 (T, H, W, 3) against the clip it was made from (same shape), or alone.

        Raises InputError for arrays of another kind.
        """
        _check_clips(clip_THW3, source_THW3)
        measures = self.measures(clip_THW3, source_THW3)
        reasons = self.reasons(measures, alone=source_THW3 is None)
        return Verdict(not reasons, reasons, measures, () if "unsafe" in measures else (NOT_MADE,))

    def reasons(self, measures: dict[str, float], *, alone: bool = False) -> tuple[str, ...]:
        """A line for each bound that the measures miss."""
        lines = []
        for bound in BOUNDS_ALONE if alone else BOUNDS_WITH_SOURCE:
            value, limit = measures.get(bound.measure), getattr(self.config, bound.measure)
            if value is not None and (value < limit if bound.least else value > limit):
                sign = "at least" if bound.least else "at most"
                lines.append(f"{bound.fault}: {bound.text} {value:.2f}, {sign} {limit:g}")
        return tuple(lines)

    def measures(self, clip_THW3: np.ndarray, source_THW3: np.ndarray | None = None) -> dict[str, float]:
        """Every measure that applies, by the name of its bound."""
        chosen = _stretches(len(clip_THW3), self.config.longest)
        clip = pixels.small(clip_THW3[chosen])
        found = {"contrast": float(pixels.contrast(clip).min())}
        if source_THW3 is None:
            found |= {"at_the_ends": pixels.at_the_ends(clip), "restlessness": motion.restlessness(pixels.luma(clip))}
        else:
            source = self._sources.of(pixels.small(source_THW3[chosen]))
            found |= self._against(Measured(clip, self.config.frames_compared), source)
        if self._safety is not None:
            found["unsafe"] = float(self._safety.scores(clip_THW3[len(clip_THW3) // 2][None]).max())
        return found

    def _against(self, clip: Measured, source: Measured) -> dict[str, float]:
        edges, misplaced = pixels.edge_agreement(clip.edges, source.edges)
        found = {
            "lost_gradation": pixels.lost_gradation(clip.frames_THW3, source.frames_THW3),
            "edges": float(edges.mean()),
            "worst_edges": float(edges.min()),
            "misplaced": misplaced,
            "features": float(feature_agreement(clip.features, source.features).min()),
        }
        if len(clip.frames_THW3) < 2:
            return found
        change, source_change = clip.changes, source.changes
        return found | {
            "flicker": motion.flicker_at_rest(change, source_change),
            "jerk": clip.jerk - source.jerk,
            "jump": motion.jump(change, source_change),
            "moves_alike": motion.moves_alike(change, source_change),
            "frozen": motion.frozen(change, source_change),
        }


def _stretches(count: int, longest: int) -> np.ndarray:
    """Indices of the frames measured: all, or four stretches of neighbours, evenly spread."""
    if count <= longest:
        return np.arange(count)
    length = longest // 4
    starts = np.linspace(0, count - length, 4).round().astype(int)
    return np.unique(np.concatenate([np.arange(start, start + length) for start in starts]))


def _check_clips(clip: np.ndarray, source: np.ndarray | None) -> None:
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not len(clip) or min(clip.shape[1:3]) < 16:
        raise InputError(f"a clip must be uint8 (T, H, W, 3), T ≥ 1, sides ≥ 16, not {clip.dtype} {clip.shape}")
    if source is not None and (source.shape != clip.shape or source.dtype != np.uint8):
        raise InputError(f"the source must have the clip's shape {clip.shape}, not {source.dtype} {source.shape}")
