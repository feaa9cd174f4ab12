"""What the generator remembers of its training clips: exemplars, stills and spins of products, as lossy pictures.

A generated clip recombines several of them; none is shown as it is. A still is the first frame of a clip under a camera
move, with a matte of its product; a spin is a clip whose product turns before a plain backdrop that stands still.
They rest as WebP bytes in uint8 tensors, so a bundle needs nothing but safetensors.
Dims: T frames, H height, W width.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from trainables.data.style_code import rgb_to_oklab
from trainables.generator.generate.matte import product_matte

QUALITY = 82
"""WebP quality of stills; spins, with a plain backdrop and 16 frames each, rest at `SPIN_QUALITY`."""
SPIN_QUALITY = 72
SPIN_FRAMES = 24
"""Most frames of a spin that are kept."""
SIDE = 128
OWN_SHARE = 0.5
"""Of the clips of no wished kind, where a training adds its own clips to a memory that makes its groups by a mix."""
DECODED = 256
"""Exemplars kept decoded at a time."""


@dataclass(frozen=True)
class Label:
    """What is known of a clip besides its pixels; `group` holds clips whose backdrops go together."""

    kind: str = "product"
    title: str = ""
    group: str = ""


@dataclass(frozen=True)
class Entry:
    """One exemplar's label and the numbers that choose it."""

    kind: str
    title: str
    group: str
    frames: int
    """1 for a still."""
    trust: float
    """Of its matte, 0…1."""
    product: tuple[float, float, float]
    """Mean Oklab of the product."""
    backdrop: tuple[float, float, float]
    """Mean Oklab of the backdrop."""
    area: float
    """Share of the picture that is product."""

    @property
    def spins(self) -> bool:
        return self.frames > 1


class Memory:
    """Exemplars by index; pictures are decoded when they are asked for."""

    def __init__(
        self, entries: Sequence[Entry], pictures: Sequence[Sequence[bytes]], mix: Mapping[str, float] | None = None
    ) -> None:
        """`pictures` holds the WebP bytes of every frame of every entry; a still's carry its matte as alpha. `mix` says
        how often each group is made where no kind is wished for; without one, as often as it has exemplars.
        """
        self.entries, self._pictures, self.mix = list(entries), [list(frames) for frames in pictures], dict(mix or {})
        self._decode = lru_cache(DECODED)(self._decoded)

    def __len__(self) -> int:
        return len(self.entries)

    def still(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 (H, W, 3) and matte float32 (H, W) of a still."""
        rgb_THWC, matte_THW = self._decode(index)
        return rgb_THWC[0], matte_THW[0]

    def spin(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames uint8 (T, H, W, 3) and mattes float32 (T, H, W) of a spin."""
        return self._decode(index)

    def first_frame(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3) of any exemplar."""
        return self._decode(index)[0][0]

    def kinds(self) -> dict[str, int]:
        """Kinds and how many exemplars each has."""
        counts: dict[str, int] = {}
        for entry in self.entries:
            counts[entry.kind] = counts.get(entry.kind, 0) + 1
        return counts

    def renamed(self, kinds: Sequence[str]) -> Memory:
        """The same exemplars, of these kinds."""
        entries = [replace(entry, kind=kind) for entry, kind in zip(self.entries, kinds, strict=True)]
        return Memory(entries, self._pictures, self.mix)

    def tensors(self) -> dict[str, Tensor]:
        """All of it as uint8 and int64 tensors."""
        flat = [picture for frames in self._pictures for picture in frames]
        labels = json.dumps({"mix": self.mix, "entries": [asdict(entry) for entry in self.entries]}).encode()
        return {
            "pictures": torch.frombuffer(bytearray(b"".join(flat) or b"\0"), dtype=torch.uint8),
            "sizes": torch.tensor([len(picture) for picture in flat], dtype=torch.int64),
            "labels": torch.frombuffer(bytearray(labels), dtype=torch.uint8),
        }

    def __deepcopy__(self, _: dict[int, object]) -> Memory:
        return self  # nothing in it ever changes; an average of a network shares it

    @classmethod
    def merged(cls, parts: Sequence[Memory], stills: int, spins: int) -> Memory:
        """One memory of several, with the first's mix: the stills with the best mattes, and spins evenly from all."""
        every = [pair for part in parts for pair in zip(part.entries, part._pictures, strict=True)]
        still = [pair for pair in every if not pair[0].spins]
        spin = [pair for pair in every if pair[0].spins]
        still.sort(key=lambda pair: -pair[0].trust)
        if len(spin) > spins:
            spin = [spin[place] for place in np.linspace(0, len(spin) - 1, spins).astype(int)]
        kept = still[:stills] + spin
        return cls([entry for entry, _ in kept], [pictures for _, pictures in kept], parts[0].mix)

    @classmethod
    def enlarged(cls, known: Memory, own: Memory, stills: int, spins: int) -> Memory:
        """`known` and a shop's own exemplars, which come first where there is no room for all. Where the known groups
        are made by a mix, the own ones get `OWN_SHARE` of it.
        """
        taken = sum(entry.spins for entry in own.entries)
        room = max(stills - (len(own) - taken), 0), max(spins - taken, 0)
        counts = Counter(entry.group for entry in own.entries)
        mix = {group: share for group, share in known.mix.items() if group not in counts}
        if mix and counts:
            whole = sum(mix.values())
            mix = {group: (1 - OWN_SHARE) * share / whole for group, share in mix.items()}
            mix |= {group: OWN_SHARE * count / len(own) for group, count in counts.items()}
        return cls.merged([cls((), (), mix), cls.merged([known], *room), own], stills, spins)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Memory:
        """What `tensors` gave. KeyError, TypeError or ValueError for what is not whole."""
        labels = json.loads(tensors["labels"].numpy().tobytes())
        tuples = ("product", "backdrop")
        entries = [Entry(**row | {name: tuple(row[name]) for name in tuples}) for row in labels["entries"]]
        data, ends = tensors["pictures"].numpy().tobytes(), np.cumsum(tensors["sizes"].numpy())
        if len(ends) != sum(entry.frames for entry in entries) or (len(ends) and ends[-1] != len(data)):
            raise ValueError(
                f"{len(entries)} exemplars, {len(ends)} pictures and {len(data)} bytes do not fit together"
            )
        flat = [data[end - size : end] for end, size in zip(ends, tensors["sizes"].tolist(), strict=True)]
        pictures, place = [], 0
        for entry in entries:
            pictures.append(flat[place : place + entry.frames])
            place += entry.frames
        return cls(entries, pictures, labels["mix"])

    def _decoded(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        frames = [np.asarray(Image.open(io.BytesIO(data))) for data in self._pictures[index]]
        if self.entries[index].spins:
            rgb_THWC = np.stack([frame[..., :3] for frame in frames])
            return rgb_THWC, plain_mattes(rgb_THWC)
        return frames[0][None, ..., :3], frames[0][None, ..., 3].astype(np.float32) / 255


class Clips(Protocol):
    """Clips by index; a `label(index) -> Label` beside them is used where there is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 (T, H, W, 3)."""
        ...


@runtime_checkable
class LabelledClips(Protocol):
    """Clips that know what they show."""

    def label(self, index: int) -> Label: ...


def learn(clips: Clips) -> Memory:
    """Everything that can be remembered of these clips; those of unknown label are of the kind `product`."""
    found = []
    for index in range(len(clips)):
        label = clips.label(index) if isinstance(clips, LabelledClips) else Label(title=str(index))
        found.append(remember(clips[index], label))
    kept = [pair for pair in found if pair is not None]
    return Memory([entry for entry, _ in kept], [pictures for _, pictures in kept])


def remember(frames_THWC: np.ndarray, label: Label) -> tuple[Entry, list[bytes]] | None:
    """An entry and its pictures from a clip uint8 (T, H, W, 3); None where no product can be told from its backdrop."""
    frames = np.stack([fit(frame) for frame in frames_THWC[:SPIN_FRAMES]])
    if is_spin(frames):
        mattes = plain_mattes(frames)
        trust, kept, quality = 1.0, [Image.fromarray(frame) for frame in frames], SPIN_QUALITY
        frame, matte = frames[0], mattes[0]
    else:
        frame = frames[0]
        matte, trust = product_matte(frame)
        kept = [Image.fromarray(np.dstack([frame, (matte * 255).round().astype(np.uint8)]), "RGBA")]
        quality = QUALITY
    if trust == 0 or not 0.02 < matte.mean() < 0.8:
        return None
    lab_HWC = rgb_to_oklab(frame)
    entry = Entry(
        **asdict(label),
        frames=len(kept),
        trust=round(trust, 3),
        product=_mean(lab_HWC, matte > 0.9),
        backdrop=_mean(lab_HWC, matte < 0.1),
        area=round(float(matte.mean()), 3),
    )
    return entry, [_webp(picture, quality) for picture in kept]


def is_spin(frames_THWC: np.ndarray) -> bool:
    """Whether the product turns before a backdrop that stands still: the rim does not change, and no zoom of the first
    frame explains the frame half way.
    """
    if len(frames_THWC) < 8:
        return False
    light = frames_THWC.astype(np.float32).mean(-1)
    band = max(2, light.shape[1] // 16)
    rim = np.concatenate([light[:, :band].reshape(len(light), -1), light[:, -band:].reshape(len(light), -1)], 1)
    if rim.std(0).mean() > 2.0 or np.abs(rim - np.median(rim)).mean() > 8:
        return False
    first, half = light[0], light[len(light) // 2]
    return min(float(np.abs(_zoomed(first, zoom) - half).mean()) for zoom in np.arange(1, 1.4, 0.04)) > 3.0


def plain_mattes(frames_THWC: np.ndarray) -> np.ndarray:
    """Mattes (T, H, W) of frames before one plain colour: what differs from it, holes filled."""
    lab = rgb_to_oklab(frames_THWC) * np.array([1.0, 2.0, 2.0], np.float32)
    band = max(2, lab.shape[1] // 16)
    backdrop = np.median(np.concatenate([lab[:, :band].reshape(-1, 3), lab[:, -band:].reshape(-1, 3)]), 0)
    distance = np.linalg.norm(ndimage.gaussian_filter(lab, (0, 0.6, 0.6, 0)) - backdrop, axis=-1)
    mattes = np.clip((distance - 0.05) / 0.08, 0, 1)
    for matte in mattes:
        solid = ndimage.binary_closing(np.pad(matte > 0.5, 4), iterations=2)[4:-4, 4:-4]
        solid = ndimage.binary_fill_holes(solid)
        matte[ndimage.binary_erosion(solid)] = 1
        # What a codec leaves around the product is no product.
        matte[~ndimage.binary_dilation(ndimage.binary_opening(solid), iterations=2)] = 0
    return mattes.astype(np.float32)


def _zoomed(picture_HW: np.ndarray, zoom: float) -> np.ndarray:
    centre = (np.array(picture_HW.shape) - 1) / 2
    return ndimage.affine_transform(picture_HW, [1 / zoom, 1 / zoom], centre - centre / zoom, order=1, mode="nearest")


def fit(frame_HWC: np.ndarray) -> np.ndarray:
    """A frame uint8 (H, W, 3) at the side of exemplars."""
    if frame_HWC.shape[:2] == (SIDE, SIDE):
        return frame_HWC
    return np.asarray(Image.fromarray(frame_HWC).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _mean(lab_HWC: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    chosen = lab_HWC[where] if where.any() else lab_HWC.reshape(-1, 3)
    return tuple(round(float(value), 4) for value in chosen.mean(0))


def _webp(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=5, exact=True)
    return buffer.getvalue()
