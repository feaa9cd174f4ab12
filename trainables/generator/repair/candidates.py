"""What a damaged pixel could be: the same point of the product as other frames show it, found in several ways.

Candidates, in the order of `NAMES`: along the camera's motion from the nearest frame before and after that shows the
point, and the mean over the frames that show it; along dense flow from before and after; the same along flow measured
anew on a first mix of these; linear in time; Telea in space. A clip that was mended before is looked at once more: flow
is measured on what was mended, candidates are judged by it, and it stands in the place of Telea's.
Dims: T frames, H height, W width, K candidates, C = 3 channels; h, w a box of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from trainables.generator.repair import registration
from trainables.generator.repair.fill import fill_in_space, spread
from trainables.generator.repair.flow import inside, origin, pixel_grid, sample
from trainables.generator.repair.motion import ClipMotion, luma

NAMES = (
    "camera_before", "camera_after", "camera_mean", "flow_before", "flow_after", "again_before", "again_after",
    "time", "space",
)  # fmt: skip
ERROR_SCALE = 12.0
"""Grey levels at which the confidence in a candidate has fallen to 1/e."""
UNKNOWN_ERROR, MENDED_ERROR = 24.0, 12.0
"""Grey levels expected where nothing tells, and of what was mended before."""
PRIOR = (1.0, 1.0, 2.0, 0.7, 0.7, 0.7, 0.7, 1e-2, 1e-3)
"""Weights of the candidates in the first mix, at equal confidence."""
STEEPNESS = 4.0
"""Power of the confidence in the first mix."""
SHOWN_OFTEN = 3
"""Frames that must show a point before the camera's search ends."""
CLOSE_FRAMES, FAR_FRAMES = 3, 16
"""Of the frames before (and after), so many nearest ones are searched, then every third up to the farthest."""

NEAR = 6.0
"""Pixels from what is sound at which its motion says half of what is believed."""

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Candidates:
    """Candidates of one frame in a box."""

    colour_KhwC: np.ndarray
    """uint8."""
    confidence_Khw: np.ndarray
    """uint8: 255 where an error of 0 is expected, 0 where there is none."""


def find_candidates(motion: ClipMotion, t: int, box: Box) -> Candidates:
    """Candidates of frame t inside a box (rows, columns)."""
    hurt = motion.mask_THW[t][box]
    found = {}
    earlier, later = motion.neighbours(t)
    if earlier or later:
        found |= _by_camera(motion, t, box, hurt)
        found |= _by_flow(motion, t, box)
    in_time = motion.in_time_THWC[t]
    found["time"] = in_time[box], np.where(motion.found_THW[t][box], UNKNOWN_ERROR, np.inf)
    found["space"] = _alone(motion, t, box)
    if earlier or later:
        first = _first_mix(motion, t, box, found) if motion.mended_THWC is None else motion.mended_THWC[t]
        found |= _again(motion, t, box, first)
    return _stack(found, in_time[box])


def _alone(motion: ClipMotion, t: int, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """What no other frame is asked for."""
    shape = motion.mask_THW[t][box].shape
    if motion.mended_THWC is not None:
        return motion.mended_THWC[t][box], np.full(shape, MENDED_ERROR)
    in_time = motion.in_time_THWC[t]
    partly = not motion.mask_THW[t].all()
    space = fill_in_space(in_time, motion.mask_THW[t]) if partly else in_time
    # What no frame has at its place is surer from around it once its neighbours are filled in time.
    space = np.where(motion.found_THW[t][..., None], space, in_time)
    return space[box], np.full(shape, UNKNOWN_ERROR if partly else np.inf)


def mix(candidates: Candidates) -> np.ndarray:
    """A result without a network: candidates weighted by their confidence, those in time and space last."""
    sureness = candidates.confidence_Khw.astype(np.float32) / 255
    weight = np.array(PRIOR, np.float32)[:, None, None] * sureness**STEEPNESS + 1e-9
    mixed = (weight[..., None] * candidates.colour_KhwC).sum(0) / weight.sum(0)[..., None]
    return np.rint(mixed).astype(np.uint8)


def _stack(found: dict[str, tuple[np.ndarray, np.ndarray]], fallback_hwC: np.ndarray) -> Candidates:
    colours, sureness = [], []
    for name in NAMES:
        colour, error = found.get(name, (fallback_hwC, np.full(fallback_hwC.shape[:2], np.inf)))
        seen = np.isfinite(error)
        colours.append(np.where(seen[..., None], colour, fallback_hwC))
        level = np.exp(-np.where(seen, error, 0) / ERROR_SCALE)
        sureness.append(np.where(seen, np.maximum(np.rint(255 * level), 1), 0).astype(np.uint8))
    return Candidates(np.stack(colours), np.stack(sureness))


def _first_mix(motion: ClipMotion, t: int, box: Box, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The whole frame with its damage in the box mended by the candidates found so far."""
    frame = motion.frames_THWC[t].copy()
    mixed = mix(_stack(found, motion.in_time_THWC[t][box]))
    frame[box] = np.where(motion.mask_THW[t][box][..., None], mixed, frame[box])
    return frame


def _by_camera(motion: ClipMotion, t: int, box: Box, hurt_hw: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    height, width = motion.mask_THW.shape[1:]
    x, y = (v[box] for v in registration.grid(height, width))
    shape = (*x.shape, 3)
    total, count = np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
    shown = np.zeros(shape[:2], np.int32)
    nearest = [(np.zeros(shape, np.uint8), np.zeros(shape[:2], bool)) for _ in range(2)]
    earlier, later = motion.neighbours(t)
    for s in _search(earlier) + _search(later):
        after = int(s > t)
        if shown[hurt_hw].min() >= SHOWN_OFTEN and (nearest[after][1] | ~hurt_hw).all():
            continue
        at = np.dstack(registration.to_pixels(*registration.apply_homography(motion.camera(t, s), x, y), height, width))
        seen = (sample(motion.sound_THW[s], at) > 0.99) & inside(at, height, width)
        taken = sample(motion.frames_THWC[s], at, cv2.INTER_CUBIC)
        value, have = nearest[after]
        fresh = seen & ~have
        value[fresh] = taken[fresh]
        have |= seen
        weight = seen * np.float32(1 / (s - t) ** 2)
        total += taken * weight[..., None]
        count += weight
        shown += seen
    mean = np.rint(total / np.maximum(count, 1e-6)[..., None]).astype(np.uint8)
    named = {"camera_before": nearest[0], "camera_after": nearest[1], "camera_mean": (mean, count > 0)}
    return _judged(motion, t, box, named, nearest)


def _search(way: list[int]) -> list[int]:
    """Frames to look for a point in: the nearest ones, then every other."""
    return way[:CLOSE_FRAMES] + way[CLOSE_FRAMES + 1 : FAR_FRAMES : 3]


def _by_flow(motion: ClipMotion, t: int, box: Box) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    earlier, later = motion.neighbours(t)
    ends = [None, None]
    if t in motion.known:
        ends = [_follow(motion, _in_nearest(motion, t, way)[box], way) if way else None for way in (earlier, later)]
    elif earlier and later:
        ends = _sides(motion, t, box, earlier, later)
    named = {name: end for name, end in zip(("flow_before", "flow_after"), ends, strict=True) if end is not None}
    return _judged(motion, t, box, named, ends)


def _sides(
    motion: ClipMotion, t: int, box: Box, earlier: list[int], later: list[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Colours of a lost frame from before and after; what only one side shows is taken from that one."""
    a, b = earlier[0], later[0]
    origins = [origin(motion.step_between(*way, t)) for way in ((a, b), (b, a))]
    shown = [landed[box] for _, landed in origins]
    neither = ~(shown[0] | shown[1])
    followed = [_follow(motion, at[box], way) for (at, _), way in zip(origins, (earlier, later), strict=True)]
    return [(value, have & (landed | neither)) for (value, have), landed in zip(followed, shown, strict=True)]


def _in_nearest(motion: ClipMotion, t: int, way: list[int]) -> np.ndarray:
    """Where the pixels of a known frame lie in the nearest one on a way: as those around the damage say, and deep
    inside it, where nothing is near, as what is seen there goes on (one frame on: further, its noise would count most).
    """
    around = pixel_grid(*motion.mask_THW.shape[1:]) + motion.flow(t, way[0])
    if motion.mended_THWC is not None or len(way) < 3 or abs(way[0] - t) > 1:
        return around
    depth = cv2.distanceTransform(motion.mask_THW[t].astype(np.uint8), cv2.DIST_L2, 3)[..., None]
    inside_share = depth / (depth + NEAR)
    onward, _ = origin(motion.step_onward(way, t))
    return around * (1 - inside_share) + onward * inside_share


def _follow(motion: ClipMotion, at_hw2: np.ndarray, way: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the first frame on the way that shows each point; `at` are positions in the way's first frame."""
    height, width = motion.mask_THW.shape[1:]
    value, have = np.zeros((*at_hw2.shape[:2], 3), np.uint8), np.zeros(at_hw2.shape[:2], bool)
    for s, following in zip(way, [*way[1:], None], strict=True):
        seen = (sample(motion.sound_THW[s], at_hw2) > 0.99) & inside(at_hw2, height, width)
        fresh = seen & ~have
        value[fresh] = sample(motion.frames_THWC[s], at_hw2, cv2.INTER_CUBIC)[fresh]
        have |= seen
        if following is None or have.mean() > 0.995:
            break
        at_hw2 = at_hw2 + sample(motion.flow(s, following), at_hw2)
    return value, have


def _again(motion: ClipMotion, t: int, box: Box, first_HWC: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    height, width = motion.mask_THW.shape[1:]
    first_luma = luma(first_HWC)
    start = pixel_grid(height, width)[box]
    found = {}
    for name, way in zip(("again_before", "again_after"), motion.neighbours(t), strict=True):
        if way:
            at = start + motion.measure(first_luma, motion.luma[way[0]])[box]
            seen = (sample(motion.sound_THW[way[0]], at) > 0.99) & inside(at, height, width)
            value = sample(motion.frames_THWC[way[0]], at, cv2.INTER_CUBIC)
            found[name] = value, np.where(seen, _error(value, first_HWC[box], seen), np.inf)
    return found


def _judged(
    motion: ClipMotion,
    t: int,
    box: Box,
    named: dict[str, tuple[np.ndarray, np.ndarray]],
    pair: list[tuple[np.ndarray, np.ndarray] | None],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Colours with the error to expect, infinite where not seen: against the frame as it was mended before, or its own
    sound pixels; of a lost frame by how far the sides disagree.
    """
    if motion.mended_THWC is not None:
        frame = motion.mended_THWC[t][box]
        errors = {name: _error(value, frame, have) for name, (value, have) in named.items()}
    elif t in motion.known:
        sound, frame = motion.sound_THW[t][box] > 0, motion.frames_THWC[t][box]
        errors = {name: _error(value, frame, have & sound) for name, (value, have) in named.items()}
    else:
        first, second = pair
        apart = UNKNOWN_ERROR
        if first is not None and second is not None:
            apart = _error(first[0], second[0], first[1] & second[1])
        errors = dict.fromkeys(named, apart)
    return {name: (value, np.where(have, errors[name], np.inf)) for name, (value, have) in named.items()}


def _error(taken_hwC: np.ndarray, frame_hwC: np.ndarray, seen_hw: np.ndarray) -> np.ndarray:
    """Mean |difference| where both are seen, averaged over a neighbourhood and carried on elsewhere."""
    if not seen_hw.any():
        return np.full(seen_hw.shape, UNKNOWN_ERROR, np.float32)
    difference = cv2.absdiff(taken_hwC, frame_hwC).astype(np.float32).mean(-1)
    weight = cv2.GaussianBlur(seen_hw.astype(np.float32), (0, 0), 3)
    local = cv2.GaussianBlur(difference * seen_hw, (0, 0), 3) / np.maximum(weight, 1e-4)
    return spread(local[..., None], weight > 0.2)[..., 0]
