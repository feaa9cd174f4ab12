"""The streaming import on Ray: bad files set aside, repeats add nothing, memory bounded, a full disk, real data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.errors import InputError, StorageError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from tests.media import numbered_clip, photo_bytes, read_numbers, textured_photo, write_bad_photos
from tests.small_disk import disk_of
from trainables.data.camera import CameraOptions
from trainables.data.dataset import Dataset
from trainables.data.importers.clips import import_clips
from trainables.data.importers.photos import import_photos
from trainables.data.pipeline import Progress
from trainables.data.video import DecodeOptions

pytestmark = pytest.mark.usefixtures("ray_local")
PSEUDONYMS = Pseudonymiser(bytes(32))
QUICK = CameraOptions(num_frames=4, size=32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for first_seed, category in ((0, "hats"), (10, "shoes")):
        (folder / category).mkdir(parents=True)
        for index in range(4):
            data = photo_bytes(textured_photo(60, 80, first_seed + index))
            (folder / category / f"{category}{index}.jpg").write_bytes(data)
    write_bad_photos(folder)
    return folder


def test_a_bad_file_never_stops_an_import_and_a_second_import_adds_nothing(storage: Storage, photos: Path) -> None:
    seen: list[Progress] = []
    report = import_photos(storage, "shop", photos, options=QUICK, on_progress=seen.append)
    assert report.added == {"products": 8, "clips": 8}
    assert {item.path for item in report.set_aside} == {"zero_bytes.jpg", "one_pixel.png", "truncated.jpg", "text.png"}
    assert seen[-1] == Progress(12, 12, 4)
    dataset = Dataset.open(storage, "shop")
    assert sorted(dataset.clip_products()) == sorted(dataset.keys("products"))
    assert dataset.clip("hats2").frames_THWC.shape == (4, 32, 32, 3)
    assert b"truncated.jpg" in storage.read_bytes("datasets/shop/set_aside.csv")

    before = dataset.content_hash()
    again = import_photos(storage, "shop", photos, options=QUICK)
    assert again.added == {"products": 0, "clips": 0}
    assert again.known == 8
    assert Dataset.open(storage, "shop").content_hash() == before
    assert [entry["known"] for entry in dataset.manifest["imports"]] == [0, 8]
    assert storage.read_bytes("datasets/shop/set_aside.csv").count(b"truncated.jpg,") == 1


def test_clips_good_and_bad(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    whole = numbered_clip(24, 12)
    (folder / "good.mp4").write_bytes(whole)
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("no video\n" * 100)
    (folder / "empty.mp4").write_bytes(b"")
    report = import_clips(storage, "shop", folder, options=DecodeOptions(size=64))
    assert report.added == {"products": 1, "clips": 1}
    reasons = {item.path: item.reason for item in report.set_aside}
    assert set(reasons) == {"truncated.mp4", "text.mp4", "empty.mp4"}
    assert "truncated" in reasons["truncated.mp4"]
    assert "no video" in reasons["text.mp4"]
    assert "0 bytes" in reasons["empty.mp4"]
    assert read_numbers(Dataset.open(storage, "shop").clip("good").frames_THWC) == list(range(24))


def test_nothing_usable_is_reported_as_such(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "only.jpg").write_bytes(b"")
    report = import_photos(storage, "shop", tmp_path, options=QUICK)
    assert not report.usable
    assert report.set_aside_count == 1
    with pytest.raises(InputError, match="columns were named but there is no index"):
        import_photos(storage, "shop", tmp_path, columns={"id": "sku"})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of(2, tmp_path / "disk") as folder:
        yield folder


def test_a_full_disk_is_a_storage_error_and_what_was_stored_stays(small_disk: Path, tmp_path: Path) -> None:
    storage = Storage(str(small_disk))
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "hat.jpg").write_bytes(photo_bytes(textured_photo()))
    import_photos(storage, "shop", tmp_path / "first", options=QUICK)
    before = Dataset.open(storage, "shop").content_hash()

    (tmp_path / "second").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    (tmp_path / "second" / "noise.png").write_bytes(photo_bytes(Image.fromarray(noise), "PNG"))
    with pytest.raises(StorageError, match=rf"cannot write {small_disk}.*free space"):
        import_photos(storage, "shop", tmp_path / "second", options=CameraOptions(size=256))
    assert Dataset.open(storage, "shop").content_hash() == before
    assert Dataset.open(storage, "shop").clip("hat").frames_THWC.shape == (4, 32, 32, 3)


def test_only_paths_and_outcomes_pass_through_the_driver(
    storage: Storage, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import's memory does not grow with the catalogue: no frame reaches the driver or the object store."""
    import ray.data

    batches = []
    original = ray.data.Dataset.iter_batches

    def spy(self, **options):
        for batch in original(self, **options):
            batches.append(batch)
            yield batch

    monkeypatch.setattr(ray.data.Dataset, "iter_batches", spy)
    options = CameraOptions(num_frames=24, size=128)
    import_photos(storage, "shop", photos, options=options)
    a_clip = 24 * 128 * 128 * 3
    assert sum(batch.num_rows for batch in batches) == 12
    assert sum(batch.nbytes for batch in batches) < a_clip / 100


def test_real_turntables_and_garments(storage: Storage, shared_data: Path) -> None:
    turntables = import_clips(storage, "real", shared_data / "turntables", index=Path("index.csv"), limit=12)
    garments = import_photos(storage, "real", shared_data / "clothing", index=Path("index.csv"), limit=20)
    assert turntables.added == {"products": 12, "clips": 12}
    assert garments.added == {"products": 20, "clips": 20}
    assert turntables.set_aside == garments.set_aside == []
    dataset = Dataset.open(storage, "real")
    assert {row["category"] for row in dataset.arrow("products").to_pylist()} > {"dress", "hat", "shoes", "tools"}
    for clip in dataset.clips():
        assert clip.frames_THWC.shape == (24, 128, 128, 3)
        assert np.abs(np.diff(clip.frames_THWC.astype(int), axis=0)).mean() > 0.05  # it moves


def test_real_clips_with_sound(storage: Storage, shared_data: Path) -> None:
    report = import_clips(storage, "misc", shared_data / "clips_misc")
    assert report.added == {"products": 6, "clips": 6}
    rows = Dataset.open(storage, "misc").arrow("clips", ["product_id", "audio_logmel"]).to_pylist()
    with_sound = {row["product_id"] for row in rows if row["audio_logmel"] is not None}
    assert with_sound == {"a", "b", "bigbuckbunny", "nasa_13013"}
    assert all(len(row["audio_logmel"]) == 24 * 64 for row in rows if row["audio_logmel"] is not None)


def test_the_sample_shop(storage: Storage) -> None:
    from trainables.data.importers.sample import import_sample
    from trainables.data.sample import shop

    report = import_sample(storage, "sample", PSEUDONYMS, options=DecodeOptions(size=32, span="whole"))
    dataset = Dataset.open(storage, "sample")
    assert report.set_aside == []
    assert report.added["products"] == report.added["clips"] == len(dataset.clip_products()) >= 120
    assert report.added["events"] == dataset.count("events") > 0
    raw = set(shop.events()["viewer_id"].to_pylist())
    stored = set(dataset.arrow("events", ["viewer_id"])["viewer_id"].to_pylist())
    assert stored == {PSEUDONYMS.of(viewer) for viewer in raw}
    assert json.dumps(dataset.manifest)
