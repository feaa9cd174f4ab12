"""Make clips with a trained bundle: noise, kind, look and text in, clips out.

Dims: H height, W width, C = 3 channels, N pictures of a draft, S style code.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from cluster.config import from_dict
from cluster.errors import InputError
from trainables.data.camera import CameraOptions, photo_clip
from trainables.generator.bundles import load_weights, read_task_bundle, save_network
from trainables.generator.generate.draft import Draft, Drafter, Wish
from trainables.generator.generate.layers import Lab
from trainables.generator.generate.memory import SIDE, Memory
from trainables.generator.generate.network import Finisher, NetworkConfig
from trainables.generator.generate.wishes import MOTIONS, Motion, Wishes, wishes_of
from trainables.generator.restyle.presets import PRESETS, preset_codes
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter import starter_bundle

SIZES = (64, 128)
MOST_FRAMES = 256
SHARPEN, RADIUS = 0.6, 0.9
"""Share and deviation (pixels) of the unsharp mask that makes up for what reading a picture of the clip's own size
through a moving camera takes away; clips of real photos are read from larger ones.
"""
MEMORY = "memory."
"""What the names of the memory's tensors begin with in a bundle."""


class ClipMaker:
    """A finisher in evaluation mode on a device, with the memory its drafts come from."""

    def __init__(self, network: Finisher, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.drafter = Drafter(network.memory)

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str = "cpu") -> ClipMaker:
        """Read a bundle written by `save_bundle`; a damaged or foreign one is refused with its path."""
        return cls(read_network(folder), device)

    @property
    def kinds(self) -> list[str]:
        """Kinds that can be made."""
        return self.drafter.kinds()

    def make(
        self,
        count: int,
        seed: int,
        kind: str | None = None,
        text: str | None = None,
        look: str | None = None,
        *,
        colour: Lab | None = None,
        backdrop: Lab | None = None,
        motion: Motion | None = None,
        size: int = 128,
        frames: int = 16,
        first: int = 0,
    ) -> list[np.ndarray]:
        """`count` clips uint8 (frames, size, size, 3), numbers `first` and on. Clip number n depends on the seed, n and
        the wishes alone; with a count of 0 the wishes are checked.

        `text` is read for a kind, look, colour, scene and motion; what is given beside it counts more. `kind` is one of
        `kinds`, else drawn as often as the memory's mix has it. `look` is a preset, laid on by the packaged restyler.
        Colours are mean Oklab. A `motion` the kind was never seen to do is refused.
        """
        if size not in SIZES:
            raise InputError(f"size is {size}; clips are made at {' or '.join(map(str, SIZES))} pixels")
        if not 1 <= frames <= MOST_FRAMES:
            raise InputError(f"frames is {frames}; clips are made with 1 to {MOST_FRAMES} frames")
        if min(count, seed, first) < 0:
            raise InputError(f"count is {count}, seed {seed}, first {first}; give 0 or more of each")
        given = {"kind": kind, "look": look, "colour": colour, "backdrop": backdrop, "motion": motion}
        wishes = replace(self._read(text, kind), **{name: value for name, value in given.items() if value is not None})
        if wishes.kind not in (None, *self.kinds):
            raise InputError(f"kind {wishes.kind!r} is none of {', '.join(self.kinds)}")
        if wishes.motion not in (None, *MOTIONS):
            raise InputError(f"motion is {wishes.motion!r}; choose {', '.join(MOTIONS)}")
        if wishes.look not in (None, *PRESETS):
            raise InputError(f"look {wishes.look!r} is no preset; choose one of {', '.join(PRESETS)}")
        self.drafter.able(wishes.kind, _spins(wishes.motion))
        numbers = range(first, first + count)
        clips = [self._one(np.random.default_rng((seed, number)), wishes, size, frames) for number in numbers]
        return self._styled(clips, wishes.look) if wishes.look and clips else clips

    def _read(self, text: str | None, kind: str | None) -> Wishes:
        if not text:
            return Wishes()
        return wishes_of(text, {(pool.kind, pool.spins) for pool in self.drafter.pools}, kind)

    def _styled(self, clips: list[np.ndarray], look: str) -> list[np.ndarray]:
        codes_BS = np.repeat(preset_codes()[look][None], len(clips), 0)
        return _restyler(str(self.device)).restyle(clips, codes_BS)

    @torch.no_grad()
    def _one(self, rng: np.random.Generator, wishes: Wishes, size: int, frames: int) -> np.ndarray:
        pool = self.drafter.choose(rng, wishes.kind, _spins(wishes.motion))
        wish = Wish(colour=wishes.colour, backdrop=wishes.backdrop)
        draft = self.drafter.draft(rng, pool, wish, frames)
        if pool.spins:
            # Finished one by one, the frames of a spin change more from one to the next than a real product's do.
            return np.stack([_reduce(picture, size) for picture in _pictures(draft.rgb_NCHW)])
        picture = self._finish(draft, rng)
        if wishes.motion == "still":
            return np.repeat(_reduce(picture, size)[None], frames, 0)
        digest = hashlib.sha256(rng.bytes(32)).hexdigest()
        options = CameraOptions(num_frames=frames, size=size, move=wishes.motion or "auto")
        return photo_clip(_sharpened(picture), digest, options)[0]

    def _finish(self, draft: Draft, rng: np.random.Generator) -> np.ndarray:
        """The finished picture uint8 (H, W, 3) of a still draft."""
        half = SIDE // 2
        noise = torch.from_numpy(rng.standard_normal((1, self.network.config.noise, half, half)).astype(np.float32))
        inputs = (value.to(self.device) for value in (draft.rgb_NCHW, draft.matte_N1HW, noise))
        return _pictures(self.network(*inputs).float().cpu())[0]


def read_network(folder: Path | str) -> Finisher:
    """The finisher of a bundle, with its memory."""
    bundle = read_task_bundle(folder, "generate")
    network = Finisher(from_dict(NetworkConfig, bundle.config["network"], "network."))
    memory = {name: value for name, value in bundle.tensors.items() if name.startswith(MEMORY)}
    load_weights(network, {name: value for name, value in bundle.tensors.items() if name not in memory}, folder)
    try:
        network.memory = Memory.from_tensors(
            {name.removeprefix(MEMORY): torch.from_numpy(value) for name, value in memory.items()}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"bundle {folder}: its memory is not whole: {error}") from error
    return network


def save_bundle(network: Finisher, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle, with its memory."""
    memory = {MEMORY + name: value.numpy() for name, value in network.memory.tensors().items()}
    save_network(network, network.config, "generate", folder, card, beside=memory)


@lru_cache(maxsize=2)
def _restyler(device: str) -> Restyler:
    return Restyler.from_bundle(starter_bundle("restyle"), device)


def _spins(motion: Motion | None) -> bool | None:
    """Whether exemplars must spin, or must not."""
    return None if motion is None else motion == "spin"


def _pictures(rgb_NCHW: Tensor) -> np.ndarray:
    """uint8 (N, H, W, 3)."""
    return ((rgb_NCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _sharpened(picture_HWC: np.ndarray) -> np.ndarray:
    picture = picture_HWC.astype(np.float32)
    sharper = picture + SHARPEN * (picture - ndimage.gaussian_filter(picture, (RADIUS, RADIUS, 0)))
    return sharper.clip(0, 255).round().astype(np.uint8)


def _reduce(picture_HWC: np.ndarray, size: int) -> np.ndarray:
    if picture_HWC.shape[0] == size:
        return picture_HWC
    return np.asarray(Image.fromarray(picture_HWC).resize((size, size), Image.Resampling.BOX))
