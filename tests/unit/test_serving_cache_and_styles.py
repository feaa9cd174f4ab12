"""The clip cache, and what may be asked for as a style."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from cluster.errors import StorageError
from cluster.storage import Storage
from serving import styles
from serving.clip_cache import ClipCache, clip_id, is_clip_id, original_id
from serving.flights import Flights
from serving.problems import Problem
from trainables.data.style_code import CODE_DIM

PRESETS = {name: np.full(CODE_DIM, value, np.float32) for name, value in (("neon", 1.0), ("ink", -1.0), ("sport", 0.5))}


def key(number: int) -> str:
    return f"{number:032x}"


def test_clip_survives_the_process_and_is_bounded_in_memory(storage: Storage) -> None:
    cache = ClipCache(storage, memory_bytes=250, storage_bytes=10_000)
    for number in range(3):
        cache.put(key(number), bytes([number]) * 100)
    assert cache.peek(key(0)) is None
    assert cache.peek(key(2)) == b"\2" * 100
    assert ClipCache(storage, memory_bytes=250, storage_bytes=10_000).get(key(0)) == b"\0" * 100


def test_least_recently_used_clip_leaves_storage(storage: Storage) -> None:
    cache = ClipCache(storage, memory_bytes=0, storage_bytes=250)
    cache.put(key(0), b"a" * 100)
    cache.put(key(1), b"b" * 100)
    assert cache.get(key(0))
    cache.put(key(2), b"c" * 100)
    assert cache.get(key(1)) is None
    assert cache.get(key(0)) == b"a" * 100
    assert len([name for folder in storage.list("clips") for name in storage.list(f"clips/{folder}")]) == 2


def test_clips_of_several_replicas_are_bounded_together(storage: Storage) -> None:
    one, other = (ClipCache(storage, memory_bytes=0, storage_bytes=250) for _ in range(2))
    for number in range(4):
        (one, other)[number % 2].put(key(number), b"a" * 100)
    one.recount()
    assert one.sizes()["storage"] == ClipCache(storage, memory_bytes=0, storage_bytes=1).sizes()["storage"] == 200
    assert [one.get(key(number)) is not None for number in range(4)] == [False, True, False, True]
    other.recount()
    assert other.sizes()["storage"] == 200
    other.put(key(4), b"a" * 100)
    one.recount()
    assert one.sizes()["storage"] == 200


def test_full_disk_costs_the_storage_tier_alone(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clip is served from memory, and nothing of it is on storage."""
    cache = ClipCache(storage, memory_bytes=1000, storage_bytes=1000)

    def full(*_: object) -> None:
        raise StorageError("no space left on device")

    monkeypatch.setattr(storage, "write_bytes", full)
    cache.put(key(1), b"a")
    assert cache.get(key(1)) == b"a"
    assert ClipCache(storage, memory_bytes=1000, storage_bytes=1000).get(key(1)) is None


def test_clip_id_depends_on_all_that_decides_the_bytes() -> None:
    code = np.zeros(CODE_DIM, np.float32)
    base = clip_id("p", code, 1.0, "generator/1")
    others = {
        clip_id("q", code, 1.0, "generator/1"),
        clip_id("p", code + 0.1, 1.0, "generator/1"),
        clip_id("p", code, 0.5, "generator/1"),
        clip_id("p", code, 1.0, "generator/2"),
        original_id("p"),
    }
    assert len(others - {base}) == 5
    assert clip_id("p", code + 1e-7, 1.0, "generator/1") == base
    assert is_clip_id(base)


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "A" * 32, "a" * 31])
def test_other_texts_are_no_clip_ids(text: str) -> None:
    assert not is_clip_id(text)


def test_weights_blend_preset_codes() -> None:
    style = styles.requested({"neon": 3, "ink": 1}, PRESETS)
    np.testing.assert_allclose(style.code_S, 0.5)
    assert (style.name, style.weights) == ("neon", {"neon": 0.75, "ink": 0.25})
    assert styles.requested({"neon": 1.5e308, "ink": 0.5e308}, PRESETS).weights == {"neon": 0.75, "ink": 0.25}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"neon": 0.62, "ink": 0.38}, {"neon": 0.5, "ink": 0.5}),
        ({"neon": 0.64, "ink": 0.36}, {"neon": 0.75, "ink": 0.25}),
        ({"neon": 0.95, "ink": 0.05}, {"neon": 1.0}),
        ({"neon": 0.34, "ink": 0.33, "sport": 0.33}, {"neon": 0.5, "ink": 0.25, "sport": 0.25}),
    ],
)
def test_personal_look_is_rounded_to_quarters(weights: dict[str, float], expected: dict[str, float]) -> None:
    assert styles.personal(weights, PRESETS).weights == expected


@pytest.mark.parametrize(
    ("style", "message"),
    [
        pytest.param("baroque", "choose one of neon, ink, sport", id="unknown-preset"),
        pytest.param({"baroque": 1}, "there is no style 'baroque'", id="unknown-preset-in-weights"),
        pytest.param({"neon": -1, "ink": 2}, "style.neon", id="negative-weight"),
        pytest.param({"neon": float("nan")}, "style.neon", id="weight-is-no-number"),
        pytest.param({}, "above 0", id="no-weights"),
        pytest.param({"neon": 0}, "above 0", id="weights-are-zero"),
        pytest.param([1.0], "36 numbers", id="code-too-short"),
        pytest.param([float("inf")] * CODE_DIM, "between", id="code-not-finite"),
    ],
)
def test_wrong_style_is_a_problem_that_names_the_field(style: object, message: str) -> None:
    with pytest.raises(Problem, match="style") as caught:
        styles.requested(style, PRESETS)
    assert caught.value.status_code == 422
    assert message in caught.value.detail
    assert caught.value.errors


def test_identical_work_in_flight_is_done_once() -> None:
    async def scenario() -> tuple[list[str], int]:
        flights, release, calls = Flights(), asyncio.Event(), []

        async def work() -> str:
            calls.append(1)
            await release.wait()
            return "clip"

        waiting = [asyncio.ensure_future(flights.run("a", work)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        release.set()
        return await asyncio.gather(*waiting), len(calls)

    assert asyncio.run(scenario()) == (["clip"] * 4, 1)


def test_work_nobody_waits_for_is_cancelled_and_can_be_done_again() -> None:
    async def scenario() -> str:
        flights, cancelled = Flights(), asyncio.Event()

        async def endless() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async def quick() -> str:
            return "again"

        waiting = asyncio.ensure_future(flights.run("a", endless))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)
        return await flights.run("a", quick)

    assert asyncio.run(scenario()) == "again"


def test_failure_reaches_everyone_who_waits() -> None:
    async def scenario() -> list[object]:
        flights = Flights()

        async def fails() -> None:
            raise Problem(503, "no replica")

        return await asyncio.gather(*(flights.run("a", fails) for _ in range(3)), return_exceptions=True)

    assert [outcome.status_code for outcome in asyncio.run(scenario())] == [503] * 3
