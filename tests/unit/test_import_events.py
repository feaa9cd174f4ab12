"""A shop's own log: foreign columns and times, pseudonyms, unknown products, repeats, and errors by row."""

from __future__ import annotations

import csv
import gzip
import io
import unicodedata
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cluster.errors import InputError, NotFoundError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.events import EventColumns, import_events
from trainables.data.importers.report import ImportReport

PSEUDONYMS = Pseudonymiser(bytes(32))
SLOTS = "viewer_id,product_id,event_type,at,position\n"
GOOD = "viewer_id,product_id,event_type,at,watch_seconds,duration_seconds\n"


@pytest.fixture
def shop(storage: Storage) -> Dataset:
    dataset = Dataset.create(storage, "shop")
    rows = [{"product_id": name, "title": name, "category": "hats"} for name in ("p1", "p2")]
    dataset.append("products", pa.Table.from_pylist(rows), "test")
    return dataset


def run(shop: Dataset, path: Path, **options) -> ImportReport:
    return import_events(shop.storage, shop.name, path, EventColumns(**options), PSEUDONYMS)


def written(tmp_path: Path, text: str, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_events_are_stored_with_pseudonyms(shop: Dataset, tmp_path: Path) -> None:
    rows = "ann,p1,watch,2024-05-01T10:00:00Z,3.5,4\nbob,p2,click,2024-05-01T12:00:00+02:00,,\n"
    path = written(tmp_path, GOOD + rows)
    report = run(shop, path)
    assert report.added == {"events": 2}
    rows = sorted(shop.arrow("events").to_pylist(), key=lambda row: row["product_id"])
    assert [row["viewer_id"] for row in rows] == [PSEUDONYMS.of("ann"), PSEUDONYMS.of("bob")]
    assert (rows[0]["watch_seconds"], rows[0]["duration_seconds"]) == (3.5, 4.0)
    assert rows[0]["at"] == rows[1]["at"]  # zones are honoured
    assert rows[1]["watch_seconds"] is None
    for file in Path(shop.storage.base).rglob("*"):
        assert not file.is_file() or b"ann" not in file.read_bytes()


def test_importing_twice_adds_nothing_and_says_so(shop: Dataset, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "a,p1,click,2024-05-01,,\na,p1,click,2024-05-01,,\nb,p1,click,2024-05-01,,\n")
    first, hash_before = run(shop, path), shop.content_hash()
    assert (first.added["events"], first.duplicates, first.known) == (2, 1, 0)
    second = run(shop, path)
    assert (second.added["events"], second.known) == (0, 3)
    assert shop.content_hash() == hash_before


def test_two_commands_never_import_into_one_dataset_at_once(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads what is stored before it adds to it: both would store the rows that both bring."""
    monkeypatch.setattr("trainables.runs.driver_lock.LOCK_SECONDS", 0)
    log = written(tmp_path, "viewer,product,type,at\nann,p1,click,2024-05-01\n")
    with shop.imported_into(), pytest.raises(InputError, match=r"another command imports into .*shop.*another --as"):
        run(shop, log)
    assert shop.count("events") == 0
    assert run(shop, log).added == {"events": 1}


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("1714557600", "auto"),
        ("1714557600000", "auto"),
        ("1714557600000000", "auto"),
        ("1714557600.0", "auto"),
        ("2024-05-01 10:00:00", "auto"),
        ("2024-05-01T10:00:00Z", "iso"),
        ("1714557600", "s"),
        ("2024-05-01 10:00:00 UTC", "auto"),
        ("20240501T100000Z", "auto"),
    ],
)
def test_times_are_understood(shop: Dataset, tmp_path: Path, value: str, unit: str) -> None:
    run(shop, written(tmp_path, f"user,item,type,timestamp\na,p1,click,{value}\n"), time_unit=unit)
    assert shop.arrow("events")["at"][0].as_py().isoformat() == "2024-05-01T10:00:00+00:00"


@pytest.mark.parametrize("days", [["20240501", "20231231"], [20_240_501, 20_231_231]], ids=["text", "numbers"])
def test_days_without_dashes_are_no_epochs(shop: Dataset, tmp_path: Path, days: list) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["p1"] * 2, "type": ["click"] * 2, "date": days}), path)
    run(shop, path)
    assert sorted(at.strftime("%Y-%m-%d") for at in shop.arrow("events")["at"].to_pylist()) == [
        "2023-12-31",
        "2024-05-01",
    ]


@pytest.mark.parametrize(("unit", "year"), [("iso", 2024), ("s", 1970)])
def test_a_year_alone_is_what_it_is_said_to_be(shop: Dataset, tmp_path: Path, unit: str, year: int) -> None:
    run(shop, written(tmp_path, "user,item,type,timestamp\na,p1,click,2024\n"), time_unit=unit)
    assert shop.arrow("events")["at"][0].as_py().year == year


def test_seconds_counted_from_0_are_read_as_such(shop: Dataset, tmp_path: Path) -> None:
    rows = "".join(f"a,p1,click,{second}\n" for second in (0, 900, 2024, 3600))
    run(shop, written(tmp_path, "user,item,type,timestamp\n" + rows))
    assert sorted(at.timestamp() for at in shop.arrow("events")["at"].to_pylist()) == [0, 900, 2024, 3600]


def test_foreign_columns_and_types_are_mapped(shop: Dataset, tmp_path: Path) -> None:
    text = "who,what,did,when,slot\na,p1,AddToCart,2024-05-01,3\na,p1,view,2024-05-01,\n"
    named = {"viewer": "who", "product": "what", "type": "did", "time": "when"}
    run(shop, written(tmp_path, text), named=named, types={"addtocart": "like"})
    rows = {row["event_type"]: row["position"] for row in shop.arrow("events").to_pylist()}
    assert rows == {"like": 3, "impression": None}


def test_a_log_without_types_holds_watches_or_what_is_said(shop: Dataset, tmp_path: Path) -> None:
    run(shop, written(tmp_path, "user,item,time,watch_seconds\na,p1,2024-05-01,2\n"))
    assert shop.arrow("events")["event_type"].to_pylist() == ["watch"]
    bare = written(tmp_path, "user,item,time\nb,p1,2024-05-01\n", "bare.csv")
    with pytest.raises(InputError, match=r"bare\.csv: no column for type.*--default-type"):
        run(shop, bare)
    run(shop, bare, default_type="purchase")
    assert sorted(shop.arrow("events")["event_type"].to_pylist()) == ["purchase", "watch"]


@pytest.mark.parametrize("kind", ["csv.gz", "parquet"])
def test_other_file_kinds(shop: Dataset, tmp_path: Path, kind: str) -> None:
    table = pd.DataFrame(
        {
            "viewer_id": [1, 2],
            "product_id": ["p1", "p2"],
            "event_type": ["click", "watch"],
            "at": pd.to_datetime(["2024-05-01T10:00:00Z", "2024-05-01T11:00:00Z"]),
            "watch_seconds": [None, 2.5],
        }
    )
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    else:
        path.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    assert run(shop, path).added == {"events": 2}
    assert {row["viewer_id"] for row in shop.arrow("events").to_pylist()} == {PSEUDONYMS.of("1"), PSEUDONYMS.of("2")}
    assert sorted(row["at"].hour for row in shop.arrow("events").to_pylist()) == [10, 11]


def test_rows_that_end_in_a_comma_more_than_the_header_are_not_shifted(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.importers.events.ROWS_A_CHUNK", 2)
    rows = "".join(f"v{i},p1,click,2024-05-01,,,\n" for i in range(5))
    assert run(shop, written(tmp_path, GOOD + rows)).added == {"events": 5}
    assert set(shop.arrow("events")["viewer_id"].to_pylist()) == {PSEUDONYMS.of(f"v{i}") for i in range(5)}
    with pytest.raises(InputError, match="row 6 has more cells than the header has columns"):
        run(shop, written(tmp_path, GOOD + rows + "v5,p1,watch,2024-05-01,1,5,2\n"))


def test_whole_numbers_of_parquet_stay_whole_beside_empty_cells(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches with and without an empty cell give the same request, large ids keep their last digits, and the same log
    as CSV brings nothing new.
    """
    monkeypatch.setattr("trainables.data.importers.events.ROWS_A_CHUNK", 2)
    table = pa.table({
        "user": ["a", "a", "a", "b"],
        "item": ["p1", "p2", "p1", "p1"],
        "type": ["impression", "impression", "click", "click"],
        "at": pa.array([1_714_557_600_000 + place for place in range(4)]),
        "request_id": pa.array([7, None, 7, 9_007_199_254_740_993]),
        "position": pa.array([0, None, 0, 1]),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "log.parquet")
    run(shop, tmp_path / "log.parquet")
    rows = sorted(shop.arrow("events").to_pylist(), key=lambda row: row["at"])
    assert [row["request_id"] for row in rows] == ["7", None, "7", "9007199254740993"]
    assert [row["position"] for row in rows] == [0, None, 0, 1]
    pa.csv.write_csv(table, tmp_path / "log.csv")
    assert run(shop, tmp_path / "log.csv").added == {"events": 0}


def test_events_of_unknown_products_are_kept_aside_until_the_product_comes(shop: Dataset, tmp_path: Path) -> None:
    known = "ann,p1,click,2024-05-01,,\n"
    unknown = "ann,p9,click,2024-05-01,,\nbob,p9,watch,2024-05-02,7,8\nbob,p1,wave,2024-05-02,,\n"
    path = written(tmp_path, GOOD + known + unknown)
    report = run(shop, path)
    assert report.added == {"events": 1}
    assert {(item.reason.split(" (")[0], item.count) for item in report.set_aside} == {
        ("unknown product", 2),
        ("unknown event type", 1),
    }
    run(shop, path)  # a second time keeps each row once

    def aside() -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(shop.storage.read_bytes(shop.folder("set_aside.csv")).decode())))

    assert [(row["product_id"], row["item"]) for row in aside()] == [("p1", "row 4"), ("p9", "row 2"), ("p9", "row 3")]
    assert aside()[2]["viewer_id"] == PSEUDONYMS.of("bob")
    assert float(aside()[2]["watch_seconds"]) == 7
    shop.append("products", pa.Table.from_pylist([{"product_id": "p9", "title": "x", "category": "x"}]), "test")
    assert run(shop, path).added == {"events": 2}
    assert [row["reason"] for row in aside()] == ["unknown event type"]


@pytest.mark.parametrize(("stored", "logged"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_product_is_known_however_its_accents_are_written(
    shop: Dataset, tmp_path: Path, stored: str, logged: str
) -> None:
    """A log that was made of file names on a Mac spells é as e and an accent."""
    product = unicodedata.normalize(stored, "café")
    shop.append("products", pa.Table.from_pylist([{"product_id": product, "title": "x", "category": "x"}]), "test")
    log = f"viewer,product,type,at\nann,{unicodedata.normalize(logged, 'café')},click,2024-05-01\n"
    assert run(shop, written(tmp_path, log)).added == {"events": 1}
    assert shop.arrow("events")["product_id"].to_pylist() == [product]


def test_a_negative_watch_time_is_set_aside_and_the_rest_imported(shop: Dataset, tmp_path: Path) -> None:
    report = run(shop, written(tmp_path, GOOD + "a,p1,watch,2024-05-01,-2,3\na,p2,watch,2024-05-01,2,3\n"))
    assert report.added == {"events": 1}
    assert [(item.reason, item.count) for item in report.set_aside] == [("negative watch time (first: '-2.0')", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("product_id,event_type,at\np1,click,1\n", r"no column for viewer.*--viewer-column"),
        ("viewer_id,event_type,at\na,click,1\n", r"no column for product"),
        ("viewer_id,product_id,event_type\na,p1,click\n", r"no column for time"),
        (GOOD + "a,p1,watch,2024-05-01,2,3\na,p1,watch,2024-05-01,long,3\n", r"'watch_seconds', row 2: 'long' is not"),
        (GOOD + "a,p1,click,2024-05-01,,\na,p1,click,soon,,\n", r"'at', row 2: 'soon' is not an ISO 8601 time"),
        (GOOD + "a,p1,click,1714557600,,\na,p1,click,soon,,\n", r"'at', row 2: 'soon' is not a number"),
        (GOOD + "a,p1,click,2024-05-01,,\na,p1,click,2024,,\n", r"'at', row 2: '2024' is not .* \(see --time-unit\)"),
        (
            GOOD + "a,p1,click,2024,,\n" * 3 + "a,p1,click,2024-05-01,,\n",
            r"'at', row 1: '2024' is not an ISO 8601 time",
        ),
        (GOOD + "a,p1,click,2023,,\na,p1,click,2024,,\n", r"'at', row 1: '2023' is not an ISO 8601 time"),
        (GOOD + "a,p1,click,2024-05-01,,\na,p1,click,7,,\n", r"'at', row 2: '7' is not an ISO 8601 time"),
        (
            GOOD + "a,p1,click,2024-05-01,,\n" * 2 + "a,p1,click,1714557600,,\n",
            r"row 3: '1714557600' is not an ISO 8601",
        ),
        (GOOD + "a,p1,click,0001-01-01T00:00:00Z,,\n", r"'at', row 1: '0001-01-01T00:00:00Z' is not .* from 1970 on"),
        (
            GOOD + "a,p1,click,2024-05-01,,\na,p1,click,2200-01-01,,\n",
            r"'at', row 2: '2200-01-01' is not .*before 2200",
        ),
        (GOOD + "a,p1,watch,2024-05-01,2,inf\n", r"'duration_seconds', row 1: 'inf' is not a finite number"),
        (GOOD + "a,p1,watch,2024-05-01,1e300,3\n", r"'watch_seconds', row 1: '1e300' is not a number of at most 3.40"),
        (SLOTS + "a,p1,click,2024-05-01,1\na,p1,click,2024-05-01,inf\n", r"'position', row 2: 'inf' is not a finite"),
        (SLOTS + "a,p1,click,2024-05-01,99999999999\n", r"'99999999999' is not a number of at most 2147483647"),
        (GOOD + "a,,click,2024-05-01,,\n", r"'product_id', row 1: '' is not filled in"),
        ("", r"is empty"),
        (GOOD, r"holds no events"),
    ],
)
def test_a_bad_log_is_refused_by_file_column_and_row(shop: Dataset, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"log\.csv.*{message}"):
        run(shop, written(tmp_path, text))
    assert not shop.has("events")


def test_a_log_in_another_encoding_is_refused_with_the_fix(shop: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes((GOOD + "zoë,p1,click,2024-05-01,,\n").encode("cp1252"))
    with pytest.raises(InputError, match=r"log\.csv is not UTF-8 text \(.*; save it as CSV in UTF-8"):
        run(shop, path)


def test_a_column_that_is_there_twice_in_parquet_is_named(shop: Dataset, tmp_path: Path) -> None:
    columns = {"viewer": ["a"], "item": ["p1"], "type": ["click"], "time": ["2024-05-01"]}
    twice = pa.table(columns).append_column("item", pa.array(["p2"]))
    pq.write_table(twice, tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"log\.parquet: column 'item' is there twice"):
        run(shop, tmp_path / "log.parquet")


def test_spaces_after_commas_do_no_harm(shop: Dataset, tmp_path: Path) -> None:
    path = written(tmp_path, 'viewer, item, type, time, surface\n"a", "p1", click, 2024-05-01, "home, top"\n')
    assert run(shop, path).added == {"events": 1}
    assert shop.arrow("events")["surface"].to_pylist() == ["home, top"]


def test_a_zero_date_in_a_column_of_times_is_refused(shop: Dataset, tmp_path: Path) -> None:
    at = pa.array([1_714_557_600_000, -62_135_596_800_000], pa.timestamp("ms"))
    pq.write_table(
        pa.table({"user": ["a"] * 2, "item": ["p1"] * 2, "type": ["click"] * 2, "at": at}), tmp_path / "l.pq"
    )
    with pytest.raises(InputError, match=r"'at', row 2: '0001-01-01 .* from 1970 on and before 2200"):
        run(shop, tmp_path / "l.pq")


def test_a_bad_row_after_many_good_ones_leaves_the_dataset_as_it_was(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.importers.events.ROWS_A_CHUNK", 10)
    rows = [f"v{i},p1,watch,2024-05-01,{i},100" for i in range(34)] + ["x,p1,watch,2024-05-01,oops,100"]
    with pytest.raises(InputError, match=r"'watch_seconds', row 35: 'oops'"):
        run(shop, written(tmp_path, GOOD + "\n".join(rows) + "\n"))
    assert not shop.has("events")


def test_a_missing_or_foreign_file_and_a_dataset_without_products(shop: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        run(shop, tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"log\.json is neither"):
        run(shop, written(tmp_path, "{}", "log.json"))
    with pytest.raises(InputError, match=r"log\.parquet cannot be read"):
        run(shop, written(tmp_path, "no parquet", "log.parquet"))
    with pytest.raises(InputError, match=r"log\.csv\.gz cannot be read"):
        run(shop, written(tmp_path, "not gzipped", "log.csv.gz"))
    with pytest.raises(NotFoundError, match="'other' does not exist"):
        import_events(shop.storage, "other", tmp_path / "log.csv", None, PSEUDONYMS)
    Dataset.create(shop.storage, "bare")
    with pytest.raises(InputError, match="'bare' has no products"):
        import_events(shop.storage, "bare", tmp_path / "log.csv", None, PSEUDONYMS)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="'gaze' is no event type"):
        EventColumns(types={"look": "gaze"})
    with pytest.raises(InputError, match="time_unit is 'days'"):
        EventColumns(time_unit="days")
