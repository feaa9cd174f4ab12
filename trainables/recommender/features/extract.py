"""One product's modalities as numbers, each by itself: what it shows, sounds like, says, looks like, costs.

A modality a product lacks is None. Nothing here knows the catalogue: bringing modalities to one scale is the reader's
(`table.content_blocks`), so a product that comes in later changes no other product's row.

Dims: T frames, H height, W width, N frames of several clips, F feature channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from trainables.data.audio import MEL_BANDS
from trainables.data.style_code import CODE_DIM
from trainables.generator.text.embedding import EMBEDDING_DIM, text_embedder
from trainables.metrics.motion import motion_magnitude

FRAMES_READ = 4
SIDE = 128
"""Pixels a side at which the vision trunk sees a frame."""
FRAME_DIM = 2 * (40 + 80)
"""Mean and deviation of the channels at 1/8 and 1/16."""

MODALITIES: Mapping[str, int] = {
    "frames": FRAME_DIM,
    "audio": 3 * MEL_BANDS,
    "text": EMBEDDING_DIM,
    "style": CODE_DIM,
    "motion": 2,
    "duration": 1,
    "price": 1,
}
"""Numbers of each modality."""
VERSION = 1
"""Raised whenever the numbers of the same product change, so that rows are made again."""


@dataclass(frozen=True, kw_only=True)
class Footage:
    """What the clip of a product says."""

    frames_THWC: np.ndarray
    """uint8."""
    fps: float
    style_code: np.ndarray
    audio_logmel: np.ndarray | None = None
    """(T, MEL_BANDS), None without sound."""
    source_seconds: float | None = None
    """Length of the source; None: that of the clip."""


class Extractor:
    """Holds the vision trunk; make one a process."""

    def __init__(self) -> None:
        from trainables.generator.features import FrozenFeatures

        self._trunk = FrozenFeatures()

    def footage(self, clips: Sequence[Footage]) -> list[dict[str, np.ndarray | None]]:
        """frames, audio, style, motion and duration of each clip, float32."""
        frames = self._frames([clip.frames_THWC for clip in clips])
        return [
            {
                "frames": frames[i],
                "audio": None if clip.audio_logmel is None else audio_statistics(clip.audio_logmel),
                "style": np.asarray(clip.style_code, np.float32),
                "motion": motion_energy(clip.frames_THWC),
                "duration": _log(clip.source_seconds or len(clip.frames_THWC) / clip.fps),
            }
            for i, clip in enumerate(clips)
        ]

    def _frames(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """(clips, FRAME_DIM): mean and deviation of every channel over up to 4 evenly spaced frames and all places."""
        import torch

        chosen = [
            clip[np.linspace(0, len(clip) - 1, min(FRAMES_READ, len(clip))).round().astype(int)] for clip in clips
        ]
        small_NHWC = np.stack([_scaled(frame) for frames in chosen for frame in frames])
        frames_NCHW = torch.from_numpy(small_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            levels = [maps_NFHW.flatten(2) for maps_NFHW in self._trunk(frames_NCHW)[2:]]
        rows, first = [], 0
        for frames in chosen:
            own = [level[first : first + len(frames)].transpose(0, 1).flatten(1) for level in levels]
            rows.append(torch.cat([part for level in own for part in (level.mean(1), level.std(1))]))
            first += len(frames)
        return torch.stack(rows).numpy()


def text_and_price(title: str, description: str | None, price: float | None) -> dict[str, np.ndarray | None]:
    """text and price of a product, float32."""
    text = f"{title} {description or ''}".strip()
    vector = text_embedder().embed([text])[0] if text else np.zeros(0, np.float32)
    known_price = price is not None and np.isfinite(price) and price >= 0
    return {"text": vector if vector.any() else None, "price": _log(price) if known_price else None}


def audio_statistics(logmel_TM: np.ndarray) -> np.ndarray | None:
    """Mean, deviation and mean change between frames of every band, (3 · MEL_BANDS,); None where it is not finite."""
    if logmel_TM.ndim != 2 or logmel_TM.shape[1] != MEL_BANDS or not np.isfinite(logmel_TM).all() or not len(logmel_TM):
        return None
    change = np.abs(np.diff(logmel_TM, axis=0)).mean(0) if len(logmel_TM) > 1 else np.zeros(MEL_BANDS)
    return np.concatenate([logmel_TM.mean(0), logmel_TM.std(0), change]).astype(np.float32)


def motion_energy(frames_THWC: np.ndarray) -> np.ndarray | None:
    """log(1 + mean change between frames in grey levels) of the clip, and of its liveliest step; None for one frame."""
    if len(frames_THWC) < 2:
        return None
    steps = [motion_magnitude(frames_THWC[i : i + 2]) for i in range(len(frames_THWC) - 1)]
    return np.log1p([np.mean(steps), np.max(steps)]).astype(np.float32)


def _scaled(frame_HWC: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(frame_HWC).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _log(value: float) -> np.ndarray:
    return np.log1p(np.array([value], np.float32))
