"""The demo's contact sheet: one product a row; its source, then the same product for each viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.contact_sheet import contact_sheet
from trainables.data.video import DecodeOptions, decode_clip

FRAMES_A_CLIP = 3


def frames_of(path: Path) -> np.ndarray:
    """All frames of one of our own MP4s, uint8 (T, H, W, 3)."""
    return decode_clip(path, DecodeOptions.as_is()).frames_THWC


def write_sheet(path: Path, rows: list[tuple[str, list[Path]]], columns: list[str]) -> None:
    """`rows`: product title and its clips, one a column; a cell shows three frames of the clip side by side."""
    cells = [[_strip(frames_of(clip)) for clip in clips] for _, clips in rows]
    contact_sheet(cells, [title for title, _ in rows], columns).save(path)


def _strip(frames_THWC: np.ndarray) -> np.ndarray:
    chosen = np.linspace(0, len(frames_THWC) * 0.75, FRAMES_A_CLIP).astype(int)
    return np.concatenate([frames_THWC[i] for i in chosen], axis=1)
