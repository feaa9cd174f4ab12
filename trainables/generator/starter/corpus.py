"""The clips that starter weights are trained and measured on, rendered once into one file that all trainings map.

    python -m trainables.generator.starter.corpus --data DATA --out CORPUS

`CORPUS/clips.npy` is uint8 (N, T, H, W, 3), T = 16, H = W = 128; `CORPUS/index.csv` has a line a clip: product,
source (sample, garments, groceries, turntables, misc), kind, title, held_out (0 or 1, a fixed hash of the product).
DATA holds any of `clothing/`, `grocery/`, `turntables/` and `clips_misc/`; the sample shop is always part of it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from trainables.data.camera import CameraOptions, photo_clip
from trainables.data.photos import read_photo
from trainables.data.sample.shop import clip_path, products
from trainables.data.video import DecodeOptions, decode_clip
from trainables.generator.split import HELD_OUT_SHARE

FRAMES, SIZE = 16, 128
MISC_WINDOWS = 24
"""At most so many windows are cut from one unrelated clip."""
FIELDS = ("product", "source", "kind", "title", "held_out")


@dataclass(frozen=True)
class Item:
    """One file of the corpus before it is rendered."""

    product: str
    source: str
    kind: str
    title: str
    path: Path


@dataclass(frozen=True)
class Corpus:
    """A rendered corpus; `clips` is mapped, not read."""

    clips: np.ndarray
    """uint8 (N, T, H, W, 3)."""
    rows: list[dict[str, str]]

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        with (folder / "index.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return cls(np.load(folder / "clips.npy", mmap_mode="r"), rows)

    def where(self, *sources: str, held_out: bool) -> list[int]:
        """Places of the clips of these sources (all where none is named)."""
        return [
            place
            for place, row in enumerate(self.rows)
            if (row["held_out"] == "1") == held_out and (not sources or row["source"] in sources)
        ]


class CorpusClips:
    """Some clips of a corpus by index, as a training reads them."""

    def __init__(self, corpus: Corpus, places: list[int]) -> None:
        self.corpus, self.places = corpus, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.asarray(self.corpus.clips[self.places[index]])


def find_items(data: Path) -> Iterator[Item]:
    """Every file there is, in a fixed order."""
    for row in products():
        yield Item(row["product_id"], "sample", row["category"], row["title"], clip_path(row["product_id"]))
    if (data / "clothing").is_dir():
        for row in _index(data / "clothing"):
            path = data / "clothing" / row["path"]
            yield Item(path.stem, "garments", row["category"], row["category"], path)
    if (data / "grocery").is_dir():
        for path in sorted((data / "grocery").rglob("*.jpg")):
            yield Item(path.stem, "groceries", "grocery", path.stem.replace("_", " ").replace("-", " "), path)
    if (data / "turntables").is_dir():
        for row in _index(data / "turntables"):
            path = data / "turntables" / row["clip"]
            yield Item(row["product_id"], "turntables", row["category"], row["title"], path)
    if (data / "clips_misc").is_dir():
        for path in sorted((data / "clips_misc").glob("*.mp4")):
            yield Item(path.stem, "misc", "misc", path.stem, path)


def render(item: Item) -> list[np.ndarray]:
    """Clips (T, H, W, 3) of an item: a camera move of a photo, windows of a clip."""
    if item.path.suffix != ".mp4":
        photo = read_photo(item.path.read_bytes(), item.path.name)
        options = CameraOptions(num_frames=FRAMES, size=SIZE)
        return [photo_clip(photo.rgb_HWC, hashlib.sha256(photo.rgb_HWC.tobytes()).hexdigest(), options)[0]]
    frames = MISC_WINDOWS * FRAMES if item.source == "misc" else 24
    decoded = decode_clip(item.path, DecodeOptions(num_frames=frames, size=SIZE)).frames_THWC
    if item.source == "misc":
        return list(decoded.reshape(-1, FRAMES, SIZE, SIZE, 3))
    # A turntable is a closed loop: two windows of neighbouring frames show all of it.
    return [decoded[(np.arange(FRAMES) + first) % len(decoded)] for first in (0, len(decoded) // 2)]


def is_held_out(product: str) -> bool:
    """The same rule as for products of a shop."""
    digest = hashlib.sha256(product.encode()).hexdigest()
    return digest[:8] < f"{int(HELD_OUT_SHARE * 16**8):08x}"


def build(data: Path, out: Path) -> None:
    """Render everything below `data` and the sample shop into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    items, clips, rows = list(find_items(data)), [], []
    with ProcessPoolExecutor() as pool:
        rendered = pool.map(render, items, chunksize=8)
        for item, windows in zip(items, track(rendered, "rendering", total=len(items)), strict=True):
            clips += windows
            values = (item.product, item.source, item.kind, item.title, str(int(is_held_out(item.product))))
            rows += [dict(zip(FIELDS, values, strict=True)) for _ in windows]
    np.save(out / "clips.npy", np.stack(clips))
    with (out / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def _index(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    build(arguments.data, arguments.out)
