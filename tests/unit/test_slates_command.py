"""`shopreel slates`: a file of viewers in, a file of places out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cluster.cli import slates
from cluster.cli.result_files import plain_ids
from cluster.errors import InputError, StorageError
from cluster.pseudonym import Pseudonymiser
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun
from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, products_table
from trainables.data.dataset import Dataset
from trainables.recommender.bundle import save_model
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import read_training_data, train

app = typer.Typer()
app.command()(slates.command)


@pytest.fixture
def shop(settings: Settings, storage: Storage, tmp_path: Path) -> Path:
    """A log of raw viewers 1…30, products 0…9, and a model of its first half; returns the file of viewers."""
    of = Pseudonymiser.load(settings).of
    rows = []
    for viewer in range(1, 31):
        for step in range(5):
            product = (2 * step + viewer % 2) % 10
            at = START_MS + step * DAY_MS + viewer
            rows.append({"viewer_id": of(str(viewer)), "product_id": str(product), "event_type": "like", "at": at})
    rows.append({"viewer_id": of("1"), "product_id": "8", "event_type": "impression", "at": START_MS + 4 * DAY_MS})
    dataset = Dataset.create(storage, "shop")
    dataset.append("events", events_table(rows), "test")
    dataset.append("products", products_table([str(i) for i in range(10)]), "test")
    data = read_training_data(dataset)
    model = train(RecommenderTrainConfig(), data, preset_codes(), until_ms=START_MS + 2 * DAY_MS + 12 * 3_600_000)
    save_model(model, tmp_path / "bundle", {})
    with TrackedRun(settings, "run", kind="recommender", params={}, lineage={}) as run:
        Registry(settings).register("recommender", tmp_path / "bundle", run_id=run.run_id, metrics={}, lineage={})
    viewers = tmp_path / "viewers.csv"
    viewers.write_text("user_id,note\n1,a\n2,b\n999,new\n1,again\n")
    return viewers


def test_the_file_joins_with_the_log_it_came_from(shop: Path, tmp_path: Path):
    out = tmp_path / "out" / "slates.parquet"
    arguments = ["--model", "recommender/1", "--data", "shop", "--viewers", str(shop), "--k", "4", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = pd.read_parquet(out)
    assert list(found.columns) == ["user_id", "video_id", "rank", "score"]
    assert found["user_id"].dtype == found["video_id"].dtype == "int64"
    assert list(dict.fromkeys(found["user_id"])) == [1, 2, 999]
    for _, slate in found.groupby("user_id"):
        assert slate["rank"].tolist() == [1, 2, 3, 4]
        assert slate["video_id"].is_unique
        assert slate["score"].is_monotonic_decreasing
    # Viewer 1 liked the odd products and was shown 8; what they met after the model was trained is left out as well.
    assert set(found.loc[found["user_id"] == 1, "video_id"]) == {0, 2, 4, 6}
    assert set(found.loc[found["user_id"] == 2, "video_id"]) <= {1, 3, 5, 7, 9}
    assert "none of the viewers" not in result.stderr
    shop.write_text("user_id\n001\n002\n")  # out of a program that fills up with zeros
    result = CliRunner().invoke(app, arguments)
    assert len(pd.read_parquet(out)) == 8
    assert "none of the viewers is known to dataset 'shop'; check that user_id is written as in" in result.stderr


def test_what_is_wrong_with_a_request_is_named(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def error(kind: type[Exception] = InputError, **changed: str) -> str:
        out = str(tmp_path / "o.parquet")
        given = {"--model": "recommender/1", "--data": "shop", "--viewers": str(shop), "--out": out}
        arguments = [part for pair in {**given, **changed}.items() for part in pair]
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, kind), result.output
        return str(result.exception)

    assert "ends in .parquet" in error(**{"--out": str(tmp_path / "o.csv")})
    (tmp_path / "o.parquet").mkdir()
    assert "a folder; name a file" in error()
    # Known before anything is computed.
    monkeypatch.setattr("trainables.recommender.batch.caught_up", None)
    below_a_file = {"--out": str(shop / "o.parquet")}
    assert f"cannot write {shop}/o.parquet" in error(StorageError, **below_a_file)
    assert "there is no file" in error(**{"--viewers": str(tmp_path / "none.csv")})
    other = tmp_path / "other.csv"
    other.write_text("viewer\n1\n")
    assert "'user_id' is missing; the file has: viewer" in error(**{"--viewers": str(other)})
    other.write_text('user_id\n1\n""\n')
    assert "empty values" in error(**{"--viewers": str(other)})


def test_ids_are_read_from_their_column_without_spaces_as_at_import(tmp_path: Path):
    path = tmp_path / "viewers.csv"
    path.write_text("user_id,segment\n 17,gold,\n18 ,new,\n17,gold,\n")
    assert slates.read_viewers(path).tolist() == ["17", "18"]


def test_a_file_of_viewers_out_of_a_spreadsheet_is_read_or_told_how_to_save_it(tmp_path: Path):
    path = tmp_path / "viewers.csv"
    path.write_text('segment, user_id\n"gold\nold", 007\nnew, 18\n', encoding="utf-8-sig")
    assert slates.read_viewers(path).tolist() == ["007", "18"]
    path.write_text("user_id;segment\n17;gold\n")
    with pytest.raises(InputError, match="'user_id' is missing; .* save it with commas between the columns"):
        slates.read_viewers(path)


def test_a_file_of_viewers_that_is_cut_off_is_named(tmp_path: Path):
    path = tmp_path / "viewers.csv.gz"
    path.write_bytes(gzip.compress(b"user_id\n" + b"17\n" * 5000)[:-20])
    with pytest.raises(InputError, match=r"viewers\.csv\.gz is not a readable CSV file: Compressed file ended"):
        slates.read_viewers(path)


def test_ids_that_are_not_whole_numbers_stay_text():
    assert plain_ids(["1", "02"]).tolist() == ["1", "02"]
    assert plain_ids(["1", "b"]).tolist() == ["1", "b"]
    assert plain_ids(["7", "12"]).tolist() == [7, 12]
