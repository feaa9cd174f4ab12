"""`shopreel export segments`: no number of fewer than k viewers, neither shown nor to be computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cluster.cli import export
from cluster.errors import InputError, NotFoundError, StorageError
from tests.recommender_log import START_MS, events_table, products_table
from trainables.data.dataset import Dataset
from trainables.data.schemas import VIEWERS
from trainables.recommender.privacy.segments import segment_table


def rows(surface: str | None, viewers: range, **extra: Any) -> list[dict[str, Any]]:
    given = {"event_type": "impression", "product_id": "p0", **extra}
    return [{"viewer_id": f"v{i:03d}", "at": START_MS + i, "surface": surface, **given} for i in viewers]


def exported(*parts: list[dict[str, Any]], k: int = 20):
    events = events_table([row for part in parts for row in part])
    return segment_table(events, events["surface"], k)


def names(found) -> list[str]:
    return found.table["segment"].tolist()


@pytest.fixture
def shop(storage) -> Dataset:
    """95 viewers: 40 at home, 30 in the feed, 25 who search; of 20 nothing is known, nor of what is searched for."""
    log = rows("home", range(40)) + rows("feed", range(40, 70), product_id="p1", event_type="like")
    log += rows("search", range(70, 95), product_id="gone", event_type="click")
    dataset = Dataset.create(storage, "shop")
    dataset.append("events", events_table(log), "test")
    dataset.append("products", products_table(["p0", "p1"], ["lamp", "chair"]), "test")
    known = [
        {"viewer_id": f"v{i:03d}", "attributes": [("age", "30" if i < 50 else "40"), ("town", "Rome")]}
        for i in range(75)
    ]
    dataset.append("viewers", pa.Table.from_pylist(known, schema=VIEWERS), "test")
    return dataset


def run(out: Path, *words: str):
    return CliRunner().invoke(export.app, ["segments", "--data", "shop", "--out", str(out), *words])


def test_numbers_of_a_segment_are_those_of_its_events():
    watched = rows("home", range(20), event_type="watch", watch_seconds=3.0)
    watched += rows("home", range(20), event_type="watch", watch_seconds=6.0)
    done = rows("home", range(3), event_type="purchase") + rows("home", range(5), event_type="click")
    found = exported(rows("home", range(25)), watched, done, rows("feed", range(10, 40), event_type="like"))
    assert names(found) == ["feed", "home", "total"] and (found.shown, found.too_small, found.with_them) == (2, 0, 0)
    feed, home, total = found.table.to_dict("records")
    wanted = {"segment": "home", "viewers": 25, "events": 73, "clicks": 5, "likes": 0, "purchases": 3}
    assert home == {**wanted, "mean_watch_seconds": 4.5}
    assert np.isnan(feed["mean_watch_seconds"])
    assert total == {**wanted, "segment": "total", "viewers": 40, "events": 103, "likes": 30, "mean_watch_seconds": 4.5}


def test_a_segment_of_19_viewers_is_left_out_however_many_events_it_has():
    loud = [row for _ in range(50) for row in rows("rare", range(19))]
    found = exported(loud, rows("home", range(60)), rows("feed", range(40)), rows("other", range(100, 130)))
    # `rare` alone would be the whole log less what is shown, so the next smallest goes with it.
    assert names(found) == ["home", "feed", "total"]
    assert (found.too_small, found.with_them) == (1, 1)
    assert found.table["events"].tolist() == [60, 40, 100]
    assert found.table["viewers"].tolist() == [60, 40, 60]


def test_small_segments_that_are_the_same_few_viewers_take_another_with_them():
    large = rows("home", range(60)), rows("feed", range(40))
    same = exported(rows("a", range(12)), rows("b", range(12)), *large)
    assert names(same) == ["home", "total"] and same.with_them == 1
    apart = exported(rows("a", range(12)), rows("b", range(12, 24)), *large)
    assert names(apart) == ["home", "feed", "total"] and apart.with_them == 0


def test_what_is_left_out_is_always_of_k_viewers_or_all_there_is():
    """Whatever the log: the whole less what is shown is nothing, everything, or two segments of k viewers together."""
    rng = np.random.default_rng(0)
    partly = 0
    for _ in range(200):
        sizes = rng.integers(1, 45, rng.integers(1, 7))
        log = [rows(f"s{i}", range(first, first + n)) for i, n in enumerate(sizes) for first in [rng.integers(60)]]
        found = exported(*log)
        shown = set(names(found)[:-1])
        hidden = [part for part in log if part[0]["surface"] not in shown]
        assert all(len(part) >= 20 for part in log if part[0]["surface"] in shown)
        together = {row["viewer_id"] for part in hidden for row in part}
        assert not hidden or not shown or (len(hidden) > 1 and len(together) >= 20)
        partly += bool(hidden and shown)
    assert partly > 20


def test_a_mean_of_few_viewers_is_left_out_and_is_not_in_the_total():
    few = rows("home", range(19), event_type="watch", watch_seconds=9.0)
    enough = rows("feed", range(20), event_type="watch", watch_seconds=2.0)
    found = exported(rows("home", range(30)), few, rows("feed", range(40)), enough)
    assert found.table["mean_watch_seconds"].fillna(-1).tolist() == [2.0, -1, 2.0]


def test_wrong_watch_times_are_clamped_and_unknown_ones_in_no_mean():
    watch = [-5.0, float("inf"), None, *[1.0] * 21]
    log = [row for i, seconds in enumerate(watch) for row in rows("home", range(i, i + 1), watch_seconds=seconds)]
    found = exported([{**row, "event_type": "watch"} for row in log])
    assert found.table["mean_watch_seconds"][0] == pytest.approx((0 + 86_400 + 21) / 23)


def test_the_file_has_the_segments_of_the_dataset(shop, tmp_path):
    out = tmp_path / "new" / "out.csv"
    done = run(out, "--by", "surface")
    assert done.exit_code == 0 and "3 segments, 0 of fewer than 20 viewers left out" in done.stdout
    table = pd.read_csv(out)
    columns = ["segment", "viewers", "events", "clicks", "likes", "purchases", "mean_watch_seconds"]
    assert list(table.columns) == columns
    assert table["segment"].tolist() == ["home", "feed", "search", "total"]
    assert table["viewers"].tolist() == [40, 30, 25, 95]

    run(out, "--by", "category")
    table = pd.read_csv(out)
    assert dict(zip(table["segment"], table["events"], strict=True)) == {
        "lamp": 40,
        "chair": 30,
        "unknown": 25,
        "total": 95,
    }
    run(out, "--by", "attribute:age")
    table = pd.read_csv(out)
    assert table.set_index("segment")["viewers"].to_dict() == {"30": 50, "40": 25, "unknown": 20, "total": 95}
    run(out, "--by", "attribute:age", "--k", "21")
    assert pd.read_csv(out)["segment"].tolist() == ["30", "total"]
    assert "0 segments, 3 of fewer than 60 viewers left out" in run(out, "--by", "surface", "--k", "60").stdout
    assert pd.read_csv(out).empty


@pytest.mark.parametrize(
    ("words", "kind", "says"),
    [
        (["--by", "surface", "--k", "19"], InputError, "k is 19; export segments only at k >= 20"),
        (["--by", "viewer_id"], InputError, "give surface, category or attribute:NAME"),
        (["--by", "attribute:"], InputError, "give surface, category or attribute:NAME"),
        (["--by", "attribute:income"], NotFoundError, r"attribute 'income' \(there are: age, town\)"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_written(shop, tmp_path, words, kind, says):
    out = tmp_path / "out.csv"
    with pytest.raises(kind, match=says):
        raise run(out, *words).exception
    assert not out.exists()


def test_a_file_that_cannot_be_written_is_named(shop, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="give another --out"):
        raise run(tmp_path / "file" / "out.csv", "--by", "surface").exception
    with pytest.raises(InputError, match="ends in .csv"):
        raise run(tmp_path / "out.xlsx", "--by", "surface").exception
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="a folder; name a file that ends in .csv"):
        raise run(tmp_path / "folder.csv", "--by", "surface").exception


def test_few_viewers_cannot_be_asked_for_past_the_command_either():
    with pytest.raises(InputError, match="k >= 20"):
        exported(rows("home", range(30)), k=5)
