"""How a clean clip becomes a poor upload: blur, half the size, sensor noise, then real compression.

The order is that of a camera: the lens blurs, the sensor samples and adds noise, the encoder sees the noise. All of it
is drawn from one random generator, so a training batch is a function of its draws alone.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import av
import cv2
import numpy as np

from trainables.data.x264 import repeatable

PRESETS = ("veryfast", "fast", "medium")
"""Of x264: how hard it looks for a good prediction; phones and shops differ."""
_SHRINKS = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """One way a clip was spoilt."""

    scale: int = 2
    """2: half the size; 1: the size stays."""
    blur: float = 0.5
    """Deviation of the Gaussian, pixels of the clean clip, ≥ 0."""
    noise: float = 0.06
    """Deviation of the noise as a share of white, ≥ 0."""
    crf: int = 35
    """H.264 quality, 0…51, larger is worse; −1: no compression."""
    jpeg: int = 0
    """Quality of frame-wise JPEG in place of H.264, 1…100; 0: H.264."""
    preset: str = "medium"
    """Of x264."""
    shrink: int = cv2.INTER_AREA
    """OpenCV's interpolation for halving."""


@dataclass(frozen=True, kw_only=True)
class DegradationConfig:
    """What a training meets; a range is (least, most)."""

    same_size_share: float = 0.25
    """Share of clips that keep their size, 0…1; the others are halved."""
    hard_share: float = 0.6
    """Share of clips spoilt near the hard end of every range, 0…1."""
    jpeg_share: float = 0.1
    """Share of clips with JPEG blocks in place of H.264, 0…1."""
    blur: tuple[float, float] = (0.0, 1.2)
    """Pixels of the clean clip, ≥ 0."""
    noise: tuple[float, float] = (0.0, 0.08)
    """Share of white, ≥ 0."""
    crf: tuple[int, int] = (18, 38)
    """H.264 quality, 0…51."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0 <= value <= 1:
                raise ValueError(f"degradation.{field.name} is {value}; set it between 0 and 1")
            if not field.name.endswith("_share") and not (len(value) == 2 and 0 <= value[0] <= value[1]):
                raise ValueError(f"degradation.{field.name} is {value}; give [least, most], 0 or above")
        if self.crf[1] > 51:
            raise ValueError(f"degradation.crf is {self.crf}; H.264 knows 0 to 51")

    def draw(self, rng: np.random.Generator) -> Degradation:
        """One way to spoil a clip."""
        scale = 1 if rng.random() < self.same_size_share else 2
        hard, jpeg = rng.random() < self.hard_share, rng.random() < self.jpeg_share
        blur, noise, crf = (_between(rng, *bounds, hard) for bounds in (self.blur, self.noise, self.crf))
        return Degradation(
            scale=scale,
            blur=blur,
            noise=noise,
            crf=round(crf),
            jpeg=int(rng.integers(25, 80)) if jpeg else 0,
            preset=str(rng.choice(PRESETS)),
            shrink=int(rng.choice(_SHRINKS)),
        )


def degrade(clean_THWC: np.ndarray, how: Degradation, rng: np.random.Generator) -> np.ndarray:
    """The spoilt clip, uint8 (T, H/scale, W/scale, 3); H and W must be even after scaling."""
    height, width = clean_THWC.shape[1:3]
    frames = clean_THWC.astype(np.float32)
    if how.blur > 0:
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), how.blur) for frame in frames])
    if how.scale == 2:
        size = (width // 2, height // 2)
        frames = np.stack([cv2.resize(frame, size, interpolation=how.shrink) for frame in frames])
    frames += rng.standard_normal(frames.shape, np.float32) * np.float32(255 * how.noise)
    noisy = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    if how.jpeg:
        return np.stack([_jpeg(frame, how.jpeg) for frame in noisy])
    return noisy if how.crf < 0 else h264(noisy, how.crf, how.preset)


def h264(frames_THWC: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """The clip after x264 and back, same shape; even sides."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": preset, "threads": "1", **repeatable()}
        stream = container.add_stream("libx264", rate=12, options=options)
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])


def _jpeg(frame_HWC: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


def _between(rng: np.random.Generator, least: float, most: float, hard: bool) -> float:
    """Anywhere in the range, or around three quarters of it."""
    return float(least + (most - least) * (rng.uniform(0.4, 1.0) if hard else rng.random()))
