"""Many requests while replicas are killed: what share is answered, is any clip wrong, is any acknowledged event lost?

    python -m benchmarks.serving_chaos --requests 10000
    python -m benchmarks.serving_chaos --requests 2000 --kill-every 5 --tries 5

A tiny shop is served on 127.0.0.1 with two replicas of each deployment. Clients send recommendations, feeds, events and
clips; every now and then a random replica gets `kill -9` while another of its deployment runs. Of every clip is checked
what it says of itself (product, look, version) against what was asked, and that no id ever has other bytes; events are
counted by id in the store afterwards. With `--tries` above 1 the client asks again as a shop's would. Exit code 1 where
less than 99.9 % are answered with success or 429, a clip is wrong or an acknowledged event is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cluster.runtime import export_environment
from cluster.settings import Settings
from serving.args import AppArgs
from serving.client import ClientError, EventIn, ProblemError, RetryConfig, ShopClient
from serving.run import serve_app
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME, PRODUCTS
from tests.serving_processes import REPLICA, pids
from tests.waiting import free_port
from trainables.generator.provenance import read_provenance

WANTED = 0.999
DEPLOYMENTS = ("ingress", "recommender", "generator")
PRESETS = ("neon", "ink", "sport", "vintage", "minimal", "warm_film")
VIEWERS = 200
TIMEOUT_S = 60.0


@dataclass
class Report:
    """What came back; shared by the clients' threads."""

    statuses: Counter[int] = field(default_factory=Counter)
    """0 where there was no answer."""
    routes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    bytes_of: dict[str, str] = field(default_factory=dict)
    """SHA-256 by clip id."""
    clips: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def share(self) -> float:
        """Of requests, those answered with success or 429."""
        return (self.statuses[200] + self.statuses[429]) / max(1, self.statuses.total())


class Viewer:
    """One client: sends requests and looks at what comes back."""

    def __init__(self, base_url: str, tries: int, seed: int, report: Report) -> None:
        self._shop = ShopClient(base_url, timeout_s=TIMEOUT_S, retry=RetryConfig(tries=tries))
        self._random, self._seed, self._report = random.Random(seed), seed, report
        self._count = 0

    def act(self) -> None:
        """One request of a random kind; a feed is followed by one of its clips."""
        self._count += 1
        viewer = f"viewer-{self._random.randrange(VIEWERS)}"
        kind = self._random.choices(("recommend", "events", "feed", "clips"), (4, 3, 2, 1))[0]
        if kind == "recommend":
            self._ask(kind, lambda: self._shop.recommend(viewer, 6))
        elif kind == "events":
            self._event(viewer)
        elif kind == "feed":
            self._feed(viewer)
        else:
            self._clip()

    def _event(self, viewer: str) -> None:
        event_id = f"{self._seed}-{self._count}"
        style = self._random.choice(PRESETS)
        product = self._random.choice(PRODUCTS)
        said = EventIn(viewer=viewer, product_id=product, event_type="like", event_id=event_id, style=style)
        if self._ask("events", lambda: self._shop.record(said)) is not None:
            with self._report.lock:
                self._report.acknowledged.add(event_id)

    def _feed(self, viewer: str) -> None:
        feed = self._ask("feed", lambda: self._shop.feed(viewer, 3))
        if feed is None:
            return
        shown = [item for item in feed.items if item.clip.status == "ready"]
        if shown:
            item = self._random.choice(shown)
            data = self._ask("download", lambda: self._shop.download(item.clip.url))
            if data is not None:
                self._check(data, item.clip.id, item.product.id, feed.look.text, feed.models.generator)

    def _clip(self) -> None:
        product, (first, second) = self._random.choice(PRODUCTS), self._random.sample(PRESETS, 2)
        share = self._random.randrange(1, 100)
        clip = self._ask("clips", lambda: self._shop.clip(product, {first: share, second: 100 - share}))
        if clip is not None and not clip.refused:
            look = f"{first} {share / 100:.0%} · {second} {1 - share / 100:.0%}"
            self._check(clip.data, clip.clip_id, product, look, clip.model_version)

    def _check(self, data: bytes, clip_id: str, product: str, look: str, model: str) -> None:
        """The clip is what was asked for, and always the same under its id."""
        said = read_provenance(data)
        digest = hashlib.sha256(data).hexdigest()
        with self._report.lock:
            self._report.clips += 1
            if said is None or (said.product, _parts(said.look), said.model) != (product, _parts(look), model):
                self._report.wrong.append(f"{product} in {look} by {model}: {said}")
            if self._report.bytes_of.setdefault(clip_id, digest) != digest:
                self._report.wrong.append(f"clip {clip_id} has other bytes than before")

    def _ask(self, route: str, call: Callable[[], Any]) -> Any:
        answer, status, fault = None, 200, ""
        try:
            answer = call()
        except ProblemError as problem:
            status, fault = problem.status, f"{route}: {problem.status} {problem.detail[:90]}"
        except ClientError as error:
            status, fault = 0, f"{route}: {str(error).partition('(')[2][:60]}"
        with self._report.lock:
            self._report.statuses[status] += 1
            self._report.routes[route] += 1
            if fault:
                self._report.faults[fault] += 1
        return answer


def _parts(look: str | None) -> frozenset[str]:
    return frozenset((look or "").split(" · "))


def kill_now_and_then(report: Report, every_s: float, seed: int, stop: threading.Event) -> None:
    """`kill -9` to a random replica of a deployment of which another runs, until told to stop."""
    chance = random.Random(seed)
    while not stop.wait(chance.uniform(0.5, 1.5) * every_s):
        name = chance.choice(DEPLOYMENTS)
        running = sorted(pids(REPLICA.format(name)))
        if len(running) > 1:
            os.kill(chance.choice(running), signal.SIGKILL)
            report.kills[name] += 1


def storm(base_url: str, options: argparse.Namespace) -> Report:
    """Send the requests, bounded in number and time."""
    report, stop, ends = Report(), threading.Event(), time.monotonic() + options.minutes * 60

    def work(number: int) -> None:
        viewer = Viewer(base_url, options.tries, options.seed * 1000 + number, report)
        while report.statuses.total() < options.requests and time.monotonic() < ends:
            viewer.act()

    killer = threading.Thread(target=kill_now_and_then, args=(report, options.kill_every, options.seed, stop))
    killer.start()
    try:
        with ThreadPoolExecutor(options.clients) as pool:
            for future in [pool.submit(work, number) for number in range(options.clients)]:
                future.result()
    finally:
        stop.set()
        killer.join()
    return report


def main() -> int:
    """Print what came back; 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kill-every", type=float, default=15.0, help="mean seconds between two kills")
    parser.add_argument("--tries", type=int, default=1, help="1 never asks again; serving.client's own default is 5")
    parser.add_argument("--minutes", type=float, default=20.0, help="ends by then, whatever was sent")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    export_environment()
    with tempfile.TemporaryDirectory(prefix="shopreel-chaos") as home:
        settings = Settings.load({"SHOPREEL_HOME": home})
        make_shop(settings)
        args = AppArgs.for_settings(
            settings,
            NAME,
            ingress_replicas=2,
            recommender_replicas=2,
            generator_replicas={"min_replicas": 2, "max_replicas": 2, "num_cpus": 0.5},
        )
        with serve_app(args.model_dump(), port=free_port()) as base_url:
            began = time.monotonic()
            report = storm(base_url, options)
            took = time.monotonic() - began
        with sqlite3.connect(settings.event_store_url.removeprefix("sqlite:///")) as connection:
            stored = {row[0] for row in connection.execute("SELECT event_id FROM events")}
    lost = report.acknowledged - stored
    sent = report.statuses.total()
    print(f"{sent} requests by {options.clients} clients in {took:.0f} s ({sent / took:.0f}/s), tries {options.tries}")
    print("by route: " + ", ".join(f"{route} {number}" for route, number in report.routes.most_common()))
    print(f"{report.kills.total()} kills: " + ", ".join(f"{name} {n}" for name, n in sorted(report.kills.items())))
    statuses = ", ".join(f"{status or 'no answer'}: {number}" for status, number in sorted(report.statuses.items()))
    print(f"success or 429: {report.share:.2%} (wanted {WANTED:.1%}); {statuses}")
    print(f"clips checked {report.clips}, wrong {len(report.wrong)}")
    print(f"events acknowledged {len(report.acknowledged)}, of these not in the store {len(lost)}")
    print(*(f"  {number} × {fault}" for fault, number in report.faults.most_common(12)), sep="\n")
    print(*report.wrong[:5], sep="\n")
    return 1 if report.share < WANTED or report.wrong or lost else 0


if __name__ == "__main__":
    sys.exit(main())
