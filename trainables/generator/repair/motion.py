"""Motion of a damaged clip, measured where it is asked for and kept: camera steps and dense flow between known frames.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import bisect
from functools import cached_property

import cv2
import numpy as np

from trainables.generator.repair import registration
from trainables.generator.repair.fill import fill_in_space, fill_in_time, spread
from trainables.generator.repair.flow import along_parabola, make_flow, pixel_grid, sample

KNOWN_SHARE = 0.25
"""Frames with a smaller share of sound pixels count as lost: their place in time is all that is known of them."""
PAST_BLUR = 2.0
"""Deviation in pixels that evens out where things came from: its noise would be carried on."""


def luma(frame_HWC: np.ndarray) -> np.ndarray:
    """Rec. 601 luma float32 (H, W) of uint8 RGB."""
    return cv2.cvtColor(frame_HWC.astype(np.float32), cv2.COLOR_RGB2GRAY)


class ClipMotion:
    """A clip uint8 (T, H, W, 3) with a mask bool (T, H, W); what lies under the mask is not looked at.

    `mended_THWC` is the clip as it was mended before: dense flow is then measured on that, inside the damage too.
    """

    def __init__(self, frames_THWC: np.ndarray, mask_THW: np.ndarray, mended_THWC: np.ndarray | None = None) -> None:
        self.mask_THW, self.mended_THWC = mask_THW, mended_THWC
        self.in_time_THWC, self.found_THW = fill_in_time(frames_THWC, mask_THW)
        for t in np.flatnonzero(~self.found_THW.all((1, 2))):
            self.in_time_THWC[t] = fill_in_space(self.in_time_THWC[t], ~self.found_THW[t])
        self.frames_THWC = self.in_time_THWC
        self.sound_THW = (~mask_THW).astype(np.float32)
        self.known = [t for t in range(len(mask_THW)) if self.sound_THW[t].mean() >= KNOWN_SHARE]
        self._steps: dict[int, np.ndarray] = {}
        self._flows: dict[tuple[int, int], np.ndarray] = {}
        self._dis = make_flow()

    @cached_property
    def luma(self) -> np.ndarray:
        """Luma of the clip filled in time, float32 (T, H, W)."""
        return np.stack([luma(frame) for frame in self.frames_THWC])

    @cached_property
    def followed_luma(self) -> np.ndarray:
        """Luma that dense flow is measured on, float32 (T, H, W)."""
        return self.luma if self.mended_THWC is None else np.stack([luma(frame) for frame in self.mended_THWC])

    def neighbours(self, t: int) -> tuple[list[int], list[int]]:
        """Known frames before and after, the nearest first."""
        place = bisect.bisect_left(self.known, t)
        rest = place + (place < len(self.known) and self.known[place] == t)
        return self.known[:place][::-1], self.known[rest:]

    def camera(self, t: int, s: int) -> np.ndarray:
        """Homography from frame t, known or lost, to the known frame s."""
        if t in self.known:
            return self._between_known(t, s)
        earlier, later = self.neighbours(t)
        around = sorted(earlier[:2] + later[:2])
        home = earlier[0] if earlier else later[0]
        corners = np.stack([registration.corners(self._between_known(home, k)) for k in around])
        to_lost = registration.lie_between(corners, around, t)
        return self._between_known(home, s) @ np.linalg.inv(to_lost)

    def flow(self, a: int, b: int) -> np.ndarray:
        """Dense flow (H, W, 2) from a known frame to its known neighbour, carried on where either is damaged and not
        mended.
        """
        if (a, b) not in self._flows:
            raw = self.measure(self.followed_luma[a], self.followed_luma[b], self._guess(a, b))
            if self.mended_THWC is None:
                at = pixel_grid(*raw.shape[:2]) + raw
                raw = spread(raw, (self.sound_THW[a] > 0) & (sample(self.sound_THW[b], at) > 0.99))
            self._flows[a, b] = raw
        return self._flows[a, b]

    def step_between(self, a: int, b: int, t: int) -> np.ndarray:
        """Step (H, W, 2) of every pixel of a known frame a to its place in the lost frame t on the way to b, the next
        known one: along a parabola through its places in b, in a and in the frame on the other side of a (quadratic
        interpolation, Xu et al. 2019, arXiv 1911.00627); straight where there is none.
        """
        ahead, other = self.flow(a, b), self._other_side(a, b)
        if other is None:
            return ahead * ((t - a) / (b - a))
        return along_parabola(_even(self.flow(a, other)), other - a, ahead, b - a, t - a)

    def step_onward(self, way: list[int], t: int) -> np.ndarray:
        """Step (H, W, 2) of every pixel of the nearest of three known frames on a way from t to its place in t, as the
        other two let expect: along the parabola through its places in the three.
        """
        nearest, second, third = way[:3]
        to_second = _even(self.flow(nearest, second))
        to_third = to_second + sample(_even(self.flow(second, third)), pixel_grid(*to_second.shape[:2]) + to_second)
        return along_parabola(to_second, second - nearest, to_third, third - nearest, t - nearest)

    def measure(self, first_HW: np.ndarray, second_HW: np.ndarray, guess_HW2: np.ndarray | None = None) -> np.ndarray:
        """Dense flow (H, W, 2) between two pictures in luma, as it is; the search begins at the guess."""
        guess = None if guess_HW2 is None else np.ascontiguousarray(guess_HW2, np.float32)
        return self._dis.calc(np.rint(first_HW).astype(np.uint8), np.rint(second_HW).astype(np.uint8), guess)

    def _guess(self, a: int, b: int) -> np.ndarray | None:
        """Across lost frames things go on as they came: too far for a search that begins at rest."""
        other = self._other_side(a, b)
        if abs(b - a) == 1 or other is None or abs(other - a) > 1:
            return None
        return self.flow(a, other) * ((b - a) / (other - a))

    def _other_side(self, a: int, b: int) -> int | None:
        """The known neighbour of a that b is not."""
        place = self.known.index(a) + (-1 if b > a else 1)
        return self.known[place] if 0 <= place < len(self.known) else None

    def _between_known(self, a: int, b: int) -> np.ndarray:
        first, last = self.known.index(min(a, b)), self.known.index(max(a, b))
        chain = np.eye(3)
        for place in range(first, last):
            chain = self._step(place) @ chain
        return chain if a <= b else np.linalg.inv(chain)

    def _step(self, place: int) -> np.ndarray:
        if place not in self._steps:
            a, b = self.known[place], self.known[place + 1]
            sound = cv2.erode(self.sound_THW[[a, b]].transpose(1, 2, 0), np.ones((3, 3))).transpose(2, 0, 1)
            self._steps[place] = registration.align(self.luma[a], self.luma[b], *sound)
        return self._steps[place]


def _even(flow_HW2: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(flow_HW2, (0, 0), PAST_BLUR)
