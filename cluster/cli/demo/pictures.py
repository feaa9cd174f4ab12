"""The demo's contact sheet: one product a row; its source, then the same product for each viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.contact_sheet import contact_sheet
from trainables.data.video import DecodeOptions, decode_clip

MOMENTS = (0.0, 0.3)
"""Shares of the clip shown, so that the sheet shows motion."""
CELL = 176
FRAMES_READ = 24


def write_sheet(path: Path, rows: list[tuple[str, list[Path]]], columns: list[str]) -> None:
    """`rows`: a product's title and its clips, one for each of `columns`; a clip takes two cells, two of its frames."""
    cells = [[frame for clip in clips for frame in _moments(clip)] for _, clips in rows]
    labels = [label for column in columns for label in (column, *[""] * (len(MOMENTS) - 1))]
    contact_sheet(cells, [title for title, _ in rows], labels, cell=CELL).save(path)


def _moments(path: Path) -> list[np.ndarray]:
    """Frames (H, W, 3) of one of our own MP4s."""
    options = DecodeOptions(num_frames=FRAMES_READ, size=CELL, span="whole", max_dead_seconds=0)
    frames_THWC = decode_clip(path, options).frames_THWC
    return [frames_THWC[int(moment * len(frames_THWC))] for moment in MOMENTS]
