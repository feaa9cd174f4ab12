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
from trainables.generator.generate.layers import (
    Lab,
    compose,
    fill,
    mean_inside,
    mixed_silhouette,
    plain_backdrop,
    recoloured,
    surfaced,
    to_lab,
    to_rgb,
    to_tensors,
)
from trainables.generator.generate.memory import SIDE, Label, Memory
from trainables.generator.generate.warp import fit_boxes, random_grid, read

THUMB = 24
LEAST = 3
"""Exemplars that a pool must have: of fewer, a draft would be much like one of them."""
SHADOW = (0.1, 0.45)
"""Depth of the shadow a product throws on its backdrop."""
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

    colour: Lab | None = None
    """Mean Oklab of the product."""
    backdrop: Lab | None = None
    """Mean Oklab of the backdrop."""


class Pool(NamedTuple):
    """Exemplars that may be recombined with each other."""

    kind: str
    group: str
    spins: bool
    indices: tuple[int, ...]


def pools_of(memory: Memory) -> list[Pool]:
    """Every pool of at least `LEAST` exemplars, by kind."""
    pools: dict[tuple[str, str, bool], list[int]] = {}
    for index, entry in enumerate(memory.entries):
        if entry.trust >= TRUST:
            pools.setdefault((entry.kind, entry.group, entry.spins), []).append(index)
    return [Pool(*key, tuple(indices)) for key, indices in sorted(pools.items()) if len(indices) >= LEAST]


def with_rare_kinds_together(memory: Memory) -> Memory:
    """Exemplars of kinds too rare for a pool become plain products, so that they are recombined with each other."""
    able = {pool.kind for pool in pools_of(memory)}
    rare = Label().kind
    return memory.renamed([entry.kind if entry.kind in able else rare for entry in memory.entries])


class Drafter:
    """Draws drafts from a memory; a draft is a function of the generator it is given and of the wish."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.pools = memory, pools_of(memory)
        if not self.pools:
            raise InputError(
                f"no kind has {LEAST} clips whose product can be told from its backdrop; train on more clips"
            )
        self._thumbs: dict[int, Tensor] = {}

    def kinds(self) -> list[str]:
        """Kinds that can be drawn, by name."""
        return sorted({pool.kind for pool in self.pools})

    def able(self, kind: str | None = None, spins: bool | None = None) -> list[Pool]:
        """Pools that fit; InputError where there is none."""
        able = [pool for pool in self.pools if kind in (None, pool.kind) and spins in (None, pool.spins)]
        if not able:
            moves = "spin" if spins else "stand still"
            raise InputError(f"{kind or 'nothing'} was not seen to {moves}; kinds are {', '.join(self.kinds())}")
        return able

    def choose(self, rng: np.random.Generator, kind: str | None = None, spins: bool | None = None) -> Pool:
        """A pool that fits, as often as it has exemplars; with no kind wished for, the groups have the shares of the
        memory's mix.
        """
        able = self.able(kind, spins)
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
        shape = int(rng.choice(pool))
        surface = self._alike(rng, shape, pool)
        shape_layers, surface_layers = (to_tensors(*self.memory.still(index)) for index in (shape, surface))
        grid = random_grid(rng, SIDE, turn=0.12, zoom=0.1, stretch=0.08, shift=0.06, bend=0.03)
        product, silhouette, donor = self._product(rng, pool, wish, shape_layers, surface_layers, grid)
        behind = self._choose_backdrop(rng, self.memory.entries[shape].group, silhouette, product, wish.backdrop)
        rgb = compose(rng, product, silhouette, self._backdrop(rng, behind, wish.backdrop), SHADOW)
        return Draft(rgb, silhouette, (shape, surface, donor, behind))

    def _spin(self, rng: np.random.Generator, pool: Sequence[int], wish: Wish, frames: int) -> Draft:
        """Before the shape's own plain backdrop."""
        shape = int(rng.choice(pool))
        surface = self._alike(rng, shape, pool)
        backwards, offsets = rng.random() < 0.5, rng.integers(0, 64, 2)
        shape_layers = self._frames(shape, frames, backwards, int(offsets[0]))
        surface_layers = self._frames(surface, frames, backwards, int(offsets[1]))
        grid = random_grid(rng, SIDE, turn=0.05, zoom=0.1, stretch=0.14, shift=0.04, bend=0.02)
        product, silhouette, donor = self._product(rng, pool, wish, shape_layers, surface_layers, grid)
        plain = plain_backdrop(*shape_layers)
        if wish.backdrop is not None:
            plain = to_rgb(torch.tensor(wish.backdrop).view(1, 3, 1, 1))
        rgb = (product * silhouette + plain * (1 - silhouette)).clamp(-1, 1)
        return Draft(rgb, silhouette, (shape, surface, donor))

    def _product(
        self,
        rng: np.random.Generator,
        pool: Sequence[int],
        wish: Wish,
        shape: tuple[Tensor, Tensor],
        surface: tuple[Tensor, Tensor],
        grid: Tensor,
    ) -> tuple[Tensor, Tensor, int]:
        """Picture and matte of a new product from two exemplars' layers, and the exemplar that lent its colour."""
        grid_NHWC = grid.expand(len(shape[0]), -1, -1, -1)
        silhouette = mixed_silhouette(shape[1], surface[1], rng.uniform(0, 0.5), grid_NHWC)
        placed = read(shape[0], grid_NHWC), read(shape[1], grid_NHWC)
        product, silhouette = surfaced(silhouette, surface, placed, rng.uniform(0, 0.5))
        donor, share = int(rng.choice(pool)), rng.choice([0.0, 0.5, 1.0], p=[0.25, 0.25, 0.5])
        if wish.colour is not None:
            return recoloured(product, silhouette, wish.colour, 1.0), silhouette, donor
        return recoloured(product, silhouette, self.memory.entries[donor].product, float(share)), silhouette, donor

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
            spins = self.memory.entries[index].spins
            matte_NHW = torch.from_numpy(self.memory.spin(index)[1][:1] if spins else self.memory.still(index)[1][None])
            whole = torch.ones(1, THUMB, THUMB)
            self._thumbs[index] = read(matte_NHW[:, None], fit_boxes(whole, matte_NHW, THUMB), "bilinear")[:, 0]
        return self._thumbs[index]

    def _choose_backdrop(
        self, rng: np.random.Generator, group: str, silhouette: Tensor, product: Tensor, wished: Lab | None
    ) -> int:
        """Of a random dozen of the group: little of its own product beside the silhouette, a colour apart."""
        entries = self.memory.entries
        able = [index for pool in self.pools if pool.group == group and not pool.spins for index in pool.indices]
        drawn = rng.choice(able, min(12, len(able)), replace=False)
        mean = mean_inside(to_lab(product), silhouette).flatten()
        costs = []
        for index in drawn:
            matte, backdrop = torch.from_numpy(self.memory.still(int(index))[1]), torch.tensor(entries[index].backdrop)
            left_over = float((matte * (1 - silhouette[0, 0])).mean())
            off = float((backdrop - torch.tensor(wished)).norm()) if wished else 0.0
            costs.append(3 * left_over + max(0.0, 0.25 - float((backdrop - mean).norm())) + 3 * off)
        best = np.argsort(costs)[:3]
        return int(drawn[best[rng.integers(0, len(best))]])

    def _backdrop(self, rng: np.random.Generator, index: int, wished: Lab | None) -> Tensor:
        """A still without its product, warped, its light and colour a little off."""
        rgb, matte = to_tensors(*self.memory.still(index))
        hole = F.max_pool2d((matte > 0.05).float(), 9, stride=1, padding=4)
        grid = random_grid(rng, SIDE, turn=0.05, zoom=0.06, stretch=0.05, shift=0.05, bend=0.015)
        lab = to_lab(read(fill(rgb, hole), grid))
        lab[:, 0] += rng.normal(0, 0.03)
        lab[:, 1:] += torch.from_numpy(rng.normal(0, 0.008, (1, 2, 1, 1)).astype(np.float32))
        if wished is not None:
            lab = lab + 0.9 * (torch.tensor(wished).view(1, 3, 1, 1) - lab.mean((0, 2, 3)).view(1, 3, 1, 1))
        return to_rgb(lab)
