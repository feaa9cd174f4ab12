"""Make clips with a trained bundle: noise, kind, look and text in, clips out.

Dims: T frames, H height, W width, N pictures a forward pass.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from cluster.config import from_dict, to_dict
from cluster.errors import InputError
from trainables.bundle import write_bundle
from trainables.data.camera import MOVES, CameraOptions, photo_clip
from trainables.generator.generate.draft import Draft, Drafter, Wish
from trainables.generator.generate.memory import SIDE, Memory
from trainables.generator.generate.network import Finisher, NetworkConfig
from trainables.generator.task import read_task_bundle

SIZES = (64, 128)
MOST_FRAMES = 256
PICTURES = 8
"""Pictures a forward pass takes at once."""
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
        *,
        colour: tuple[float, float, float] | None = None,
        backdrop: tuple[float, float, float] | None = None,
        motion: Literal["push_in", "pan", "orbit", "spin"] | None = None,
        size: int = 128,
        frames: int = 16,
    ) -> list[np.ndarray]:
        """`count` clips uint8 (frames, size, size, 3). Clip number n depends on the seed, n and the wishes alone.

        `kind` is one of `kinds`, else drawn as often as the memory has it; colours are mean Oklab; a `motion` that a
        kind cannot do (only some kinds were seen to spin) is refused.
        """
        if size not in SIZES:
            raise InputError(f"size is {size}; clips are made at {' or '.join(map(str, SIZES))} pixels")
        if count < 0 or seed < 0 or not 1 <= frames <= MOST_FRAMES:
            raise InputError(f"count is {count}, seed {seed}, frames {frames}; 0 or above, frames 1 to {MOST_FRAMES}")
        if motion not in (None, "spin", *MOVES):
            raise InputError(f"motion is {motion!r}; choose spin, {', '.join(MOVES)}")
        if kind is not None and kind not in self.kinds:
            raise InputError(f"kind {kind!r} is none of {', '.join(self.kinds)}")
        wish = Wish(colour=colour, backdrop=backdrop)
        return [self._one(np.random.default_rng((seed, n)), kind, wish, motion, size, frames) for n in range(count)]

    @torch.no_grad()
    def _one(
        self, rng: np.random.Generator, kind: str | None, wish: Wish, motion: str | None, size: int, frames: int
    ) -> np.ndarray:
        pool = self.drafter.choose(rng, kind, None if motion is None else motion == "spin")
        pictures = self._finish(self.drafter.draft(rng, pool, wish, frames), rng)
        if pool.spins:
            return pictures if size == SIDE else np.stack([_reduce(picture, size) for picture in pictures])
        digest = hashlib.sha256(rng.bytes(32)).hexdigest()
        options = CameraOptions(num_frames=frames, size=size, move=motion or "auto")
        return photo_clip(pictures[0], digest, options)[0]

    def _finish(self, draft: Draft, rng: np.random.Generator) -> np.ndarray:
        """Finished pictures uint8 (N, H, W, 3); all frames of a spin get the same noise, so that none flickers."""
        half = SIDE // 2
        noise = torch.from_numpy(rng.standard_normal((1, self.network.config.noise, half, half)).astype(np.float32))
        parts = []
        for start in range(0, len(draft.rgb_NCHW), PICTURES):
            rgb, matte = (maps[start : start + PICTURES].to(self.device) for maps in (draft.rgb_NCHW, draft.matte_N1HW))
            finished = self.network(rgb, matte, noise.to(self.device).expand(len(rgb), -1, -1, -1)).float()
            parts.append(((finished.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu())
        return torch.cat(parts).numpy()


def read_network(folder: Path | str) -> Finisher:
    """The finisher of a bundle, with its memory."""
    bundle = read_task_bundle(folder, "generate")
    network = Finisher(from_dict(NetworkConfig, bundle.config["network"], "network."))
    tensors = {name: torch.from_numpy(value) for name, value in bundle.tensors.items()}
    memory = {name.removeprefix(MEMORY): value for name, value in tensors.items() if name.startswith(MEMORY)}
    weights = {name: value.float() for name, value in tensors.items() if not name.startswith(MEMORY)}
    try:
        network.load_state_dict(weights)
        network.memory = Memory.from_tensors(memory)
    except (RuntimeError, KeyError) as error:
        raise InputError(f"bundle {folder}: weights and config do not fit together: {error}") from error
    return network


def save_bundle(network: Finisher, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle, weights in half precision, with its memory."""
    tensors = {name: value.detach().cpu().half().numpy() for name, value in network.state_dict().items()}
    tensors |= {MEMORY + name: value.numpy() for name, value in network.memory.tensors().items()}
    config = {"task": "generate", "network": to_dict(network.config)}
    write_bundle(folder, kind="generator", tensors=tensors, config=config, card=card)


def _reduce(picture_HWC: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture_HWC).resize((size, size), Image.Resampling.BOX))
