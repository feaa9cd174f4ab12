"""The import's core, without Ray: bad files are set aside, known ones skipped, parts written whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.storage import Storage
from tests.media import clip_with_tone, numbered_clip, photo_bytes, read_numbers, textured_photo, write_bad_photos
from tests.small_disk import disk_of
from trainables.data.camera import CameraOptions
from trainables.data.dataset import Dataset
from trainables.data.importers.catalogue import PHOTO_SUFFIXES, read_catalogue
from trainables.data.importers.report import ImportReport
from trainables.data.pipeline import (
    ADDED,
    DUPLICATE,
    FAILED,
    KNOWN,
    NOTE,
    SET_ASIDE,
    ClipConverter,
    Converter,
    Footage,
    PhotoConverter,
    convert_items,
    import_media,
)
from trainables.data.style_code import CODE_DIM
from trainables.data.video import DecodeOptions

PHOTOS = PhotoConverter(CameraOptions(num_frames=4, size=32))
CLIPS = ClipConverter(DecodeOptions(num_frames=8, size=32))


def convert(dataset: Dataset, files: list[Path], converter: Converter = PHOTOS) -> list[tuple]:
    items = ((path.stem, [(path.name, str(path))]) for path in files)
    return list(convert_items(dataset, items, converter, frozenset(dataset.keys("clips"))))


def test_bad_photos_are_set_aside_with_path_and_reason(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    bad = write_bad_photos(folder)
    (folder / "good.jpg").write_bytes(photo_bytes(textured_photo()))
    (folder / "print.jpg").write_bytes(photo_bytes(textured_photo().convert("CMYK")))
    dataset = Dataset.create(storage, "shop")
    outcomes = convert(dataset, sorted(folder.iterdir()))
    by_path = {path: (outcome, reason) for _, path, outcome, reason in outcomes}
    assert {path for path, (outcome, _) in by_path.items() if outcome == ADDED} == {"good.jpg", "print.jpg"}
    for name in bad:
        outcome, reason = by_path[name]
        assert outcome == SET_ASIDE
        assert name in reason
    assert dataset.count("clips") == 2


def test_a_photo_clip_is_stored_with_its_facts(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "hat.jpg"
    path.write_bytes(photo_bytes(textured_photo()))
    dataset = Dataset.create(storage, "shop")
    convert(dataset, [path])
    clip = dataset.clip("hat")
    assert clip.frames_THWC.shape == (4, 32, 32, 3)
    assert clip.fps == 12
    assert clip.style_code.shape == (CODE_DIM,)
    row = dataset.arrow("clips", ["camera_move", "source", "audio_logmel", "source_seconds"]).to_pylist()[0]
    assert row["camera_move"] in ("push_in", "pan", "orbit")
    assert (row["source"], row["audio_logmel"], row["source_seconds"]) == ("hat.jpg", None, None)


def test_a_clip_with_sound_keeps_its_log_mel(storage: Storage, tmp_path: Path) -> None:
    dataset = Dataset.create(storage, "shop")
    silent = tmp_path / "silent.mp4"
    silent.write_bytes(numbered_clip(8, 12))
    convert(dataset, [clip_with_tone(tmp_path / "tone.mp4", 1000.0), silent], CLIPS)
    rows = dataset.arrow("clips", ["product_id", "audio_logmel"]).to_pylist()
    sounds = {row["product_id"]: row["audio_logmel"] for row in rows}
    assert np.asarray(sounds["tone"]).reshape(8, 64).argmax(1).tolist() == [21] * 8  # the band of 1 kHz
    assert sounds["silent"] is None
    assert read_numbers(dataset.clip("silent").frames_THWC) == list(range(8))


def test_files_already_converted_are_not_converted_again(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "hat.jpg"
    path.write_bytes(photo_bytes(textured_photo()))
    dataset = Dataset.create(storage, "shop")
    assert [outcome for _, _, outcome, _ in convert(dataset, [path, path])] == [ADDED, DUPLICATE]

    class Untouched:
        settings = PHOTOS.settings

        def __call__(self, path: str, name: str, sha256: str) -> None:
            raise AssertionError("a known file was converted")

    assert [outcome for _, _, outcome, _ in convert(dataset, [path], Untouched())] == [KNOWN]
    other = PhotoConverter(CameraOptions(num_frames=4, size=32, seed=9))
    assert [outcome for _, _, outcome, _ in convert(dataset, [path], other)] == [ADDED]


def test_whatever_a_reader_raises_the_other_files_are_imported(storage: Storage, tmp_path: Path) -> None:
    for name in ("odd.jpg", "hat.jpg"):
        (tmp_path / name).write_bytes(photo_bytes(textured_photo(seed=len(name))))

    class Brittle:
        settings = PHOTOS.settings

        def __call__(self, path: str, name: str, sha256: str) -> Footage:
            if name == "odd.jpg":
                raise ZeroDivisionError("division by zero")
            return PHOTOS(path, name, sha256)

    outcomes = convert(Dataset.create(storage, "shop"), [tmp_path / "odd.jpg", tmp_path / "hat.jpg"], Brittle())
    assert [(outcome, reason) for _, _, outcome, reason in outcomes] == [
        (SET_ASIDE, "odd.jpg cannot be converted: ZeroDivisionError: division by zero"),
        (ADDED, None),
    ]


def test_an_animated_photo_is_added_with_a_note(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "spin.gif"
    frames = [textured_photo(64, 64, seed) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    outcomes = convert(Dataset.create(storage, "shop"), [path])
    assert [outcome for _, _, outcome, _ in outcomes] == [NOTE, ADDED]
    assert "first frame" in outcomes[0][3]


def test_clips_are_written_in_parts_of_bounded_size(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.pipeline.PART_BYTES", 3 * 4 * 32 * 32 * 3)
    files = []
    for index in range(8):
        files.append(tmp_path / f"p{index}.png")
        files[-1].write_bytes(photo_bytes(textured_photo(48, 48, index), "PNG"))
    dataset = Dataset.create(storage, "shop")
    convert(dataset, files)
    assert dataset.count("clips") == 8
    assert len(dataset.files("clips")) == 3


def test_a_file_that_vanishes_is_set_aside(storage: Storage, tmp_path: Path) -> None:
    [(_, path, outcome, reason)] = convert(Dataset.create(storage, "shop"), [tmp_path / "gone.jpg"])
    assert (path, outcome) == ("gone.jpg", SET_ASIDE)
    assert "gone.jpg cannot be read" in reason


def test_a_pipe_among_the_photos_is_set_aside(storage: Storage, tmp_path: Path) -> None:
    """To open one waits until somebody writes into it."""
    os.mkfifo(tmp_path / "pipe.jpg")
    [(_, path, outcome, reason)] = convert(Dataset.create(storage, "shop"), [tmp_path / "pipe.jpg"])
    assert (path, outcome) == ("pipe.jpg", SET_ASIDE)
    assert "pipe.jpg is no regular file" in reason


def test_an_import_that_is_broken_off_keeps_the_products_of_its_clips(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hat.jpg").write_bytes(photo_bytes(textured_photo(seed=1)))
    catalogue = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos")
    dataset = Dataset.create(storage, "shop")

    def broken_off(*_: object) -> Iterator[dict[str, str | None]]:
        for product_id, path, outcome, reason in convert(dataset, [tmp_path / "hat.jpg"]):
            yield {"product_id": product_id, "path": path, "outcome": outcome, "reason": reason}
        raise KeyboardInterrupt

    monkeypatch.setattr("trainables.data.pipeline._stream", broken_off)
    with pytest.raises(KeyboardInterrupt):
        import_media(dataset, catalogue.items, PHOTOS, ImportReport("photos", "photos"))
    assert dataset.clip_products() == ["hat"]
    assert dataset.keys("products") == {"hat"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(1, tmp_path / "disk") as folder:
        yield folder


def test_a_full_disk_fails_with_the_path_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    dataset = Dataset.create(Storage(str(small_disk)), "shop")
    first = tmp_path / "first.png"
    first.write_bytes(photo_bytes(textured_photo(64, 64, 0), "PNG"))
    convert(dataset, [first])
    before = dataset.content_hash()
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    large = tmp_path / "large.png"
    large.write_bytes(photo_bytes(Image.fromarray(noise), "PNG"))
    outcomes = convert(dataset, [large], PhotoConverter(CameraOptions(num_frames=24, size=256)))
    _, _, outcome, reason = outcomes[-1]
    assert outcome == FAILED
    assert str(small_disk) in reason
    assert "free space" in reason
    assert dataset.content_hash() == before
    assert list((small_disk / "datasets/shop/clips").glob("*.tmp")) == []


def test_a_folder_is_a_catalogue(tmp_path: Path) -> None:
    for name in ("hats/red_hat.jpg", "hats/1.jpg", "shoes/1.jpg", "notes.txt", ".hidden.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    catalogue = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos")
    facts = {item.product["product_id"]: (item.product["category"], item.product["title"]) for item in catalogue.items}
    assert facts["red_hat"] == ("hats", "red hat")
    # Equal names in two folders are two products.
    assert set(facts) == {"red_hat", "hats/1", "shoes/1"}
    assert "2 other files" in catalogue.notes[0]


def test_a_file_whose_name_is_no_text_is_set_aside(tmp_path: Path) -> None:
    """As archives from other systems leave them."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/H\xfcte.jpg")).write_bytes(b"x")
    (tmp_path / "Hüte.jpg").write_bytes(b"x")
    catalogue = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos")
    assert [item.product["product_id"] for item in catalogue.items] == ["Hüte"]
    assert [(item.path, item.reason) for item in catalogue.set_aside] == [
        ("H?te.jpg", "the name is not UTF-8; rename it")
    ]


def test_linked_folders_are_searched_once_and_closed_ones_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("elsewhere/hats/1.jpg", "shop/shoes/2.jpg", "shop/closed/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "shop" / "hats").symlink_to(tmp_path / "elsewhere" / "hats")
    (tmp_path / "shop" / "shoes" / "round").symlink_to(tmp_path / "shop")
    scan = os.scandir

    def guarded(path: str) -> Iterator[os.DirEntry]:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("os.scandir", guarded)
    catalogue = read_catalogue(tmp_path / "shop", PHOTO_SUFFIXES, what="photos")
    assert [(item.product["product_id"], item.product["category"]) for item in catalogue.items] == [
        ("1", "hats"),
        ("2", "shoes"),
    ]
    assert [(item.path, item.reason) for item in catalogue.set_aside] == [
        ("closed", "the folder cannot be read: Permission denied")
    ]


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_a_limit_changes_no_id(tmp_path: Path, limit: int | None) -> None:
    for name in ("hats/1.jpg", "shoes/1.jpg", "shoes/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    items = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos", limit=limit).items
    assert [item.product["product_id"] for item in items] == ["hats/1", "shoes/1", "2"][:limit]
