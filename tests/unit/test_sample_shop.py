"""The committed sample shop: complete, playable, consistent with its schemas, reproducible and learnable."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.errors import InputError
from trainables.data.sample.catalogue import LOOKS, catalogue
from trainables.data.sample.shop import clip_path, events, products, sample_root
from trainables.data.sample.viewers import ChoiceConfig, draw_viewers, shelve
from trainables.data.sample.visits import END, SCHEMA, START, simulate
from trainables.data.schemas import EVENT_TYPES, EVENTS, PRODUCTS, conform


@pytest.fixture(scope="module")
def log() -> pa.Table:
    return events()


@pytest.fixture(scope="module")
def shelf() -> list[dict]:
    return products()


def frames_of(product_id: str) -> np.ndarray:
    with av.open(str(clip_path(product_id))) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].average_rate == 12
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_catalogue_is_what_the_code_says(shelf: list[dict]) -> None:
    assert len(shelf) >= 120 and len({row["category"] for row in shelf}) >= 12
    with (sample_root() / "products.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [product.row() for product in catalogue()]


def test_products_fit_the_products_schema(shelf: list[dict]) -> None:
    table = conform(pa.Table.from_pylist(shelf), "products", "products.csv")
    assert table.num_rows == len(shelf)
    assert table.select(PRODUCTS.names)["price"].null_count == 0


def test_every_clip_is_a_small_h264_turn_of_its_product(shelf: list[dict]) -> None:
    files = sorted(path.stem for path in (sample_root() / "clips").glob("*.mp4"))
    assert files == sorted(row["product_id"] for row in shelf)
    for product_id in files:
        clip = frames_of(product_id).astype(np.int16)
        assert clip.shape == (24, 128, 128, 3), product_id
        steps = np.abs(np.diff(clip, axis=0, append=clip[:1])).mean((1, 2, 3))
        assert steps.min() > 0.1, f"{product_id} stands still at frame {steps.argmin()}"
        # A closed loop: the step from the last frame to the first is one like the others.
        assert steps[-1] < 1.25 * steps[:-1].max(), product_id


def test_all_clips_and_the_log_are_small_enough_to_commit() -> None:
    assert sum(path.stat().st_size for path in (sample_root() / "clips").iterdir()) < 6_000_000
    assert (sample_root() / "events.parquet").stat().st_size < 1_500_000


def test_an_unknown_product_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="'mug-99'"):
        clip_path("mug-99")


def test_log_fits_the_events_schema(log: pa.Table) -> None:
    assert log.schema.equals(SCHEMA)
    assert [name for name in EVENTS.names if name in SCHEMA.names] == SCHEMA.names
    assert conform(log, "events", "events.parquet").num_rows == log.num_rows


def test_log_is_consistent(log: pa.Table, shelf: list[dict]) -> None:
    assert len(pc.unique(log["event_id"])) == log.num_rows
    assert len(pc.unique(log["viewer_id"])) >= 2000
    assert set(log["product_id"].unique().to_pylist()) == {row["product_id"] for row in shelf}
    assert set(log["event_type"].unique().to_pylist()) == set(EVENT_TYPES)
    assert set(log["style"].unique().to_pylist()) == set(LOOKS)
    assert pc.min(log["at"]).as_py() >= START and pc.max(log["at"]).as_py() < END
    assert dt.datetime(2026, 10, 31, tzinfo=dt.UTC) <= pc.max(log["at"]).as_py()
    watches = pc.equal(log["event_type"], "watch")
    for column in ("watch_seconds", "duration_seconds"):
        assert log[column].is_valid().equals(watches), f"{column} must be there on watch events and only there"
    watched = log.filter(watches)
    assert pc.min(watched["watch_seconds"]).as_py() > 0
    assert pc.all(pc.less_equal(watched["watch_seconds"], pc.multiply(watched["duration_seconds"], 3.01))).as_py()


def test_events_follow_their_impression(log: pa.Table) -> None:
    shown: dict[tuple[str, str], tuple] = {}
    clicked: set[tuple[str, str]] = set()
    slots: dict[str, list[int]] = {}
    columns = ["request_id", "product_id", "viewer_id", "event_type", "at", "position", "style"]
    for row in log.select(columns).to_pylist():
        key = (row["request_id"], row["product_id"])
        if row["event_type"] == "impression":
            assert key not in shown
            shown[key] = (row["viewer_id"], row["position"], row["style"], row["at"])
            slots.setdefault(row["request_id"], []).append(row["position"])
            continue
        viewer, position, style, at = shown[key]
        assert (viewer, position, style) == (row["viewer_id"], row["position"], row["style"]) and row["at"] >= at
        if row["event_type"] == "click":
            clicked.add(key)
        assert key in clicked
    assert all(sorted(found) == list(range(len(found))) for found in slots.values())


def test_log_is_reproducible_from_the_seed(log: pa.Table) -> None:
    rows = [product.row() for product in catalogue()]
    assert simulate(rows, ChoiceConfig(seed=0)).equals(log)
    few = ChoiceConfig(seed=1, viewers=20)
    assert simulate(rows, few).equals(simulate(rows, few))
    assert not simulate(rows, few).equals(simulate(rows, ChoiceConfig(seed=2, viewers=20)))


def test_examination_decays_with_the_slot(log: pa.Table) -> None:
    def share(event_type: str) -> np.ndarray:
        return np.bincount(log.filter(pc.equal(log["event_type"], event_type))["position"].to_numpy())

    rates = share("click") / share("impression")
    assert (np.diff(rates) < 0).all()


def clicks_before_and_after(log: pa.Table, shelf: list[dict], days: int) -> tuple[np.ndarray, np.ndarray]:
    """Click matrices (V, P) before the last `days` days and within them, the latter without what was clicked before."""
    clicks = log.filter(pc.equal(log["event_type"], "click"))
    item = {row["product_id"]: i for i, row in enumerate(shelf)}
    viewer = {name: i for i, name in enumerate(log["viewer_id"].unique().to_pylist())}
    before, after = np.zeros((2, len(viewer), len(item)))
    for row in clicks.select(["viewer_id", "product_id", "at"]).to_pylist():
        part = before if row["at"] < END - dt.timedelta(days=days) else after
        part[viewer[row["viewer_id"]], item[row["product_id"]]] = 1
    return before, after * (before == 0)


def recall(scores: np.ndarray, before: np.ndarray, after: np.ndarray, k: int = 10) -> float:
    users = (before.sum(1) > 0) & (after.sum(1) > 0)
    top = np.argsort(-np.where(before > 0, -np.inf, scores), axis=1)[:, :k]
    found = np.take_along_axis(after, top, 1).sum(1) / np.minimum(k, after.sum(1).clip(1))
    return float(found[users].mean())


def test_item_neighbours_beat_popularity_on_the_last_week(log: pa.Table, shelf: list[dict]) -> None:
    before, after = clicks_before_and_after(log, shelf, days=7)
    norms = np.linalg.norm(before, axis=0)
    cosine = before.T @ before / (norms[:, None] * norms + 5)
    np.fill_diagonal(cosine, 0)
    popular = recall(np.tile(before.sum(0), (len(before), 1)), before, after)
    neighbours = recall(before @ cosine, before, after)
    assert neighbours > 1.5 * popular


def test_watching_reveals_the_taste_in_looks(log: pa.Table, shelf: list[dict]) -> None:
    config, rng = ChoiceConfig(seed=0), np.random.default_rng(0)
    rows = [product.row() for product in catalogue()]
    tastes_VL = draw_viewers(config, shelve(rows, rng).kinds, rng).look_VL
    watched_VL, count_V = np.zeros_like(tastes_VL), np.zeros(config.viewers)
    watches = log.filter(pc.equal(log["event_type"], "watch"))
    for row in watches.select(["viewer_id", "style", "watch_seconds", "duration_seconds"]).to_pylist():
        viewer = int(row["viewer_id"].removeprefix("viewer-")) - 1
        watched_VL[viewer, LOOKS.index(row["style"])] += row["watch_seconds"] / row["duration_seconds"]
        count_V[viewer] += 1
    busy = count_V >= 5
    correlation = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(watched_VL[busy], tastes_VL[busy], strict=True)])
    agreement = (watched_VL[busy].argmax(1) == tastes_VL[busy].argmax(1)).mean()
    assert busy.sum() > 1000
    assert correlation > 0.5
    assert agreement > 0.5  # by chance one in six


def test_nothing_is_read_at_import() -> None:
    code = (
        "import sys, pathlib; opened = []; "
        "sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == 'open' else None); "
        "import trainables.data.sample.shop; "
        "bad = [p for p in opened if p.endswith(('.mp4', '.csv', '.parquet'))]; sys.exit(len(bad))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
