"""Size and speed: retrieval and slates at 10⁵ products, item-item training on 10⁶ events, 10⁷ events as a stream.

Every figure is printed beside its bound; `load` is how many other processes wanted the processor (1-minute average
before the part began, over the cores): above 1 the times say as much about the neighbours as about the product.
Slates are made end to end without HTTP: fold the history, score all products, 300 candidates, exact reasons of the
slate, re-rank with variety and caps, choose the look.

    OMP_NUM_THREADS=1 python -m benchmarks.recommender_scale [retrieval] [slates] [training] [stream]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.runtime import ray_session
from cluster.settings import Settings
from trainables.data.schemas import EVENT_TYPES, conform
from trainables.data.style_code import CODE_DIM
from trainables.recommender.ease import EaseConfig
from trainables.recommender.features.event_stream import count_events
from trainables.recommender.history import HistoryEvent
from trainables.recommender.looks.thompson import BanditConfig, LookBandit
from trainables.recommender.recommender import Recommender
from trainables.recommender.reranking.rerank import Candidates, RerankConfig, rerank
from trainables.recommender.reranking.rules import Rules
from trainables.recommender.retrieval.index import ProductIndex
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.taste import DEFAULT_PRESET
from trainables.recommender.train import TrainingData, bare_products, train

PRODUCTS = 100_000
DIMS = 64
POOL, K, PAST = 300, 20, 50
DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000
STYLES = ("vintage", "sport", "neon", "minimal", "warm_film", "ink")


def load() -> str:
    return f"load {os.getloadavg()[0] / (os.cpu_count() or 1):.1f}"


def report(what: str, run: Callable[[int], object], times: int, quantile: int, bound: float) -> None:
    """Time `run` after ten to warm up: on the clock, and of the processor alone (which waiting does not count)."""
    for i in range(10):
        run(i)
    before, spent = load(), []
    for i in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        run(i)
        spent.append(((time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000))
    (p50, processor_50), (p99, processor_99) = np.percentile(spent, [50, 99], axis=0)
    verdict = "within" if np.percentile(spent, quantile, axis=0)[0] <= bound else "OVER"
    print(
        f"{what:40} p50 {p50:7.2f} ms  p99 {p99:7.2f} ms   p{quantile} ≤ {bound:g} ms: {verdict}   "
        f"processor p50 {processor_50:6.2f} ms  p99 {processor_99:6.2f} ms   {before}"
    )


def retrieval() -> None:
    """The 300 nearest of 10⁵ products, 64 numbers each, one thread: exact, and by inverted lists as past 10⁵."""
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(500, DIMS))
    products = (centres[rng.integers(500, size=PRODUCTS)] + 0.7 * rng.normal(size=(PRODUCTS, DIMS))).astype(np.float32)
    viewers = products[rng.integers(PRODUCTS, size=64)] + 0.5 * rng.normal(size=(64, DIMS)).astype(np.float32)
    exact, lists = ProductIndex(products), ProductIndex(products, exact_limit=0)
    report("retrieval, exact", lambda i: exact.nearest(viewers[i % 64], POOL), 300, 50, 5)
    report("retrieval, faiss IVF", lambda i: lists.nearest(viewers[i % 64], POOL), 300, 50, 5)
    found = [np.isin(lists.nearest(v, POOL), exact.nearest(v, POOL)).sum() / POOL for v in viewers]
    print(f"faiss IVF finds {np.mean(found):.1%} of the exact {POOL}")


def synthetic(events: int, products: int, viewers: int, seed: int = 0) -> pa.Table:
    """Watches in which products of one of 50 kinds and popular ones are favoured."""
    rng = np.random.default_rng(seed)
    viewer = rng.integers(viewers, size=events)
    rank = (products * rng.random(events) ** 2).astype(np.int64)
    own_kind = rng.random(events) < 0.7
    product = np.where(own_kind, rank // 50 * 50 + viewer % 50, rank) % products
    table = {
        "event_id": pa.array([f"e{i}" for i in range(events)]),
        "viewer_id": pa.array([f"v{i:06d}" for i in range(viewers)]).take(pa.array(viewer)),
        "product_id": pa.array([f"p{i:06d}" for i in range(products)]).take(pa.array(product)),
        "event_type": pa.array(["watch"] * events),
        "at": pa.array(NOW_MS - rng.integers(30 * DAY_MS, size=events), pa.timestamp("ms", tz="UTC")),
        "watch_seconds": pa.array((8 * rng.random(events)).astype(np.float32)),
        "duration_seconds": pa.array(np.full(events, 8, np.float32)),
    }
    return conform(pa.table(table), "events", "synthetic")


def trained(events: int, products: int, in_matrix: int, viewers: int) -> tuple[Recommender, float, float]:
    """A model of so many events and products, and the seconds its training took: on the clock, of the processor."""
    log = synthetic(events, in_matrix, viewers)
    catalogue = bare_products([f"p{i:06d}" for i in range(products)])
    rng = np.random.default_rng(1)
    codes = {f"p{i:06d}": rng.normal(size=CODE_DIM).astype(np.float32) for i in range(products)}
    config = RecommenderTrainConfig(ease=EaseConfig(max_products=in_matrix))
    started, processor = time.perf_counter(), time.process_time()
    model = train(config, TrainingData(log, catalogue, codes), {DEFAULT_PRESET: np.zeros(CODE_DIM)}, until_ms=NOW_MS)
    return Recommender(model), time.perf_counter() - started, time.process_time() - processor


def training() -> None:
    for products in (2_000, 5_000, 10_000):
        before = load()
        _, seconds, processor = trained(1_000_000, products, products, 50_000)
        verdict = "within" if seconds < 60 else "OVER"
        print(
            f"item-item training, 10⁶ events, {products:6,} products {seconds:8.1f} s   < 60 s: {verdict}   "
            f"processor {processor:5.1f} s   {before}"
        )


def slates() -> None:
    """Slates of 20 at 10⁵ products, 5000 of them in the item-item matrix, for viewers with 50 past products."""
    recommender, _, _ = trained(300_000, PRODUCTS, 5_000, 20_000)
    model = recommender.model
    rng = np.random.default_rng(2)
    histories = [
        [
            HistoryEvent(f"p{product:06d}", "watch", NOW_MS - DAY_MS * (j + 1), 8.0, 8.0)
            for j, product in enumerate(rng.choice(5_000, PAST, replace=False))
        ]
        for _ in range(32)
    ]
    bandit = LookBandit(STYLES, BanditConfig())
    config = RerankConfig(most_of_category=10, most_of_creator=2)
    creators = [f"c{i % 997}" for i in range(PRODUCTS)]

    def slate(i: int) -> object:
        history = histories[i % 32]
        retrieved = recommender.retrieve(history, POOL, NOW_MS)
        rows = [model.row_of[candidate.product_id] for candidate in retrieved]
        pool = Candidates(
            product_ids=[candidate.product_id for candidate in retrieved],
            scores=np.array([candidate.score for candidate in retrieved]),
            features_CD=model.content_nD[rows],
            categories=[model.categories[row] for row in rows],
            creators=[creators[row] for row in rows],
        )
        chosen = rerank(pool, K, rules=Rules(), config=config, now_ms=NOW_MS)
        past = recommender.fold(history, NOW_MS)
        shares = model.shares(past.rows, past.weights, np.array([rows[place.candidate] for place in chosen.places]))
        look = recommender.look(history, NOW_MS)
        return chosen, shares, bandit.choose(bandit.context(look.weights), rng)

    report(f"slate of {K} end to end, 10⁵ products", slate, 300, 99, 50)


def make_events(batch: dict[str, np.ndarray]) -> pa.Table:
    """Random events for the row numbers of a batch; a worker's part of the stream."""
    ids = batch["id"]
    rng = np.random.default_rng(int(ids[0]))
    n = len(ids)
    return pa.table(
        {
            "product_id": pa.array([f"p{i:06d}" for i in range(10_000)]).take(pa.array(rng.integers(10_000, size=n))),
            "event_type": pa.array(EVENT_TYPES).take(pa.array(rng.integers(len(EVENT_TYPES), size=n))),
            "at": pa.array(NOW_MS - rng.integers(DAY_MS, size=n), pa.timestamp("ms", tz="UTC")),
            "watch_seconds": pa.array((60 * rng.random(n)).astype(np.float32)),
        }
    )


class MemoryWatch(threading.Thread):
    """Peak memory of this process and all that descend from it, shared pages counted once (PSS)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes, self.own_peak_bytes, self._ended = 0, 0, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.5):
            own = memory(os.getpid())
            self.own_peak_bytes = max(self.own_peak_bytes, own)
            self.peak_bytes = max(self.peak_bytes, own + sum(memory(pid) for pid in descendants(os.getpid())))

    def end(self) -> None:
        self._ended.set()
        self.join()


def memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it ended meanwhile
        return 0
    return 0


def descendants(root: int) -> list[int]:
    parent = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent[int(entry.name)] = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it ended meanwhile
                continue
    found, waiting = [], [root]
    while waiting:
        children = [pid for pid, above in parent.items() if above == waiting[-1]]
        waiting.pop()
        found += children
        waiting += children
    return found


def stream() -> None:
    """The same pipeline over 10⁶ and 10⁷ events: memory must not grow with the log."""
    import ray.data

    ids = [f"p{i:06d}" for i in range(10_000)]
    with tempfile.TemporaryDirectory() as home, ray_session(Settings.load({"SHOPREEL_HOME": home}), num_cpus=2):
        for events in (1_000_000, 10_000_000):
            before, watch = load(), MemoryWatch()
            watch.start()
            started = time.perf_counter()
            source = ray.data.range(events, override_num_blocks=events // 250_000)
            counts = count_events(source.map_batches(make_events, batch_size=None), ids)
            seconds = time.perf_counter() - started
            watch.end()
            if counts.total != events or counts.unknown:
                raise AssertionError(f"{counts.total} of {events} events were counted")
            print(
                f"stream of {events:10,} events: {seconds:6.1f} s, {events / seconds:10,.0f} events/s, peak memory "
                f"{watch.peak_bytes / 1e9:.2f} GB in all, {watch.own_peak_bytes / 1e9:.2f} GB of the driver   {before}"
            )


PARTS = {"retrieval": retrieval, "slates": slates, "training": training, "stream": stream}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    for name in parser.parse_args().parts:
        PARTS[name]()


if __name__ == "__main__":
    main()
