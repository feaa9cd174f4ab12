"""Clips as small H.264 files.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from pathlib import Path

import av
from torch import Tensor

FRAMES_A_SECOND = 12
QUALITY = 18
"""x264's constant rate factor: lower is better and larger; 18 leaves no visible blocks at 128 pixels."""


def write_clip(clip_THWC: Tensor, path: Path) -> int:
    """Write uint8 RGB frames (T, H, W, 3) as an MP4 that plays from its first byte; returns its size in bytes."""
    frames = clip_THWC.numpy()
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        # One thread, so that the same frames always give the same file.
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(QUALITY), "preset": "veryslow", "g": str(len(frames))}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path.stat().st_size
