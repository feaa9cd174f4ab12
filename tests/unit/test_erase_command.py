"""`shopreel erase viewer`: files, set-aside rows, a renewed model, and a receipt that says so."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from cluster.cli import erase
from cluster.errors import InputError, NotFoundError, StorageError
from cluster.pseudonym import Pseudonymiser
from cluster.registry import Registry
from tests.recommender_log import DAY_MS, START_MS, two_tastes
from trainables.data.dataset import Dataset
from trainables.data.importers.events import import_events
from trainables.data.importers.report import keep_set_aside
from trainables.generator.restyle.presets import preset_codes
from trainables.recommender.history import histories
from trainables.recommender.job import run_training
from trainables.recommender.privacy.dataset_erasure import erase_from_dataset
from trainables.recommender.privacy.erasure_job import run_erasure
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import events_before, read_training_data, train

RAW = "v007"
DATA = two_tastes(viewers=60)


@pytest.fixture
def shop(settings, storage) -> Dataset:
    """The log in three files, one of which does not hold the viewer and one of which holds nobody else."""
    pseudonyms = Pseudonymiser.load(settings)
    events = DATA.events
    at = events.schema.get_field_index("viewer_id")
    named = pa.array([pseudonyms.of(name) for name in events["viewer_id"].to_pylist()])
    events = events.set_column(at, events.schema.field(at), named)
    theirs = pc.equal(events["viewer_id"], pseudonyms.of(RAW))
    own, others = events.filter(theirs), events.filter(pc.invert(theirs))
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", DATA.products, "test")
    parts = (others.slice(0, 100), own.slice(0, 5), pa.concat_tables([own.slice(5), others.slice(100)]))
    for part in parts:
        dataset.append("events", part, "test")
    known = [{"viewer_id": name, "attributes": [("age", "30")]} for name in sorted(set(named.to_pylist()))]
    dataset.append("viewers", pa.Table.from_pylist(known, schema=pa.schema(known_schema())), "test")
    aside = [
        {"source": "log.csv", "item": f"row {i}", "viewer_id": name} for i, name in enumerate(named[:1].to_pylist())
    ]
    keep_set_aside(dataset, pd.DataFrame([*aside, {"source": "log.csv", "item": "x", "viewer_id": pseudonyms.of(RAW)}]))
    return dataset


@pytest.fixture
def name(settings) -> str:
    """The viewer's pseudonym."""
    return Pseudonymiser.load(settings).of(RAW)


def known_schema() -> list[pa.Field]:
    return [pa.field("viewer_id", pa.string()), pa.field("attributes", pa.map_(pa.string(), pa.string()))]


def everything(dataset: Dataset) -> dict[str, bytes]:
    root = Path(dataset.storage.path(dataset.folder()))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run(*words: str) -> dict:
    done = CliRunner().invoke(erase.app, ["viewer", *words, "--data", "shop", "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


def test_every_row_goes_and_it_is_said_which(shop, name):
    before, files = shop.arrow("events"), everything(shop)
    erased = erase_from_dataset(shop, [name])
    after = shop.arrow("events")
    own = before.filter(pc.equal(before["viewer_id"], name)).num_rows
    assert own == 48 and after.num_rows == before.num_rows - own
    assert erased.rows_removed == {"events": own, "viewers": 1, "set_aside": 1} and erased.total == own + 2
    left = everything(shop)
    for file in erased.files:
        assert file.sha256_before == hashlib.sha256(files[file.file]).hexdigest()
        found = left.get(file.file)
        assert file.sha256_after == (None if found is None else hashlib.sha256(found).hexdigest())
    assert sum(file.sha256_after is None for file in erased.files) == 1
    touched = {file.file for file in erased.files}
    assert {file: data for file, data in files.items() if file not in touched}.items() <= left.items()
    assert len(touched) < len(files)
    assert erased.content_hash_before != erased.content_hash_after == shop.content_hash()
    assert not any(name.encode() in data for data in left.values())


def test_an_erasure_that_broke_off_is_finished_by_the_next(shop, name, monkeypatch):
    wanted = shop.count("events") - 48
    with monkeypatch.context() as patch:

        def full(*arguments):
            raise StorageError("the disk is full")

        patch.setattr(type(shop.storage), "write_bytes", full)
        with pytest.raises(StorageError, match="full"):
            erase_from_dataset(shop, [name])
    assert shop.count("events") > wanted
    assert erase_from_dataset(shop, [name]).rows_removed["events"] > 0
    assert shop.count("events") == wanted


def test_an_erasure_waits_for_an_import_and_then_finds_what_it_brought(shop, name, settings, tmp_path, monkeypatch):
    """The log is stored in pieces; the erasure is asked for between the first and the second of the viewer's."""
    monkeypatch.setattr("trainables.data.importers.events.ROWS_A_CHUNK", 2)
    log, product = tmp_path / "log.csv", shop.arrow("products")["product_id"][0]
    rows = [f"{viewer},{product},click,2024-05-01T10:00:0{row}Z" for row, viewer in enumerate([RAW, "x"] * 3)]
    log.write_text("\n".join(["viewer,product,type,at", *rows, f"{RAW},unknown,click,2024-05-01"]) + "\n")
    others = shop.count("events") - 48
    begun, asked = threading.Event(), threading.Event()

    def hold(done: int) -> None:
        begun.set()
        assert asked.wait(30)

    def pause(seconds: float) -> None:
        asked.set()
        time.sleep(seconds)

    monkeypatch.setattr("trainables.runs.driver_lock.time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    monkeypatch.setattr("trainables.recommender.privacy.erasure_job._others", lambda *arguments: [])
    pseudonyms = Pseudonymiser.load(settings)
    with ThreadPoolExecutor(1) as threads:
        imported = threads.submit(import_events, shop.storage, "shop", log, None, pseudonyms, on_progress=hold)
        assert begun.wait(30)
        try:
            removed = run(RAW)["dataset"]["rows_removed"]
        finally:
            asked.set()
        assert imported.result().added == {"events": 6}
    assert removed == {"events": 48 + 3, "viewers": 1, "set_aside": 2}
    assert shop.count("events") == others + 3
    assert name not in shop.arrow("events")["viewer_id"].to_pylist()
    assert name not in shop.storage.read_bytes(shop.folder("set_aside.csv")).decode()


def test_beside_a_long_import_nothing_is_erased_and_it_is_said_why(shop, name, settings, monkeypatch):
    monkeypatch.setattr("trainables.runs.driver_lock.LOCK_SECONDS", 0)
    monkeypatch.setattr("trainables.recommender.privacy.erasure_job._others", lambda *arguments: [])
    with shop.imported_into():
        before = everything(shop)
        with pytest.raises(InputError, match=r"imports into dataset 'shop' or erases .*wait until .* erase again"):
            run(RAW)
        assert everything(shop) == before
    with shop.erased_from(), pytest.raises(InputError, match=r"erases from it .*another --as"), shop.imported_into():
        pytest.fail("an import began while another command erases")
    assert run_erasure(settings, "shop", name)["dataset"]["rows_removed"]["events"] == 48


def test_a_viewer_nobody_knows_leaves_everything_as_it_is(shop):
    before = everything(shop)
    erased = erase_from_dataset(shop, ["v0"])
    assert erased.total == 0 and erased.files == ()
    assert erased.content_hash_before == erased.content_hash_after
    assert everything(shop) == before


def test_the_command_renews_the_model_and_writes_a_receipt(shop, name, settings, tmp_path):
    """One story, since a new registry takes seconds: refused, trained, erased; the new version forgot the viewer."""
    files = everything(shop)
    with pytest.raises(NotFoundError, match="no model 'recommender'"):
        run(RAW, "--model", "recommender@champion")
    assert everything(shop) == files

    data = read_training_data(shop)
    shop.storage.write_json("runs/clips/bundle/config.json", {})
    shop.storage.write_json("runs/clips/config.json", {"kind": "generator", "data": "shop"})
    first = run_training(settings, "shop", "first", RecommenderTrainConfig(), use_ray=False).version
    old = Recommender.from_bundle(Registry(settings).fetch(first))
    receipt = run(RAW, "--model", "recommender@challenger", "--receipt", str(tmp_path / "receipt.json"))
    assert receipt["viewer"] == name
    assert receipt["dataset"]["rows_removed"] == {"events": 48, "viewers": 1, "set_aside": 1}
    assert receipt["model"] == {"from": "recommender/1", "to": "recommender/2"}
    assert receipt["still_registered"] == ["recommender/1"]
    assert receipt["kept_bundles"] == ["runs/first/bundle"]
    assert json.loads((tmp_path / "receipt.json").read_text()) == receipt
    kept = {file: data for file, data in everything(shop).items() if file.startswith("erasures/")}
    assert [json.loads(data) for data in kept.values()] == [receipt]
    assert [file for file, data in everything(shop).items() if name.encode() in data] == list(kept)

    version = Registry(settings).resolve("recommender@challenger")
    assert version.lineage["data_hash"] == shop.content_hash()
    new = Recommender.from_bundle(Registry(settings).fetch(version))
    until = old.model.trained_until_ms
    wanted = train(old.model.config, read_training_data(shop), preset_codes(), until_ms=until)
    np.testing.assert_allclose(new.model.item_item_mm, wanted.item_item_mm, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(new.model.popularity_n, wanted.popularity_n, rtol=1e-6)
    np.testing.assert_array_equal(new.model.viewers_n, wanted.viewers_n)
    assert (old.model.viewers_n != wanted.viewers_n).any()
    for history in list(histories(data.events).values())[:20]:
        slates = [model.recommend(history, 10, until) for model in (new, Recommender(wanted))]
        assert [item.product_id for item in slates[0]] == [item.product_id for item in slates[1]]
        np.testing.assert_allclose(*([item.score for item in slate] for slate in slates), rtol=1e-5)


def test_a_receipt_is_kept_whatever_becomes_of_the_model(shop, name, settings, monkeypatch):
    """One story again: another dataset, a crash on the way, a model that cannot be judged, and nobody left."""
    run_training(settings, "shop", "first", RecommenderTrainConfig(), use_ray=False)
    other = Dataset.create(shop.storage, "other")
    other.append("events", shop.arrow("events"), "test")
    files = everything(other)
    with pytest.raises(InputError, match="recommender/1 was trained on dataset 'shop', not on 'other'"):
        run_erasure(settings, "other", name, "recommender/1")
    assert everything(other) == files

    early = events_before(shop.arrow("events"), START_MS + 10 * DAY_MS)
    for file in shop.storage.list(shop.folder("events")):
        shop.storage.delete(shop.folder(f"events/{file}"))
    shop.append("events", early, "test")
    with monkeypatch.context() as patch:

        def full(*arguments):
            raise StorageError("the disk is full")

        patch.setattr("trainables.recommender.privacy.erasure_job.load_model", full)
        with pytest.raises(StorageError, match="full"):
            run(RAW, "--model", "recommender/1")
    assert shop.count("events") < early.num_rows
    (kept,) = receipts(shop)
    assert kept["dataset"]["rows_removed"]["events"] > 0
    assert kept["model"] == {"from": "recommender/1", "to": None}
    assert kept["notes"] == [
        "recommender/1 was not renewed, the erasure broke off; erase the viewer again with --model"
    ]

    receipt = run(RAW, "--model", "recommender/1")
    assert receipt["model"] == {"from": "recommender/1", "to": "recommender/2"}
    assert "recommender/2 carries no held-out figures: its settings were learned on events" in receipt["notes"][0]
    assert receipts(shop)[-1] == receipt

    last, *others = sorted(set(shop.arrow("events")["viewer_id"].to_pylist()))
    erase_from_dataset(shop, others)
    done = CliRunner().invoke(
        erase.app, ["viewer", "--pseudonym", last, "--data", "shop", "--model", "recommender/2"], catch_exceptions=False
    )
    assert "dataset 'shop' has no events left, so no version without the viewer was made" in done.stderr
    assert receipts(shop)[-1]["model"] == {"from": "recommender/2", "to": None}


def receipts(dataset: Dataset) -> list[dict]:
    """Those kept below a dataset, the newest last."""
    names = sorted(dataset.storage.list(dataset.folder("erasures")))
    return [dataset.storage.read_json(dataset.folder(f"erasures/{name}")) for name in names]


def test_it_must_be_said_whom_to_erase(shop):
    for words in ([], [RAW, "--pseudonym", "v1"]):
        with pytest.raises(InputError, match="either the raw id or --pseudonym"):
            run(*words)


def test_a_receipt_that_cannot_be_written_is_told_before_anything_is_erased(shop, tmp_path):
    before = everything(shop)
    (tmp_path / "file").write_text("")
    for receipt, error in ((tmp_path, InputError), (tmp_path / "file" / "receipt.json", StorageError)):
        with pytest.raises(error, match="--receipt"):
            run(RAW, "--receipt", str(receipt))
    assert everything(shop) == before


def test_an_id_is_taken_without_spaces_as_at_import(shop, name):
    assert run(f" {RAW}\r")["viewer"] == name
