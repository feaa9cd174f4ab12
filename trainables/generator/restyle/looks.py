"""The looks a generator learns: style codes with reference pictures — presets, recoloured presets, and a shop's own.

Dims: R references, C = 3 channels, H height, W width, S style code, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cluster.errors import InputError
from trainables.data.photos import read_photo
from trainables.data.style_code import style_code
from trainables.generator.features import FrozenFeatures, moments
from trainables.generator.restyle.losses import colour_free
from trainables.generator.restyle.presets import PRESETS, preset_codes, preset_image
from trainables.generator.sampler import crop

REFERENCE_SIDE = 128
CALIBRATION_CROPS = 144
"""Crops on which the spread of the features is measured."""
_IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, kw_only=True)
class LookConfig:
    """Which looks are trained, and how often."""

    references: int = 6
    """Reference pictures drawn for a preset, ≥ 1."""
    variants: int = 3
    """Recoloured variants of every look, ≥ 0: codes between and around the presets."""
    variant_share: float = 0.25
    """Share of samples restyled into a variant, 0…1."""
    picture_share: float = 0.5
    """Share of the others that take a picture of --styles, where there are any, 0…1; the rest take a preset."""
    crops: int = 4
    """Crops of a reference that its feature statistics are averaged over, ≥ 1."""

    def __post_init__(self) -> None:
        for name, least in (("references", 1), ("variants", 0), ("crops", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"looks.{name} is {getattr(self, name)}; set it to {least} or above")
        for name in ("variant_share", "picture_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"looks.{name} is {getattr(self, name)}; set it between 0 and 1")


@dataclass(frozen=True)
class Look:
    """One style with what it looks like."""

    name: str
    code_S: np.ndarray
    pictures: tuple[np.ndarray, ...]
    """uint8 (H, W, 3) each."""
    is_variant: bool


def make_looks(config: LookConfig, seed: int, styles: Sequence[tuple[str, np.ndarray]] = ()) -> list[Look]:
    """Presets first, then the pictures of `styles`, then recoloured variants of all of them."""
    looks = [
        Look(
            name,
            preset_codes()[name],
            tuple(preset_image(name, REFERENCE_SIDE, s) for s in range(config.references)),
            False,
        )
        for name in PRESETS
    ]
    looks += [Look(name, style_code(picture), (picture,), False) for name, picture in styles]
    rng = np.random.default_rng((seed, 7))
    for look in list(looks):
        for number in range(config.variants):
            pictures = _recolour(look.pictures, rng)
            code = np.mean([style_code(picture) for picture in pictures[:4]], 0)
            looks.append(Look(f"{look.name}#{number}", code, pictures, True))
    return looks


def read_styles(folder: str | Path) -> list[tuple[str, np.ndarray]]:
    """Pictures of a folder as (name, uint8 (H, W, 3)), the shorter side scaled to 160; a file that is no picture is
    refused.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"--styles {folder} is not a folder")
    pictures = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGE_ENDINGS):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"--styles: {path} cannot be read: {error}") from error
        # As a look is read that is asked for later: upright, transparency over white.
        picture = Image.fromarray(read_photo(data, f"--styles: {path}").rgb_HWC)
        scale = 160 / min(picture.size)
        size = tuple(max(round(side * scale), 160) for side in picture.size)
        pictures.append((path.stem, np.asarray(picture.resize(size, Image.Resampling.LANCZOS))))
    if not pictures:
        raise InputError(f"--styles {folder} holds no picture ({', '.join(sorted(_IMAGE_ENDINGS))})")
    return pictures


def styles_digest(styles: Sequence[tuple[str, np.ndarray]]) -> str:
    """SHA-256 over names and pixels of pictures that `read_styles` gave."""
    digest = hashlib.sha256()
    for name, picture_HWC in styles:
        digest.update(f"{name} {picture_HWC.shape} ".encode())
        digest.update(picture_HWC.tobytes())
    return digest.hexdigest()


def _recolour(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The same change of hue, saturation, contrast and brightness for every picture of a look."""
    angle, saturation = rng.uniform(-0.6, 0.6), rng.uniform(0.5, 1.4)
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-0.12, 0.12)
    cos, sin = np.cos(angle), np.sin(angle)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = np.array([[1, 0, 0], [0, saturation * cos, -saturation * sin], [0, saturation * sin, saturation * cos]])
    matrix = (np.linalg.inv(to_yiq) @ turn @ to_yiq).T
    changed = [((p / 255) @ matrix - 0.5) * contrast + 0.5 + brightness for p in pictures]
    return tuple((np.clip(p, 0, 1) * 255 + 0.5).astype(np.uint8) for p in changed)


class LookBank:
    """Looks with their feature statistics on a device; draws looks and real pictures for the losses."""

    def __init__(
        self, looks: Sequence[Look], features: FrozenFeatures, *, frame_size: int, crops: int, device: torch.device
    ) -> None:
        self.looks, self.frame_size, self.device = list(looks), frame_size, device
        self.of_preset = [look.name.partition("#")[0] in PRESETS for look in looks]
        """Whether each look is a preset or a variant of one."""
        self.presets = [i for i, look in enumerate(looks) if look.name in PRESETS]
        self.pictures = [i for i, look in enumerate(looks) if not look.is_variant and look.name not in PRESETS]
        self.variants = [i for i, look in enumerate(looks) if look.is_variant]
        rng = np.random.default_rng(11)
        batches = [
            torch.cat([self._cut(p, rng) for p in look.pictures for _ in range(crops)]).to(device) for look in looks
        ]
        known = torch.cat([batches[i] for i in (*self.presets, *self.pictures)])
        features.calibrate(known[:: max(1, len(known) // CALIBRATION_CROPS)])
        self.statistics = _statistics(features, batches)
        self.texture_statistics = _statistics(features, [colour_free(batch, 1) for batch in batches])
        self.codes = torch.from_numpy(np.stack([look.code_S for look in looks])).float().to(device)

    def draw(self, rng: np.random.Generator, config: LookConfig) -> int:
        """Index of a look."""
        variant, picture = rng.random(2)
        if self.variants and variant < config.variant_share:
            pool = self.variants
        else:
            pool = self.pictures if self.pictures and picture < config.picture_share else self.presets
        return int(pool[rng.integers(len(pool))])

    def real(self, look: int, rng: np.random.Generator) -> Tensor:
        """A crop of one of the look's pictures, (1, 3, frame_size, frame_size) in [-1, 1]."""
        pictures = self.looks[look].pictures
        return self._cut(pictures[rng.integers(len(pictures))], rng)

    def _cut(self, picture: np.ndarray, rng: np.random.Generator) -> Tensor:
        return crop(picture[None], self.frame_size, rng).transpose(0, 1)


@torch.no_grad()
def _statistics(features: FrozenFeatures, batches: Sequence[Tensor]) -> list[Tensor]:
    """Feature moments of every look, one (looks, 2·F) a level."""
    per_look = [[moments(maps, 1) for maps in features(batch)] for batch in batches]
    return [torch.cat(level) for level in zip(*per_look, strict=True)]
