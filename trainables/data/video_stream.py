"""A clip as fragmented MP4 while its frames are still being made: a player may begin with the first of them.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Mapping

import av
import numpy as np

from trainables.data.video import add_h264, to_video_frame


class _Sink:
    """A file that can only be written, and emptied."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


class FragmentedMp4:
    """H.264 in MP4 with an empty index and a fragment a frame (ISO/IEC 14496-12 §8.8): nothing waits for the end."""

    def __init__(self, size_HW: tuple[int, int], fps: float, *, metadata: Mapping[str, str] | None = None) -> None:
        self._pad = (size_HW[0] % 2, size_HW[1] % 2)
        self._sink = _Sink()
        flags = "+frag_every_frame+empty_moov+default_base_moof+use_metadata_tags"
        self._container = av.open(self._sink, "w", format="mp4", options={"movflags": flags})
        self._container.metadata.update(metadata or {})
        even = (size_HW[0] + self._pad[0], size_HW[1] + self._pad[1])
        # Without lookahead every picture leaves the encoder at once.
        self._stream = add_h264(self._container, even, fps, tune="zerolatency")
        self._count = 0

    def add(self, frames_THW3: np.ndarray) -> bytes:
        """The bytes that follow for these frames, uint8 (T, H, W, 3); at the beginning with the header."""
        (below, beside) = self._pad
        frames = np.pad(frames_THW3, ((0, 0), (0, below), (0, beside), (0, 0)), mode="edge")
        for picture in frames:
            self._container.mux(self._stream.encode(to_video_frame(picture, self._count, self._stream)))
            self._count += 1
        return self._sink.take()

    def finish(self) -> bytes:
        """What is left."""
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._sink.take()
