"""The import of media as a streaming Ray Data pipeline: files → clips → style codes → Parquet.

Only paths and outcomes travel between processes; each task decodes its few products and writes its clips itself, so an
import needs memory for a handful of clips, however large the catalogue is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from cluster.errors import InputError, StorageError
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.audio import log_mel
from trainables.data.camera import CameraOptions, photo_clip
from trainables.data.dataset import Dataset, TableWriter
from trainables.data.importers.catalogue import Item
from trainables.data.importers.report import ImportReport, SetAside
from trainables.data.photos import LARGEST_BYTES, read_photo
from trainables.data.style_code import style_code
from trainables.data.video import DecodeOptions, decode_clip

PART_BYTES = 32 * 1024**2
"""A part is written when its frames reach this size."""

PRODUCTS_A_FLUSH = 512
ADDED, KNOWN, DUPLICATE, SET_ASIDE, NOTE, FAILED = "added", "known", "duplicate", "set aside", "note", "failed"


@dataclass(frozen=True, kw_only=True)
class Footage:
    """What a converter made of one file."""

    frames_THWC: np.ndarray
    fps: float
    audio_logmel: np.ndarray | None = None
    camera_move: str | None = None
    source_seconds: float | None = None
    note: str | None = None


class Converter(Protocol):
    """File → clip; small and picklable."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the result beside the file."""
        ...

    def __call__(self, path: str, name: str, sha256: str) -> Footage:
        """Raises InputError for a file that cannot be used."""
        ...


@dataclass(frozen=True)
class PhotoConverter:
    """A photo, moved over by a virtual camera."""

    options: CameraOptions

    @property
    def settings(self) -> dict[str, Any]:
        return {"photo": asdict(self.options)}

    def __call__(self, path: str, name: str, sha256: str) -> Footage:
        if Path(path).stat().st_size > LARGEST_BYTES:
            raise InputError(f"{name} is larger than {LARGEST_BYTES // 1024**2} MiB; reduce it")
        photo = read_photo(Path(path).read_bytes(), name)
        frames, move = photo_clip(photo.rgb_HWC, sha256, self.options)
        return Footage(frames_THWC=frames, fps=self.options.fps, camera_move=move, note=photo.note)


@dataclass(frozen=True)
class ClipConverter:
    """A video file, decoded and resampled."""

    options: DecodeOptions

    @property
    def settings(self) -> dict[str, Any]:
        return {"clip": asdict(self.options)}

    def __call__(self, path: str, name: str, sha256: str) -> Footage:
        clip = decode_clip(path, self.options, name=name)
        sound = None if clip.audio is None else log_mel(clip.audio, self.options.num_frames, clip.frame_seconds)
        return Footage(
            frames_THWC=clip.frames_THWC, fps=clip.fps, audio_logmel=sound, source_seconds=clip.source_seconds
        )


@dataclass(frozen=True)
class Progress:
    """How far an import is."""

    done: int
    total: int
    set_aside: int


def import_media(
    dataset: Dataset,
    items: Sequence[Item],
    converter: Converter,
    report: ImportReport,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Convert and store every file of `items`, adding to `report`; Ray must be up (`cluster.runtime.ray_session`).

    Products are stored once one of their files was usable. Raises StorageError when the storage cannot be written; what
    was stored until then stays, and a repeated import goes on from there.
    """
    products = TableWriter(dataset, "products", report.source)
    known_clips = frozenset(dataset.keys("clips"))
    by_id = {item.product["product_id"]: item for item in items}
    total, done, waiting = sum(len(item.files) for item in items), 0, {}
    report.added.update({"products": 0, "clips": 0})

    def flush() -> None:
        rows = pa.Table.from_pylist(list(waiting.values()), schema=schemas.PRODUCTS)
        report.add("products", products.add(rows).new)
        waiting.clear()

    try:
        for outcome in _stream(dataset, items, converter, known_clips):
            kind, product_id = outcome["outcome"], outcome["product_id"]
            if kind == FAILED:
                raise StorageError(outcome["reason"])
            if kind == NOTE:
                report.notes.append(f"{outcome['path']}: {outcome['reason']}")
                continue
            done += 1
            if kind == SET_ASIDE:
                report.set_aside.append(SetAside(outcome["path"], outcome["reason"]))
            else:
                waiting[product_id] = _product_row(by_id[product_id].product)
                report.add("clips", int(kind == ADDED))
                report.known += kind == KNOWN
                report.duplicates += kind == DUPLICATE
            if len(waiting) >= PRODUCTS_A_FLUSH:
                flush()
            if on_progress is not None:
                on_progress(Progress(done, total, len(report.set_aside)))
    finally:  # also of an import that is broken off: its clips are stored already
        if waiting:
            flush()


def _product_row(product: dict[str, Any]) -> dict[str, Any]:
    return {field.name: product.get(field.name) for field in schemas.PRODUCTS}


def _stream(
    dataset: Dataset, items: Sequence[Item], converter: Converter, known_clips: frozenset[str]
) -> Iterator[dict[str, Any]]:
    """Outcomes as they come in, in any order."""
    if not items:
        return
    import ray
    import ray.data

    if not ray.is_initialized():
        raise RuntimeError("Ray is not up; import inside `with ray_session(settings):`")
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    a_block = min(64, max(2, len(items) // 200))
    rows = [{"item": json.dumps([item.product["product_id"], item.files])} for item in items]
    job = {
        "storage_root": dataset.storage.root,
        "dataset_name": dataset.name,
        "converter": converter,
        "known": ray.put(known_clips),
    }
    with ray.data.DataContext.current(context):
        outcomes = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // a_block)).map_batches(
            _convert_block, batch_size=None, batch_format="pyarrow", fn_kwargs=job, zero_copy_batch=True
        )
        for batch in outcomes.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from batch.to_pylist()


def _convert_block(
    block: pa.Table, *, storage_root: str, dataset_name: str, converter: Converter, known: Any
) -> pa.Table:
    """One task: convert the block's products, write their clips, tell the outcomes."""
    import ray

    dataset = Dataset.open(Storage(storage_root), dataset_name)
    known_clips = ray.get(known) if isinstance(known, ray.ObjectRef) else known
    outcomes = list(convert_items(dataset, map(json.loads, block["item"].to_pylist()), converter, known_clips))
    if outcomes and outcomes[-1][2] == FAILED:
        del outcomes[:-1]  # what was not written was not added
    fields = ("product_id", "path", "outcome", "reason")
    return pa.table({name: pa.array([row[i] for row in outcomes], pa.string()) for i, name in enumerate(fields)})


def convert_items(
    dataset: Dataset,
    items: Iterator[tuple[str, Sequence[tuple[str, str]]]],
    converter: Converter,
    known_clips: frozenset[str],
) -> Iterator[tuple[str, str, str, str | None]]:
    """(product, path, outcome, reason) of each file; clips are written in parts of about `PART_BYTES`."""
    pending: list[dict[str, Any]] = []
    pending_bytes, seen = 0, set()
    fingerprint = json.dumps(converter.settings, sort_keys=True)
    try:
        for product_id, files in items:
            for name, path in files:
                try:
                    sha256 = _sha256(path, name)
                    clip_id = hashlib.sha256(f"{sha256}\n{product_id}\n{fingerprint}".encode()).hexdigest()[:32]
                    if clip_id in known_clips or clip_id in seen:
                        yield product_id, name, KNOWN if clip_id in known_clips else DUPLICATE, None
                        continue
                    footage = converter(path, name, sha256)
                except InputError as error:
                    yield product_id, name, SET_ASIDE, str(error)
                    continue
                except OSError as error:
                    yield product_id, name, SET_ASIDE, f"{name} cannot be read: {error.strerror or error}"
                    continue
                except Exception as error:  # noqa: BLE001 - whatever a reader does at damage, the other files come in
                    yield product_id, name, SET_ASIDE, f"{name} cannot be converted: {type(error).__name__}: {error}"
                    continue
                seen.add(clip_id)
                pending.append(_clip_row(clip_id, product_id, name, sha256, footage))
                pending_bytes += footage.frames_THWC.nbytes
                if pending_bytes >= PART_BYTES:
                    _write(dataset, pending)
                    pending_bytes = 0
                if footage.note:
                    yield product_id, name, NOTE, footage.note
                yield product_id, name, ADDED, None
        _write(dataset, pending)
    except StorageError as error:
        yield "", "", FAILED, str(error)


def _write(dataset: Dataset, pending: list[dict[str, Any]]) -> None:
    if pending:
        dataset.write_part("clips", pa.Table.from_pylist(pending, schema=schemas.CLIPS), "import")
        pending.clear()


def _clip_row(clip_id: str, product_id: str, name: str, sha256: str, footage: Footage) -> dict[str, Any]:
    frames = footage.frames_THWC
    return {
        "clip_id": clip_id,
        "product_id": product_id,
        "num_frames": frames.shape[0],
        "height": frames.shape[1],
        "width": frames.shape[2],
        "fps": footage.fps,
        "frames": frames.tobytes(),
        "style_code": style_code(frames).tolist(),
        "audio_logmel": None if footage.audio_logmel is None else footage.audio_logmel.reshape(-1).tolist(),
        "camera_move": footage.camera_move,
        "source": name,
        "source_sha256": sha256,
        "source_seconds": footage.source_seconds,
    }


def _sha256(path: str, name: str) -> str:
    if not stat.S_ISREG(Path(path).stat().st_mode):  # to open a pipe waits for whoever writes into it
        raise InputError(f"{name} is no regular file but a pipe or a device; remove it")
    with Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
