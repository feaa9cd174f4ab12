"""The storage root and the tables of a dataset."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import InputError, NotFoundError, StorageError, StorageReadError
from cluster.pseudonym import Pseudonymiser
from cluster.settings import Settings
from cluster.storage import Storage
from trainables.data.dataset import Dataset, list_datasets
from trainables.data.style_code import CODE_DIM


def products(*ids: str) -> pa.Table:
    return pa.table({"product_id": list(ids), "title": [f"Product {i}" for i in ids], "category": ["mug"] * len(ids)})


def clip_rows(*ids: str) -> pa.Table:
    frames = {i: np.full((2, 4, 4, 3), n, np.uint8) for n, i in enumerate(ids)}
    return pa.table(
        {
            "clip_id": [f"clip-{i}" for i in ids],
            "product_id": list(ids),
            "num_frames": [2] * len(ids),
            "height": [4] * len(ids),
            "width": [4] * len(ids),
            "fps": [12.0] * len(ids),
            "frames": [frames[i].tobytes() for i in ids],
            "style_code": [[0.0] * CODE_DIM] * len(ids),
            "source": list(ids),
            "source_sha256": list(ids),
        }
    )


def test_write_replaces_whole_files_and_leaves_no_temporaries(storage: Storage) -> None:
    storage.write_json("a/b.json", {"n": 1})
    storage.write_json("a/b.json", {"n": 2})
    assert storage.read_json("a/b.json") == {"n": 2}
    assert storage.list("a") == ["b.json"]


def test_missing_file_is_named(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match="a/none.json does not exist"):
        storage.read_bytes("a/none.json")


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot write .*file/x.json.*SHOPREEL_HOME"):
        Storage(str(tmp_path / "file")).write_json("x.json", {})


@pytest.mark.parametrize("data", [b"", b'{"a": ', b"\xff\xfe"])
def test_json_that_is_damaged_is_named(storage: Storage, data: bytes) -> None:
    storage.write_bytes("a/b.json", data)
    with pytest.raises(InputError, match=r"a/b\.json is not JSON: .*put back a copy, or delete it"):
        storage.read_json("a/b.json")


def test_a_root_that_names_no_filesystem_says_what_to_set() -> None:
    with pytest.raises(InputError, match="the storage root s4://shop/home cannot be used: .*set SHOPREEL_HOME to"):
        Storage("s4://shop/home")


def test_options_of_a_root_stay_at_the_end_of_a_uri() -> None:
    """MLflow is told where artifacts go by such a URI."""
    options = "?endpoint_override=localhost%3A9&region=us-east-1"
    assert Storage(f"s3://shop/home{options}").uri("artifacts") == f"s3://shop/home/artifacts{options}"
    assert Storage("s3://shop/home?region=us-east-1").path("artifacts") == "shop/home/artifacts"


def test_what_cannot_be_read_is_told_apart_from_what_cannot_be_written(storage: Storage) -> None:
    storage.write_json("a/b.json", {})
    with pytest.raises(StorageReadError, match="cannot read .*a.*see that it may be read, or set SHOPREEL_HOME"):
        storage.read_bytes("a")
    with pytest.raises(
        StorageError, match="cannot write .*a/b.json/c.*see that it may be written, or set SHOPREEL_HOME"
    ) as written:
        storage.write_json("a/b.json/c", {})
    assert not isinstance(written.value, StorageReadError)


def test_appending_twice_adds_nothing(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    assert dataset.append("products", products("a", "b"), "test") == 2
    assert dataset.append("products", products("b", "c", "c"), "test") == 1
    assert sorted(dataset.keys("products")) == ["a", "b", "c"]


def test_content_hash_ignores_the_order_of_imports(storage: Storage) -> None:
    one, two = Dataset.create(storage, "one"), Dataset.create(storage, "two")
    one.append("products", products("a", "b"), "test")
    two.append("products", products("b"), "test")
    assert one.content_hash() != two.content_hash()
    two.append("products", products("a"), "test")
    assert one.content_hash() == two.content_hash()


def test_a_clip_is_read_by_product(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    ids = [f"p{n}" for n in range(11)]
    dataset.append("clips", clip_rows(*ids), "test")
    assert dataset.clip_products() == ids
    clip = dataset.clip("p7")
    assert clip.frames_THWC.shape == (2, 4, 4, 3)
    assert (clip.frames_THWC == 7).all()
    with pytest.raises(NotFoundError, match="no clip of product 'p99'"):
        dataset.clip("p99")


def test_a_missing_column_is_named(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    with pytest.raises(InputError, match="catalogue.csv: column 'title' is missing"):
        dataset.append("products", products("a").drop_columns(["title"]), "catalogue.csv")


def test_unknown_dataset_lists_the_known_ones(storage: Storage) -> None:
    Dataset.create(storage, "spring")
    assert list_datasets(storage) == ["spring"]
    with pytest.raises(NotFoundError, match="'autumn' does not exist .*spring"):
        Dataset.open(storage, "autumn")


@pytest.mark.parametrize("name", ["", "../etc", ".hidden", "a/b", "x" * 101])
def test_a_dataset_name_cannot_leave_its_folder(storage: Storage, name: str) -> None:
    with pytest.raises(InputError, match="is not a name"):
        Dataset.create(storage, name)


def test_processes_that_start_at_once_share_one_pseudonym_key(settings: Settings) -> None:
    """Promise: whoever is first makes the key, everybody uses it; its file is for its owner only."""
    code = (
        "from cluster.settings import Settings; from cluster.pseudonym import Pseudonymiser as P; "
        "print(P.load(Settings.load()).of('42'))"
    )
    environment = {**os.environ, "SHOPREEL_HOME": settings.storage_root}
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) for _ in range(6)
    ]
    names = {process.communicate()[0].decode().strip() for process in started}
    assert names == {Pseudonymiser.load(settings).of("42")}
    key = Path(settings.storage_root) / "secrets" / "pseudonym.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert list(key.parent.iterdir()) == [key]
