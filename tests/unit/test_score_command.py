"""`shopreel score`: a file of impressions in, a file of chances and watch times out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from cluster.cli import score
from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun
from tests.impression_log import impressions_log
from tests.recommender_log import DAY_MS, START_MS, preset_codes
from trainables.data.dataset import Dataset
from trainables.recommender.bundle import save_model
from trainables.recommender.ranking.bundle_parts import to_tensors
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.train import train_ranker
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import read_training_data, train

app = typer.Typer()
app.command()(score.command)
UNTIL_MS = START_MS + 3 * DAY_MS
CONFIG = RankerConfig(least_impressions=200, most_rounds=10, threads=1, network_epochs=1)


@pytest.fixture
def shop(settings: Settings, storage: Storage, tmp_path: Path) -> Path:
    """A log, and in version 1 a recommender with a ranker, in version 2 one without; returns a file of impressions."""
    data = impressions_log(viewers=30, days=3)
    of = Pseudonymiser.load(settings).of
    place = data.events.schema.get_field_index("viewer_id")
    viewers = pa.array([of(raw) for raw in data.events["viewer_id"].to_pylist()])
    dataset = Dataset.create(storage, "shop")
    dataset.append("events", data.events.set_column(place, data.events.schema.field(place), viewers), "test")
    dataset.append("products", data.products, "test")
    stored = read_training_data(dataset)
    model = train(RecommenderTrainConfig(), stored, preset_codes(), until_ms=UNTIL_MS)
    parts = to_tensors(train_ranker(CONFIG, stored, until_ms=UNTIL_MS))
    for number, ranker_parts in enumerate((parts, None)):
        save_model(model, tmp_path / f"bundle{number}", {}, ranker_parts)
        with TrackedRun(settings, f"run{number}", kind="recommender", params={}, lineage={}) as run:
            Registry(settings).register(
                "recommender", tmp_path / f"bundle{number}", run_id=run.run_id, metrics={}, lineage={}
            )
    rows = tmp_path / "rows.csv"
    pd.DataFrame(
        {
            "user_id": ["v001", "v002", "nobody", "v001"],
            "video_id": ["p03", "p04", "p99", "p03"],
            "time_ms": [UNTIL_MS + 5, UNTIL_MS + 3, UNTIL_MS + 4, UNTIL_MS + 5],
            "tab": [1, 0, 7, 1],
            "duration_ms": [10_000, 30_000, 0, 10_000],
            "is_click": [1, 0, 1, 1],
        }
    ).to_csv(rows, index=False)
    return rows


def run(rows: Path, out: Path, **changed: str):
    given = {"--model": "recommender/1", "--data": "shop", "--impressions": str(rows), "--out": str(out), **changed}
    return CliRunner().invoke(app, [part for pair in given.items() for part in pair])


def test_every_row_is_answered_in_the_order_of_the_file(shop: Path, tmp_path: Path) -> None:
    result = run(shop, tmp_path / "out.parquet")
    assert result.exit_code == 0, result.output
    found, given = pd.read_parquet(tmp_path / "out.parquet"), pd.read_csv(shop)
    assert list(found) == ["user_id", "video_id", "time_ms", "p_click", "p_long_view", "watch_seconds"]
    pd.testing.assert_frame_equal(found[["user_id", "video_id", "time_ms"]], given[["user_id", "video_id", "time_ms"]])
    assert found[["p_click", "p_long_view"]].gt(0).all().all() and found[["p_click", "p_long_view"]].lt(1).all().all()
    assert (found["watch_seconds"] >= 0).all()
    assert found.loc[0].equals(found.loc[3])
    assert "none of the" not in result.stderr
    given.assign(user_id="x", video_id="y").to_csv(shop, index=False)
    words = run(shop, tmp_path / "out.parquet").stderr
    assert "none of the viewers is known to dataset 'shop'; check that user_id" in words
    assert "none of the videos is known to dataset 'shop'; check that video_id" in words


def test_outcome_columns_and_later_rows_change_nothing(shop: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(shop)
    first, second = tmp_path / "one.parquet", tmp_path / "two.csv.gz"
    rows.drop(columns="is_click").to_parquet(first)
    later = rows.assign(is_click=1 - rows["is_click"], long_view=1)
    pd.concat([later, later.assign(time_ms=later["time_ms"] + DAY_MS)]).to_csv(second, index=False)
    found = []
    for path in (first, second):
        result = run(path, tmp_path / "out.parquet")
        assert result.exit_code == 0, result.output
        found.append(pd.read_parquet(tmp_path / "out.parquet").head(len(rows)))
    np.testing.assert_array_equal(found[0]["p_click"], found[1]["p_click"])
    np.testing.assert_array_equal(found[0]["watch_seconds"], found[1]["watch_seconds"])


def test_a_recommender_without_a_ranker_says_why(shop: Path, tmp_path: Path) -> None:
    result = run(shop, tmp_path / "out.parquet", **{"--model": "recommender/2"})
    assert isinstance(result.exception, InputError)
    assert "has no ranker" in str(result.exception)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("time_ms", "soon", "column 'time_ms', row 2: 'soon' is not a number"),
        ("duration_ms", "-4", "column 'duration_ms', row 2: '-4' is not a number of at least 0"),
        ("tab", "1.5", "column 'tab', row 2: '1.5' is not a whole number below 2^53"),
        ("user_id", "", "column 'user_id', row 2: '' is not filled in"),
    ],
)
def test_a_bad_value_is_named_with_file_column_and_row(tmp_path: Path, column: str, value: str, message: str) -> None:
    good = {"user_id": "1", "video_id": "2", "time_ms": "3", "tab": "1", "duration_ms": "4"}
    path = tmp_path / "rows.csv"
    pd.DataFrame([good, {**good, column: value}]).to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        score.read_impressions(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_missing_column_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user_id,video_id\n1,2\n")
    with pytest.raises(InputError, match="column 'time_ms' is missing; the file has: user_id, video_id"):
        score.read_impressions(path)
    (tmp_path / "rows.txt").write_text("x")
    with pytest.raises(InputError, match=r"ends in \.parquet, \.csv or \.csv\.gz"):
        score.read_impressions(tmp_path / "rows.txt")


def test_rows_that_end_in_a_comma_more_than_the_header_are_not_shifted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user_id,video_id,time_ms,tab,duration_ms,click\n1,2,3,4,5,0,\n1,2,3,4,5,1,\n")
    assert score.read_impressions(path).to_numpy().tolist() == [[1, 2, 3, 4, 5]] * 2


@pytest.mark.parametrize("rows", ["1,Ann,2,3,4,5\n1,Doe, Jo,2,3,4,5\n", "1,Doe, Jo,2,3,4,5\n"])
def test_a_comma_too_many_in_a_row_is_an_error_instead_of_shifted_numbers(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user_id,name,video_id,time_ms,tab,duration_ms\n" + rows)
    with pytest.raises(InputError, match="saw 7|more cells than the header"):
        score.read_impressions(path)


def test_columns_are_found_beside_spaces_and_semicolons_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user_id, video_id , time_ms, tab, duration_ms\n1, 2, 3, 4, 5\n")
    assert score.read_impressions(path).to_numpy().tolist() == [[1, 2, 3, 4, 5]]
    path.write_text("user_id;video_id;time_ms;tab;duration_ms\n1;2;3;4;5\n")
    with pytest.raises(InputError, match="save it with commas between the columns"):
        score.read_impressions(path)


def test_a_parquet_file_is_read_by_columns_whatever_its_index_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    row = {"user_id": [7], "video_id": ["09"], "time_ms": [1], "tab": [1], "duration_ms": [0], "watched": [9.5]}
    pd.DataFrame(row).set_index("user_id").to_parquet(path)
    assert score.read_impressions(path).to_numpy().tolist() == [[7, "09", 1, 1, 0]]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"rows\.parquet is not a readable Parquet file"):
        score.read_impressions(path)


def test_whole_ids_stay_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"user_id": [7], "video_id": [9], "time_ms": [1], "tab": [1], "duration_ms": [0]}).to_parquet(path)
    table = score.read_impressions(path)
    assert table["user_id"].dtype == table["video_id"].dtype == "int64"
