"""Real against real where a clip is held against one clean clip: that clip as the product stores it, against itself.

What a measure says of it is the cost of storage alone.
Dims: T frames, H height, W width.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from trainables.data.video import decode_whole, encode_mp4
from trainables.generator.batch.files import CRF, NPY_FPS

STORED = f"stored as H.264 at crf {CRF}, as `shopreel clips` writes it"


def stored(frames_THWC: np.ndarray) -> np.ndarray:
    """A clip uint8 (T, H, W, 3) after it was written as MP4 the way `shopreel clips` does, and read back."""
    with TemporaryDirectory(prefix="shopreel-") as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(encode_mp4(frames_THWC, NPY_FPS, crf=CRF, keep_size=True))
        return decode_whole(path)[0]
