"""Training samples: a few damaged frames of a clip with their candidates, whole; a training step takes squares of them.

A sample is a function of the clip and the numbers it is drawn with; measuring it is slow, so it is kept.
Dims: B samples, F frames of a sample, K candidates, C = 3 channels, H height, W width.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from trainables.generator.repair.candidates import NAMES, find_candidates
from trainables.generator.repair.damage import KINDS, damage_mask
from trainables.generator.repair.motion import ClipMotion
from trainables.generator.repair.repairer import Repairer
from trainables.generator.task import ClipSource

SHARES = (0.35, 0.3, 0.2, 0.15)
"""How often each kind of damage comes up: holes and boxes are the hardest to mend."""


@dataclass(frozen=True)
class Sample:
    """uint8 arrays, masks bool."""

    clean_FHWC: np.ndarray
    mask_FHW: np.ndarray
    candidates_FKHWC: np.ndarray
    confidence_FKHW: np.ndarray

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, item.name).nbytes for item in fields(self))


@dataclass(frozen=True)
class Batch:
    """One worker's share of a step, on the device: pictures in [-1, 1], masks and confidences in 0…1."""

    clean_BFCHW: Tensor
    mask_BF1HW: Tensor
    candidates_BFKCHW: Tensor
    confidence_BFKHW: Tensor


def make_samples(
    frames_THWC: np.ndarray,
    frames: int,
    size: int,
    rng: np.random.Generator,
    *,
    count: int = 1,
    before: Repairer | None = None,
) -> list[Sample]:
    """Damage a clip uint8 (T, H, W, 3) with a drawn kind and measure `frames` neighbouring frames, at least one of
    them damaged, at `count` places. A clip smaller than `size` is carried on by mirroring. `before` mends the clip
    first: the samples are then what is seen at the second look.
    """
    frames_THWC = _at_least(np.asarray(frames_THWC), size)
    mask_THW = np.zeros(frames_THWC.shape[:3], bool)
    while not mask_THW.any():
        mask_THW = damage_mask(_kind(len(mask_THW), rng), mask_THW.shape, rng)
    mended_THWC = None if before is None else before.look(frames_THWC, mask_THW, None)
    motion = ClipMotion(frames_THWC, mask_THW, mended_THWC)
    frames = min(frames, len(mask_THW))
    samples = []
    for _ in range(count):
        hurt = int(rng.choice(np.flatnonzero(mask_THW.any((1, 2)))))
        first = int(np.clip(hurt - rng.integers(frames), 0, len(mask_THW) - frames))
        samples.append(_measured(frames_THWC, mask_THW, motion, slice(first, first + frames)))
    return samples


def _measured(frames_THWC: np.ndarray, mask_THW: np.ndarray, motion: ClipMotion, cut: slice) -> Sample:
    box = slice(0, mask_THW.shape[1]), slice(0, mask_THW.shape[2])
    candidates = np.repeat(frames_THWC[cut][:, None], len(NAMES), 1)
    confidence = np.full(candidates.shape[:-1], 255, np.uint8)
    for place in np.flatnonzero(mask_THW[cut].any((1, 2))):
        found = find_candidates(motion, cut.start + int(place), box)
        candidates[place], confidence[place] = found.colour_KhwC, found.confidence_Khw
    return Sample(frames_THWC[cut].copy(), mask_THW[cut].copy(), candidates, confidence)


class SampleStore:
    """Samples by clip and damage; the least recently used leave when `memory` megabytes are full."""

    def __init__(
        self,
        *,
        seed: int,
        frames: int,
        size: int,
        memory: int,
        samples: int = 1,
        before: Repairer | None = None,
        second_looks: int = 0,
    ) -> None:
        """`samples` of each damaged clip; the first `second_looks` variants are seen as they are once `before` has
        mended them.
        """
        self.seed, self.frames, self.size, self.samples = seed, frames, size, samples
        self._before, self._second_looks = before, second_looks
        self._room = memory * 2**20
        self._kept: OrderedDict[tuple[int, int], list[Sample]] = OrderedDict()
        self._clips: ClipSource | None = None

    def get(self, clips: ClipSource, clip: int, variant: int) -> list[Sample]:
        """The samples of a clip and variant; they do not depend on what was asked for before."""
        if clips is not self._clips:
            self._room += sum(map(_nbytes, self._kept.values()))
            self._kept.clear()
            self._clips = clips
        key = clip, variant
        if key not in self._kept:
            rng = np.random.default_rng((self.seed, 3, clip, variant))
            before = self._before if variant < self._second_looks else None
            made = make_samples(clips[clip], self.frames, self.size, rng, count=self.samples, before=before)
            self._kept[key] = made
            self._room -= _nbytes(made)
            while self._room < 0 and len(self._kept) > 1:
                self._room += _nbytes(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(key)
        return self._kept[key]


def augmented(sample: Sample, size: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """A square of `size` around some of the damage, mirrored, turned and recoloured the same in all pictures:
    clean (F, C, H, W), mask (F, 1, H, W), candidates (F, K, C, H, W), confidence (F, K, H, W).
    """
    row, column = rng.choice(np.argwhere(sample.mask_FHW.any(0)))
    rows, columns = (
        slice(start, start + size)
        for start in (
            int(np.clip(centre - rng.integers(size // 4, size - size // 4), 0, length - size))
            for centre, length in zip((row, column), sample.mask_FHW.shape[1:], strict=True)
        )
    )
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    channels, negative = rng.permutation(3), bool(rng.random() < 0.2)

    def move(value: np.ndarray) -> Tensor:
        value = value[..., rows, columns]
        value = np.rot90(value[..., ::-1] if mirror else value, turns, (-2, -1))
        return torch.from_numpy(np.ascontiguousarray(value)).float()

    def picture(value: np.ndarray) -> Tensor:
        moved = move(np.moveaxis(value[..., channels], -1, -3)) / 127.5 - 1
        return -moved if negative else moved

    return (
        picture(sample.clean_FHWC),
        move(sample.mask_FHW[:, None]),
        picture(sample.candidates_FKHWC),
        move(sample.confidence_FKHW) / 255,
    )


def _nbytes(samples: list[Sample]) -> int:
    return sum(sample.nbytes for sample in samples)


def _kind(frames: int, rng: np.random.Generator) -> str:
    """A clip of fewer than three frames loses none of them."""
    kinds = KINDS[: 2 if frames < 3 else None]
    shares = np.array(SHARES[: len(kinds)])
    return str(rng.choice(kinds, p=shares / shares.sum()))


def _at_least(frames_THWC: np.ndarray, size: int) -> np.ndarray:
    short = [max(0, size - length) for length in frames_THWC.shape[1:3]]
    if not any(short):
        return frames_THWC
    return np.pad(frames_THWC, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
