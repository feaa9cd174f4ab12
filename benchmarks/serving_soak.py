"""Mixed load for half an hour: does any serving process grow, or leave files open or lying about?

    make soak-serving                              # 30 minutes
    make soak-serving ARGS="--minutes 5"

Serves a tiny shop on 127.0.0.1 whose clip cache is soon full, and sends feeds, recommendations, events, clips, streams
that are left half-way, uploads, jobs. After a warm-up of a fifth of the time and at the end: resident memory and open
file descriptors of every process (median of readings), and temporary files. Exit code 1 where the memory of all of them
together has grown by more than 5 %, that of one by more than 5 % and 20 MiB, or where descriptors have become more or
temporary files are left that came after the warm-up.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.runtime import export_environment
from cluster.settings import Settings
from serving.args import AppArgs
from serving.client import ClientError, ClipRequest, EventIn, ShopClient
from serving.run import serve_app
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import FPS, NAME, PRODUCTS, clip_frames
from tests.serving_processes import CONTROLLER, HAPROXY, HAPROXY_MANAGER, REPLICA, pids
from tests.waiting import free_port
from trainables.data.video import encode_mp4

TITLES = {name: REPLICA.format(name) for name in ("ingress", "recommender", "generator")}
TITLES |= {"haproxy": HAPROXY, "its manager": HAPROXY_MANAGER, "controller": CONTROLLER}
GROWTH, LEAST_MIB = 0.05, 20.0
DESCRIPTORS = 16
"""More than at the warm-up's end that are still no leak: idle connections and threads come and go."""
WARM_UP, LAST = 0.2, 0.2
"""Share of the time before the first figures, and share the last ones are taken over."""
LOOK_S = 5.0
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Processes:
    """Readings of every serving process by name."""

    def __init__(self) -> None:
        self.mib: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """Resident memory, MiB, by time."""
        self.descriptors: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def look(self, at_s: float) -> None:
        """Read them all; the uploads' decoders count for the ingress they belong to."""
        for name, title in TITLES.items():
            found = pids(title)
            self.mib[name].append((at_s, sum(_resident_mib(pid) for pid in found)))
            self.descriptors[name].append((at_s, sum(_descriptors(pid) for pid in found)))

    @staticmethod
    def between(readings: list[tuple[float, float]], begin_s: float, end_s: float) -> float:
        """Median of the readings in a stretch of time."""
        return statistics.median(value for at_s, value in readings if begin_s <= at_s <= end_s)


def _resident_mib(pid: int) -> float:
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MIB
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + sum(_resident_mib(int(child)) for child in children)


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Visitor:
    """One client, with all it may ask for."""

    def __init__(self, base_url: str, seed: int, counts: Counter[str]) -> None:
        self._shop, self._random, self._counts = ShopClient(base_url), random.Random(seed), counts
        self._uploads = [encode_mp4(clip_frames(number), FPS) for number in range(4)]

    def act(self) -> None:
        """One request of a random kind."""
        kinds: dict[str, tuple[int, Callable[[], object]]] = {
            "recommend": (6, lambda: self._shop.recommend(self._viewer(), 6)),
            "events": (4, self._event),
            "feed": (3, lambda: self._shop.feed(self._viewer(), 3)),
            "pending feed": (2, self._follow),
            "clip": (2, lambda: self._shop.clip(self._product(), self._style())),
            "poster": (1, lambda: self._shop.clip(self._product(), self._style(), poster=True)),
            "upload": (1, lambda: self._shop.restyle(self._random.choice(self._uploads), self._style())),
            "broken upload": (1, lambda: self._shop.restyle(os.urandom(5000), "neon")),
            "left stream": (1, self._leave_stream),
            "job": (1, self._job),
        }
        name = self._random.choices(list(kinds), [weight for weight, _ in kinds.values()])[0]
        try:
            kinds[name][1]()
        except ClientError as error:
            self._counts[f"{name}: {getattr(error, 'status', 'no answer')}"] += 1
        else:
            self._counts[name] += 1

    def _viewer(self) -> str:
        return f"soak-{self._random.randrange(5000)}"

    def _product(self) -> str:
        return self._random.choice(PRODUCTS)

    def _style(self) -> dict[str, float]:
        return {"neon": self._random.randrange(1, 500), "ink": self._random.randrange(1, 500)}

    def _event(self) -> None:
        self._shop.record(EventIn(viewer=self._viewer(), product_id=self._product(), event_type="like", style="sport"))

    def _follow(self) -> None:
        list(self._shop.follow(self._shop.feed(self._viewer(), 4, wait_s=0)))

    def _leave_stream(self) -> None:
        with self._shop.clip_stream(self._product(), self._style()) as stream:
            next(iter(stream))

    def _job(self) -> None:
        job = self._shop.start_job([ClipRequest(product_id=self._product(), style=self._style()) for _ in range(2)])
        self._shop.cancel_job(job.id) if self._random.random() < 0.3 else self._shop.wait_for_job(job.id)


def files_in(folder: Path) -> set[Path]:
    """Every file below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def soak(base_url: str, minutes: float, clients: int, scratch: Path) -> tuple[Processes, Counter[str], set[Path]]:
    """Load, and readings of the processes all the while; and the temporary files there are after the warm-up."""
    processes, counts, began = Processes(), Counter(), time.monotonic()
    stop, once = threading.Event(), files_in(scratch)

    def work(seed: int) -> None:
        visitor = Visitor(base_url, seed, counts)
        while not stop.is_set():
            visitor.act()

    with ThreadPoolExecutor(clients) as pool:
        working = [pool.submit(work, seed) for seed in range(clients)]
        while time.monotonic() - began < minutes * 60:
            processes.look(time.monotonic() - began)
            if time.monotonic() - began < WARM_UP * minutes * 60:
                once |= files_in(scratch)
            stop.wait(LOOK_S)
        stop.set()
        for future in working:
            future.result()
    return processes, counts, once


def report(processes: Processes, seconds: float) -> bool:
    """Print a line a process; whether all of them stayed within bounds."""
    fine, before_all, after_all = True, 0.0, 0.0
    for name in TITLES:
        spans = ((WARM_UP * seconds, (WARM_UP + LAST) * seconds), ((1 - LAST) * seconds, seconds))
        before, after = (processes.between(processes.mib[name], *span) for span in spans)
        open_before, open_after = (processes.between(processes.descriptors[name], *span) for span in spans)
        grown = after - before
        within = (grown <= max(LEAST_MIB, GROWTH * before)) and open_after <= open_before + DESCRIPTORS
        fine &= within
        before_all, after_all = before_all + before, after_all + after
        print(
            f"{name:12} {before:7.0f} → {after:7.0f} MiB ({grown / before:+.1%})   "
            f"descriptors {open_before:.0f} → {open_after:.0f}{'' if within else '   GROWS'}"
        )
    growth = (after_all - before_all) / before_all
    print(f"{'together':12} {before_all:7.0f} → {after_all:7.0f} MiB ({growth:+.1%}; wanted within ± {GROWTH:.0%})")
    return fine and abs(growth) <= GROWTH


def main() -> int:
    """Print the figures; 1 where something grows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=6)
    options = parser.parse_args()
    export_environment()
    with tempfile.TemporaryDirectory(prefix="shopreel-soak") as folder:
        home, scratch = Path(folder) / "home", Path(folder) / "tmp"
        scratch.mkdir()
        os.environ["RAY_TMPDIR"] = tempfile.gettempdir()  # Ray's own session is not what is counted
        os.environ["TMPDIR"] = str(scratch)  # of every process that Ray starts
        settings = Settings.load({"SHOPREEL_HOME": str(home)})
        make_shop(settings)
        bounds = {"cache_memory_bytes": 2**20, "cache_storage_bytes": 2**22, "seed_events_per_viewer": 200}
        replicas = {"min_replicas": 1, "max_replicas": 1}
        args = AppArgs.for_settings(settings, NAME, generator_replicas=replicas, **bounds)
        with serve_app(args.model_dump(), port=free_port()) as base_url:
            processes, counts, once = soak(base_url, options.minutes, options.clients, scratch)
        left = sorted(files_in(scratch) - once)
        drafts = [path for path in home.rglob("*") if path.is_file() and (".tmp" in path.name or ".part" in path.name)]
        print(f"{options.minutes:g} minutes, {counts.total()} requests by {options.clients} clients: " + ", ".join(
            f"{name} {number}" for name, number in counts.most_common()
        ))  # fmt: skip
        fine = report(processes, options.minutes * 60)
        print(f"temporary files left: {len(left)}, unfinished files in the storage: {len(drafts)}")
        print(*left[:10], *drafts[:10], sep="\n")
    return 0 if fine and not left and not drafts else 1


if __name__ == "__main__":
    sys.exit(main())
