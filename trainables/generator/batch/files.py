"""Clip files of a folder: `NAME.npy` (uint8 (T, H, W, 3)) or `NAME.mp4`, read whole and written whole or not at all.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import csv
import unicodedata
import uuid
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Literal

import numpy as np

from cluster.errors import InputError, NotFoundError
from trainables.data.photos import read_photo
from trainables.data.video import count_frames, decode_whole, encode_mp4
from trainables.generator.provenance import Provenance

Format = Literal["mp4", "npy"]
ENDINGS = (".npy", ".mp4")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
NPY_FPS = 12.0
"""Frames a second of an MP4 made from an array, which has no rate of its own."""
CRF = 15
"""H.264 quality of what is written: visually lossless, larger than what the server streams."""


@dataclass(frozen=True)
class ClipFile:
    """A decoded input."""

    frames_THWC: np.ndarray
    """uint8 (T, H, W, 3) at the file's own size."""
    fps: float


def clip_files(folder: Path) -> dict[str, list[Path]]:
    """Files of a folder by their name without ending, sorted; a name with two files is ambiguous."""
    return _by_name(folder, ENDINGS)


def picture_files(folder: Path) -> dict[str, list[Path]]:
    """Pictures of a folder by their name without ending."""
    return _by_name(folder, PICTURE_ENDINGS)


def only(files: dict[str, list[Path]], name: str, folder: Path, what: str) -> Path:
    """The one file of that name; none or several are refused."""
    found = files.get(unicodedata.normalize("NFC", name), [])
    if not found:
        raise NotFoundError(f"no {what} {name!r} in {folder}")
    if len(found) > 1:
        raise InputError(f"{what} {name!r} is ambiguous: {', '.join(path.name for path in found)}; keep one of them")
    return found[0]


def read_clip(path: Path) -> ClipFile:
    """Every frame of a clip file. Raises InputError naming the file and what is wrong with it."""
    if path.suffix.lower() == ".mp4":
        return ClipFile(*decode_whole(path))
    frames = _read_array(path)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise InputError(f"{path} must be uint8 (T, H, W, 3) with T ≥ 1, not {frames.dtype} {frames.shape}")
    return ClipFile(np.array(frames), NPY_FPS)


def read_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """bool (T, H, W), True where damaged, of a uint8 or bool array that fits a clip of `shape` (T, H, W, 3)."""
    mask = _read_array(path)
    if mask.dtype not in (np.bool_, np.uint8):
        raise InputError(f"mask {path} must be uint8 or bool, not {mask.dtype}")
    if mask.shape != shape[:3]:
        raise InputError(f"mask {path} is {mask.shape}; its clip needs {shape[:3]} (T, H, W)")
    return mask != 0


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3), upright."""
    return read_photo(path.read_bytes(), str(path)).rgb_HWC


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Clip and style names of a CSV with the columns `clip` and `style`, in order, each pair once."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            missing = {"clip", "style"} - {(name or "").strip() for name in rows.fieldnames or ()}
            if missing:
                raise InputError(f"{path} has no column {', '.join(sorted(missing))}; it needs clip and style")
            table = [{(key or "").strip(): value for key, value in row.items()} for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV in UTF-8: {error}") from error
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}") from error
    pairs = [((row["clip"] or "").strip(), (row["style"] or "").strip()) for row in table]
    return list(dict.fromkeys(pairs))


def write_clip(path: Path, frames_THWC: np.ndarray, fps: float, provenance: Provenance) -> None:
    """Write beside, then rename: a file of that name is always whole. An MP4 says where it comes from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        if path.suffix == ".npy":
            with draft.open("wb") as file:
                np.save(file, np.ascontiguousarray(frames_THWC))
        else:
            draft.write_bytes(encode_mp4(frames_THWC, fps, crf=CRF, metadata=provenance.metadata(), keep_size=True))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a file is there and not cut off."""
    if not path.is_file():
        return False
    try:
        return _read_array(path).size > 0 if path.suffix == ".npy" else count_frames(path) > 0
    except InputError:
        return False


def _by_name(folder: Path, endings: tuple[str, ...]) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and path.is_file() and not path.name.startswith("."):
            # A Mac writes "é" as two letters, a spreadsheet as one.
            found.setdefault(unicodedata.normalize("NFC", path.stem), []).append(path)
    return found


def _read_array(path: Path) -> np.ndarray:
    """The array of a `.npy` file, mapped. One of Python objects is refused: nothing is unpickled."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, TypeError, OverflowError, EOFError, TokenError) as error:  # a damaged header raises any of them
        raise InputError(f"{path} is no NumPy array, or is cut off: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
