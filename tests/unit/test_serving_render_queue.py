"""The queue in front of the generator: what nobody waits for is not rendered, and one bad clip fails alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from serving.contracts import RenderError
from serving.render_queue import DeadlinePassedError, RenderQueue


class Renderer:
    """Records its batches; its thread waits until it is released."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, items: list[str]) -> Iterator[Any]:
        self.batches.append(items)
        self.begun.set()
        assert self.released.wait(30)
        for item in items:
            yield RenderError(item) if item.startswith("bad") else f"clip {item}"


@pytest.fixture
def renderer() -> Renderer:
    return Renderer()


def run(scenario: Callable[[RenderQueue], Coroutine[Any, Any, Any]], renderer: Renderer, max_batch: int = 4) -> Any:
    """The scenario with a queue whose thread is busy with a clip called `first`."""

    async def busy() -> Any:
        queue = RenderQueue(renderer, max_batch=max_batch)
        first = asyncio.ensure_future(queue.put("first", key="busy"))
        await asyncio.to_thread(renderer.begun.wait, 30)
        result = await scenario(queue)
        assert (await first).outcome == "clip first"
        return result

    return asyncio.run(busy())


def test_cancelled_request_leaves_the_queue_at_once_and_is_not_rendered(renderer: Renderer) -> None:
    async def scenario(queue: RenderQueue) -> None:
        gone = asyncio.ensure_future(queue.put("gone", key=1))
        stays = asyncio.ensure_future(queue.put("stays", key=1))
        await asyncio.sleep(0)
        assert len(queue) == 2
        gone.cancel()
        await asyncio.wait({gone})
        assert len(queue) == 1
        renderer.released.set()
        assert (await stays).outcome == "clip stays"

    run(scenario, renderer)
    assert renderer.batches == [["first"], ["stays"]]


def test_render_whose_deadline_passes_in_the_queue_is_not_begun(renderer: Renderer) -> None:
    async def scenario(queue: RenderQueue) -> None:
        late = asyncio.ensure_future(queue.put("late", key=1, deadline=time.time() - 1))
        timely = asyncio.ensure_future(queue.put("timely", key=1, deadline=time.time() + 60))
        await asyncio.sleep(0)
        renderer.released.set()
        assert (await timely).outcome == "clip timely"
        with pytest.raises(DeadlinePassedError):
            await late

    run(scenario, renderer)
    assert renderer.batches == [["first"], ["timely"]]


def test_batches_are_of_one_shape_and_no_larger_than_asked(renderer: Renderer) -> None:
    async def scenario(queue: RenderQueue) -> list[int]:
        shapes = {"a": 64, "b": 128, "c": 64, "d": 64, "e": 128}
        waiting = [asyncio.ensure_future(queue.put(name, key=shape)) for name, shape in shapes.items()]
        await asyncio.sleep(0)
        renderer.released.set()
        return [(await each).batch for each in waiting]

    assert run(scenario, renderer, max_batch=2) == [2, 2, 2, 1, 2]
    assert renderer.batches == [["first"], ["a", "c"], ["b", "e"], ["d"]]


def test_what_someone_waits_for_goes_before_work_in_the_background(renderer: Renderer) -> None:
    async def scenario(queue: RenderQueue) -> None:
        waiting = [asyncio.ensure_future(queue.put(f"job{n}", key=n, priority=1)) for n in range(2)]
        waiting.append(asyncio.ensure_future(queue.put("feed", key=9)))
        await asyncio.sleep(0)
        renderer.released.set()
        await asyncio.gather(*waiting)

    run(scenario, renderer)
    assert renderer.batches == [["first"], ["feed"], ["job0"], ["job1"]]


def test_one_failing_item_fails_alone(renderer: Renderer) -> None:
    async def scenario(queue: RenderQueue) -> list[Any]:
        waiting = [asyncio.ensure_future(queue.put(name, key=1)) for name in ("one", "bad", "two")]
        await asyncio.sleep(0)
        renderer.released.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    one, bad, two = run(scenario, renderer)
    assert (one.outcome, two.outcome) == ("clip one", "clip two")
    assert isinstance(bad, RenderError)


def test_renderer_that_breaks_fails_its_batch_and_serves_the_next() -> None:
    def broken(items: list[str]) -> Iterator[str]:
        if items == ["poison"]:
            raise MemoryError("no room")
        yield from items

    async def scenario() -> Any:
        queue = RenderQueue(broken, max_batch=4)
        with pytest.raises(MemoryError):
            await queue.put("poison", key=1)
        return (await queue.put("fine", key=1)).outcome

    assert asyncio.run(scenario()) == "fine"
