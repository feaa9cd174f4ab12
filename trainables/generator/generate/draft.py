"""Drafts: what noise makes of the memory before the network turns it into a picture.

The silhouette comes from one exemplar and leans towards a second, the surface from the second, the folds again from the
first, the colours from a third, the backdrop from a fourth; everything is warped. So no exemplar is seen as it was, and
the network has seams, stretched cloth and invented backdrop to put right.
Dims: N pictures of a draft (1, or the frames of a spin), C = 3 channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.errors import InputError
from trainables.generator.generate.memory import SIDE, Entry, Memory
from trainables.generator.generate.warp import fit_boxes, identity, lay_onto, random_grid, read, signed_distance, spread
from trainables.generator.restyle.palette import Oklab

THUMB = 24
LEAST = 3
"""Exemplars that a pool must have: of fewer, a draft would be much like one of them."""
TRUST = 0.8
"""Mattes below it lend no silhouette and no surface, only their backdrop's colours."""


@dataclass(frozen=True)
class Draft:
    """Pictures for the network to finish."""

    rgb_NCHW: Tensor
    """In [-1, 1]."""
    matte_N1HW: Tensor
    """Where the product is, 0…1."""
    used: tuple[int, ...]
    """Exemplars: silhouette, surface, colours, backdrop."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a draft should be; None leaves it to chance."""

    colour: tuple[float, float, float] | None = None
    """Mean Oklab of the product."""
    backdrop: tuple[float, float, float] | None = None
    """Mean Oklab of the backdrop."""


class Pool(NamedTuple):
    """Exemplars that may be recombined with each other."""

    kind: str
    group: str
    spins: bool
    indices: tuple[int, ...]


class Drafter:
    """Draws drafts from a memory; a draft is a function of the generator it is given and of the wish."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.oklab = memory, Oklab()
        pools: dict[tuple[str, str, bool], list[int]] = {}
        for index, entry in enumerate(memory.entries):
            if entry.trust >= TRUST:
                pools.setdefault((entry.kind, entry.group, entry.spins), []).append(index)
        self.pools = [Pool(*key, tuple(indices)) for key, indices in sorted(pools.items()) if len(indices) >= LEAST]
        if not self.pools:
            raise InputError(
                f"the memory knows no kind with {LEAST} clips whose product can be told from its backdrop; train on more"
            )
        self._thumbs: dict[int, Tensor] = {}

    def kinds(self) -> list[str]:
        """Kinds that can be drawn, by name."""
        return sorted({pool.kind for pool in self.pools})

    def choose(self, rng: np.random.Generator, kind: str | None = None, spins: bool | None = None) -> Pool:
        """A pool that fits: as often as it has exemplars, within the groups' shares of the memory's mix where no kind is
        wished for.
        """
        able = [pool for pool in self.pools if kind in (None, pool.kind) and spins in (None, pool.spins)]
        if not able:
            raise InputError(
                f"{kind or 'nothing'} was not seen to {'spin' if spins else 'stand still'}; kinds are {', '.join(self.kinds())}"
            )
        weights = np.array([len(pool.indices) for pool in able], float)
        mix = self.memory.mix
        if kind is None and any(pool.group in mix for pool in able):
            for group in {pool.group for pool in able}:
                here = np.array([pool.group == group for pool in able])
                weights[here] *= mix.get(group, 0.0) / weights[here].sum()
        return able[int(rng.choice(len(able), p=weights / weights.sum()))]

    def pictures(self, count: int) -> list[np.ndarray]:
        """Up to `count` exemplars' first frames, evenly from the whole memory."""
        chosen = np.linspace(0, len(self.memory) - 1, min(count, len(self.memory))).astype(int)
        return [self.memory.first_frame(int(index)) for index in chosen]

    def picture(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Picture and matte of a random exemplar."""
        index = int(rng.choice([index for pool in self.pools for index in pool.indices]))
        if self.memory.entries[index].spins:
            rgb_THWC, matte_THW = self.memory.spin(index)
            frame = int(rng.integers(0, len(rgb_THWC)))
            return rgb_THWC[frame], matte_THW[frame]
        return self.memory.still(index)

    def draft(self, rng: np.random.Generator, pool: Pool, wish: Wish, frames: int) -> Draft:
        """One picture from a pool of stills, `frames` pictures from a pool of spins."""
        return self._spin(rng, pool.indices, wish, frames) if pool.spins else self._still(rng, pool.indices, wish)

    def _still(self, rng: np.random.Generator, pool: Sequence[int], wish: Wish) -> Draft:
        entries = self.memory.entries
        shape = int(rng.choice(pool))
        surface = self._alike(rng, shape, pool)
        shape_rgb, shape_matte = to_tensors(*self.memory.still(shape))
        surface_rgb, surface_matte = to_tensors(*self.memory.still(surface))
        placed = random_grid(rng, SIDE, turn=0.12, zoom=0.1, stretch=0.08, shift=0.06, bend=0.03)
        silhouette, grid = _mixed_silhouette(shape_matte, surface_matte, rng.uniform(0, 0.5), placed)
        product = self._surface(rng, silhouette, surface_rgb, surface_matte, read(shape_rgb, grid), read(shape_matte, grid))
        donor = int(rng.choice(pool))
        product = self._recolour(rng, product, silhouette, entries[donor].product, wish.colour)
        behind = self._choose_backdrop(rng, entries[shape], silhouette, product, wish.backdrop)
        backdrop = self._backdrop(rng, behind, silhouette, wish.backdrop)
        rgb = compose(rng, product, silhouette, backdrop, (0.1, 0.45))
        return Draft(rgb, silhouette, (shape, surface, donor, behind))

    def _spin(self, rng: np.random.Generator, pool: Sequence[int], wish: Wish, frames: int) -> Draft:
        """Before the shape's own plain backdrop."""
        entries = self.memory.entries
        shape = int(rng.choice(pool))
        surface = self._alike(rng, shape, pool)
        backwards, offset = rng.random() < 0.5, int(rng.integers(0, 64))
        shape_rgb, shape_matte = self._frames(shape, frames, backwards, int(rng.integers(0, 64)))
        surface_rgb, surface_matte = self._frames(surface, frames, backwards, offset)
        placed = random_grid(rng, SIDE, turn=0.05, zoom=0.1, stretch=0.14, shift=0.04, bend=0.02)
        silhouette, grid = _mixed_silhouette(shape_matte, surface_matte, rng.uniform(0, 0.5), placed)
        plain = _plain(shape_rgb, shape_matte)
        product = self._surface(
            rng, silhouette, surface_rgb, surface_matte, read(shape_rgb, grid), read(shape_matte, grid)
        )
        donor = int(rng.choice(pool))
        product = self._recolour(rng, product, silhouette, entries[donor].product, wish.colour)
        rgb = product * silhouette + plain * (1 - silhouette)
        return Draft(rgb.clamp(-1, 1), silhouette, (shape, surface, donor))

    def _frames(self, index: int, count: int, backwards: bool, offset: int) -> tuple[Tensor, Tensor]:
        """Frames in turning order, there and back where the spin is shorter than asked."""
        rgb_THWC, matte_THW = self.memory.spin(index)
        length = len(rgb_THWC)
        bounce = np.concatenate([np.arange(length), np.arange(length - 2, 0, -1)])
        start = offset % max(length - count + 1, 1)
        order = bounce[(start + np.arange(count)) % len(bounce)]
        if backwards:
            order = order[::-1]
        return to_tensors(rgb_THWC[order], matte_THW[order])

    def _alike(self, rng: np.random.Generator, shape: int, pool: Sequence[int]) -> int:
        """Another exemplar whose silhouette is like that of `shape`, one of the best three of a random dozen."""
        others = [index for index in pool if self.memory.entries[index].title != self.memory.entries[shape].title]
        others = others or [index for index in pool if index != shape]
        drawn = rng.choice(others, min(12, len(others)), replace=False)
        own = self._thumb(shape)
        fit = [float(torch.minimum(own, t).sum() / torch.maximum(own, t).sum()) for t in map(self._thumb, drawn)]
        best = np.argsort(fit)[::-1][:3]
        return int(drawn[best[rng.integers(0, len(best))]])

    def _thumb(self, index: int) -> Tensor:
        """A matte in its own box (1, h, w), small."""
        if index not in self._thumbs:
            matte = self.memory.spin(index)[1][:1] if self.memory.entries[index].spins else self.memory.still(index)[1][None]
            matte_NHW = torch.from_numpy(matte)
            whole = torch.ones(1, THUMB, THUMB)
            self._thumbs[index] = read(matte_NHW[:, None], fit_boxes(whole, matte_NHW, THUMB), "bilinear")[:, 0]
        return self._thumbs[index]

    def _surface(
        self,
        rng: np.random.Generator,
        silhouette: Tensor,
        surface_rgb: Tensor,
        surface_matte: Tensor,
        shape_rgb: Tensor,
        shape_matte: Tensor,
    ) -> Tensor:
        """The surface laid onto the silhouette, with some of the shape's own folds and edges in its light."""
        grid = lay_onto(silhouette[:, 0], surface_matte[:, 0], SIDE, calm=3.0 if len(silhouette) > 1 else 0.0)
        solid = (surface_matte > 0.9).float()
        solid = -F.max_pool2d(-solid, 3, stride=1, padding=1)
        laid = read(spread(surface_rgb, solid), grid)
        lab = self._lab(laid)
        own = self._lab(spread(shape_rgb, (shape_matte > 0.9).float()))[:, :1]
        folds = own - soften(own, 8)
        lab[:, :1] += rng.uniform(0.0, 0.5) * folds.clamp(-0.12, 0.12)
        return self._rgb(lab)

    def _recolour(
        self,
        rng: np.random.Generator,
        product: Tensor,
        silhouette: Tensor,
        donor: tuple[float, float, float],
        wished: tuple[float, float, float] | None,
    ) -> Tensor:
        """Mean colour moved to the donor's, or to the one wished for; contrast follows where light has no room."""
        share = rng.choice([0.0, 0.5, 1.0], p=[0.25, 0.25, 0.5])
        lab = self._lab(product)
        inside = (silhouette > 0.9).float()
        mean = (lab * inside).sum((0, 2, 3)) / inside.sum().clamp(min=1)
        goal = torch.tensor(wished if wished is not None else donor)
        goal = goal if wished is not None else mean + float(share) * (goal - mean)
        room = (torch.minimum(goal[0], 1 - goal[0]) / torch.minimum(mean[0], 1 - mean[0]).clamp(min=0.08)).clamp(0.6, 1.4)
        # Greys of a print stay grey: chroma grows in the measure in which a pixel is of the product's main colour.
        main = torch.exp(-0.5 * ((lab - mean.view(1, 3, 1, 1)) / torch.tensor([0.3, 0.08, 0.08]).view(1, 3, 1, 1)).square().sum(1, keepdim=True))
        moved = lab - mean.view(1, 3, 1, 1)
        moved = moved * torch.tensor([float(room), 1.0, 1.0]).view(1, 3, 1, 1)
        target = mean.view(1, 3, 1, 1) + (goal - mean).view(1, 3, 1, 1) * (0.35 + 0.65 * main)
        return self._rgb(moved + target)

    def _choose_backdrop(
        self, rng: np.random.Generator, entry: Entry, silhouette: Tensor, product: Tensor, wished: tuple | None
    ) -> int:
        """Of a random dozen of the same group: little of its own product beside the silhouette, a colour apart."""
        entries = self.memory.entries
        group = [index for pool in self.pools if pool.group == entry.group and not pool.spins for index in pool.indices]
        drawn = rng.choice(group, min(12, len(group)), replace=False)
        inside = (silhouette > 0.9).float()
        mean = (self._lab(product) * inside).sum((0, 2, 3)) / inside.sum().clamp(min=1)
        costs = []
        for index in drawn:
            matte = torch.from_numpy(self.memory.still(int(index))[1])[None, None]
            left_over = float((matte * (1 - silhouette)).mean())
            apart = float((torch.tensor(entries[index].backdrop) - mean).norm())
            off = float((torch.tensor(entries[index].backdrop) - torch.tensor(wished)).norm()) if wished else 0.0
            costs.append(3 * left_over + max(0.0, 0.25 - apart) + 3 * off)
        best = np.argsort(costs)[:3]
        return int(drawn[best[rng.integers(0, len(best))]])

    def _backdrop(self, rng: np.random.Generator, index: int, silhouette: Tensor, wished: tuple | None) -> Tensor:
        """A backdrop without its product: the hole takes colours from around it and texture from beside it."""
        rgb, matte = to_tensors(*self.memory.still(index))
        hole = F.max_pool2d((matte > 0.05).float(), 9, stride=1, padding=4)
        filled = fill(rgb, hole)
        grid = random_grid(rng, SIDE, turn=0.05, zoom=0.06, stretch=0.05, shift=0.05, bend=0.015)
        lab = self._lab(read(filled, grid))
        lab[:, 0] += rng.normal(0, 0.03)
        lab[:, 1:] += torch.from_numpy(rng.normal(0, 0.008, (1, 2, 1, 1)).astype(np.float32))
        if wished:
            mean = lab.mean((0, 2, 3))
            lab = lab + 0.9 * (torch.tensor(wished) - mean).view(1, 3, 1, 1)
        return self._rgb(lab)

    def _lab(self, rgb_NCHW: Tensor) -> Tensor:
        return self.oklab.from_rgb(rgb_NCHW.clamp(-1, 1))

    def _rgb(self, lab_NCHW: Tensor) -> Tensor:
        return self.oklab.to_rgb(lab_NCHW)


def _mixed_silhouette(shape: Tensor, surface: Tensor, share: float, placed: Tensor) -> tuple[Tensor, Tensor]:
    """Silhouette (N, 1, H, W) between the shape's and the surface's laid into its box, and the grid that placed it."""
    grid = placed.expand(len(shape), -1, -1, -1)
    boxed = read(surface, fit_boxes(shape[:, 0], surface[:, 0], SIDE), "bilinear")
    field = (1 - share) * signed_distance(shape[:, 0].numpy()) + share * signed_distance(boxed[:, 0].numpy())
    moved = read(torch.from_numpy(field)[:, None], grid, "bilinear")
    return torch.sigmoid(2.5 * moved), grid


def fill(rgb_NCHW: Tensor, hole_N1HW: Tensor) -> Tensor:
    """A hole (1 inside, else 0) takes colours from around it and texture from beside it."""
    known = 1 - hole_N1HW
    base = spread(rgb_NCHW, known)
    texture = (rgb_NCHW - soften(base, 6)) * known
    detail, missing = torch.zeros_like(rgb_NCHW), hole_N1HW.clone()
    for reach in (24, 40, 56, 72):
        for way in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            moved = tuple(reach * step for step in way)
            have = known.roll(moved, (2, 3)) * missing
            detail = detail + texture.roll(moved, (2, 3)) * have
            missing = missing * (1 - have)
    return torch.where(hole_N1HW > 0, (soften(base, 6) + 0.9 * detail).clamp(-1, 1), rgb_NCHW)


def compose(
    rng: np.random.Generator, product: Tensor, silhouette: Tensor, backdrop: Tensor, shadow: tuple[float, float]
) -> Tensor:
    """Product over backdrop, with the soft shadow it throws, of a depth from that range."""
    across, down = rng.integers(-4, 5), rng.integers(0, 5)
    thrown = soften(silhouette.roll((int(down), int(across)), (2, 3)), int(rng.integers(2, 6)))
    shaded = (backdrop + 1) * (1 - rng.uniform(*shadow) * thrown) - 1
    return (product * silhouette + shaded * (1 - silhouette)).clamp(-1, 1)


def _plain(rgb: Tensor, matte: Tensor) -> Tensor:
    """The colour (1, 3, 1, 1) of a spin's backdrop."""
    return rgb[:1].flatten(2)[..., matte[0].flatten() < 0.05].median(-1).values[..., None, None]


def soften(maps_NCHW: Tensor, radius: int) -> Tensor:
    """Blurred twice over windows of that radius, pixels."""
    for _ in range(2):
        maps_NCHW = F.avg_pool2d(F.pad(maps_NCHW, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)
    return maps_NCHW


def to_tensors(rgb: np.ndarray, matte: np.ndarray) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) in [-1, 1] and (N, 1, H, W) of one picture or of frames."""
    if rgb.ndim == 3:
        rgb, matte = rgb[None], matte[None]
    return torch.from_numpy(np.array(rgb)).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(matte)[:, None]
