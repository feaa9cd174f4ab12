"""Where an evaluation takes its clips from: the held-out products of a dataset, or folders of clip files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.data.dataset import Dataset
from trainables.generator.batch.files import clip_files, only, picture_files, read_clip, read_picture
from trainables.generator.restyle.presets import PRESETS, preset_image
from trainables.generator.scoring.report import FRAMES, Material
from trainables.generator.split import split_products


def material_of_dataset(dataset: Dataset, styles: dict[str, np.ndarray], most_clips: int, *, known: bool) -> Material:
    """Held-out products, and with `known` the clips of the others."""
    training, held_out = split_products(dataset.clip_products())
    names = evenly(held_out, most_clips)
    return Material(
        clips=[_measured(dataset.clip(name).frames_THWC) for name in names],
        names=names,
        sources=[dataset.name] * len(names),
        styles=styles,
        known=[_measured(dataset.clip(name).frames_THWC) for name in training] if known else None,
    )


def material_of_folders(
    folders: Sequence[Path], styles: dict[str, np.ndarray], most_clips: int, known: Path | None
) -> Material:
    """Every clip of the folders, each folder a source; `known` holds training clips."""
    found = [(folder, name, files) for folder in folders for files in [clip_files(folder)] for name in files]
    chosen = evenly(found, most_clips)
    return Material(
        clips=[_measured(read_clip(only(files, name, folder, "clip")).frames_THWC) for folder, name, files in chosen],
        names=[name for _, name, _ in chosen],
        sources=[folder.name for folder, _, _ in chosen],
        styles=styles,
        known=read_folder(known) if known else None,
    )


def read_folder(folder: Path) -> list[np.ndarray]:
    """The frames that are measured, of every clip of a folder."""
    files = clip_files(folder)
    return [_measured(read_clip(only(files, name, folder, "clip")).frames_THWC) for name in files]


def _measured(frames_THWC: np.ndarray) -> np.ndarray:
    # A copy, so that the frames after them leave memory: a folder may hold films.
    return frames_THWC[:FRAMES].copy()


def read_styles(folder: Path | None, most: int) -> dict[str, np.ndarray]:
    """Pictures of a folder by name, evenly chosen; the presets' references without one."""
    if folder is None:
        return {name: preset_image(name) for name in PRESETS[:most]}
    files = picture_files(folder)
    return {name: read_picture(only(files, name, folder, "style")) for name in evenly(list(files), most)}


def evenly(items: Sequence, most: int) -> list:
    """At most `most` of them, evenly spread."""
    return [items[place] for place in np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)]
