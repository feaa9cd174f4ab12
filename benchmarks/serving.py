"""The product beside LitServe, BentoML, mosec, plain FastAPI and bare Ray Serve: the same render, the same request, two
rendering processes of one thread each, on one machine that also runs the load.

A request asks for 8 frames of 128 × 128 of a product, in a preset, at a strength; no two ask for the same, so nothing
is cached. The product checks, restyles, gates, encodes, stores and logs it, a peer restyles, gates and encodes. Rounds
alternate; one in which other programs used more than 0.15 cores does not count. Also: what is asked a second time (the
product's cache), a JSON route of about a millisecond against bare Ray Serve, cold start to the first 200, and resident
memory. Ray Serve "with flags" has RAY_SERVE_THROUGHPUT_OPTIMIZED=1 and RAY_SERVE_ENABLE_HA_PROXY=1.

LitServe, BentoML and mosec are wanted here alone; give them an environment that sees this one:

    python -m venv peers
    ls -d $PWD/.venv/lib/python3.*/site-packages > $(ls -d peers/lib/python3.*/site-packages)/base.pth
    peers/bin/pip install litserve==0.2.19 bentoml==1.4.38 mosec==0.9.8
    python -m benchmarks.serving --peers peers [--rounds 4] [--seconds 8] [--only shopreel,FastAPI]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.process_tree import (
    SETTLED,
    answered,
    cores_used,
    cpu_seconds,
    machine_cpu_seconds,
    resident_mib,
    running,
    tree,
    wait_until,
)  # fmt: skip
from benchmarks.serving_load import Load, load
from benchmarks.serving_peers.rendering import FPS, FRAMES, SIDE
from trainables.generator.restyle.presets import PRESETS

OURS, BARE, FLAGGED = "shopreel", "Ray Serve", "Ray Serve with flags"
PORT = 18_400
CONNECTIONS = (1, 8, 32)
OVERLOAD = 150
MOST_OF_OTHERS = 0.15
FLAGS = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"}
DATA = "bench"
STYLES = tuple(sorted(PRESETS))
STRENGTHS = 5_000
"""Of .5 … 1: nearly the whole look."""


@dataclass(frozen=True)
class Contender:
    """How a server is started."""

    command: Callable[[int], list[str]]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """What one server did in one round."""

    loads: dict[str, Load]
    others: float
    """Cores that other programs used."""
    cold_start: float
    """Seconds to the first render."""
    resident: float
    """MiB, proportional."""


def contenders(site: Site, peers: Path | None) -> dict[str, Contender]:
    python, package = sys.executable, "benchmarks.serving_peers"
    root = {"PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    shopreel = str(Path(python).with_name("shopreel"))
    settings = ["generator_replicas.min_replicas=2", "generator_replicas.max_replicas=2"]
    settings += ["generator_replicas.backends=[]"]  # this is about serving: the peers run the network eagerly
    flags = [*site.models, *(part for setting in settings for part in ("--set", setting))]
    found = {
        OURS: Contender(
            lambda port: [shopreel, "serve", "--data", DATA, "--port", str(port), *flags],
            {"SHOPREEL_HOME": site.home, "PYTHONPATH": root["PYTHONPATH"]},
        ),
        BARE: Contender(lambda port: [python, "-m", f"{package}.with_ray_serve", str(port)], root),
        FLAGGED: Contender(lambda port: [python, "-m", f"{package}.with_ray_serve", str(port)], root | FLAGS),
        "FastAPI": Contender(lambda port: [python, "-m", f"{package}.with_fastapi", str(port)], root),
    }
    if peers is None:
        return found
    bins = peers.resolve() / "bin"
    other = str(bins / "python")
    return found | {
        "LitServe": Contender(lambda port: [other, "-m", f"{package}.with_litserve", str(port)], root),
        "BentoML": Contender(
            lambda port: [
                str(bins / "bentoml"), "serve", f"{package}.with_bentoml:Clips", "--host", "127.0.0.1", "--port",
                str(port),
            ],
            root | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": f"{site.home}/bentoml"},
        ),
        "mosec": Contender(
            lambda port: [
                other, "-m", f"{package}.with_mosec", "--address", "127.0.0.1", "--port", str(port), "--timeout",
                "120000",
            ],
            root,
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Site:
    """What the product serves."""

    home: str
    products: list[str]
    models: list[str]
    """Flags that name the versions."""


def prepare(home: str) -> Site:
    """A shop of the sample's clips at the size asked for, with the starter generator and a recommender."""
    from cluster.pseudonym import Pseudonymiser
    from cluster.runtime import ray_session
    from cluster.settings import Settings
    from cluster.storage import Storage
    from trainables.data.importers.sample import import_sample
    from trainables.data.sample import shop
    from trainables.data.video import DecodeOptions
    from trainables.generator.starter.registration import register_starter
    from trainables.recommender.job import run_training
    from trainables.recommender.settings import RecommenderTrainConfig

    settings = Settings.load({"SHOPREEL_HOME": home})
    options = DecodeOptions(num_frames=FRAMES, size=SIDE, fps=FPS, span="whole", max_dead_seconds=0)
    with ray_session(settings):
        import_sample(Storage(home), DATA, Pseudonymiser.load(settings), options=options)
    trained = run_training(settings, DATA, None, RecommenderTrainConfig(), use_ray=False)
    generator = register_starter(settings, "restyle")
    models = ["--recommender", trained.version.reference, "--generator", generator.reference]
    return Site(home, [product["product_id"] for product in shop.products()[:4]], models)


def measure(
    name: str,
    contender: Contender,
    port: int,
    products: list[str],
    seconds: float,
    log: Path,
    numbers: itertools.count,
) -> Round:
    """Start the server, put every load on it, end it. `numbers` of requests go on from round to round."""

    def fresh(number: int) -> dict[str, Any]:
        # Ids of clips tell strengths apart by four digits; every request has its own product, strength and preset.
        number, product = divmod(number, len(products))
        number, strength = divmod(number, STRENGTHS)
        return {"product_id": products[product], "style": STYLES[number], "strength": 1 - (1 + strength) / 10_000}

    def known(number: int) -> dict[str, Any]:
        return {"product_id": products[number % len(products)], "style": "neon", "strength": 1.0}

    def viewer(number: int) -> dict[str, Any]:
        return {"viewer": f"viewer-{number % 100}", "k": 8}

    url = f"http://127.0.0.1:{port}"
    with running(contender.command(port), contender.environment, log) as pid:
        cold = wait_until(lambda: answered(f"{url}/v1/clips", known(0)), pid, log)
        for number in range(8):
            answered(f"{url}/v1/clips", known(number))
        wait_until(lambda: cores_used(pid) < SETTLED, pid, log)
        own, machine, began = cpu_seconds(tree(pid) | {os.getpid()}), machine_cpu_seconds(), time.perf_counter()
        loads = {
            str(count): asyncio.run(load(f"{url}/v1/clips", fresh, count, seconds, numbers))
            for count in (*CONNECTIONS, OVERLOAD)
        }
        if name == OURS:
            loads["cached"] = asyncio.run(load(f"{url}/v1/clips", known, 8, seconds, numbers))
        if name in (OURS, BARE, FLAGGED):
            for count in (8, 32):
                loads[f"JSON {count}"] = asyncio.run(load(f"{url}/v1/recommend", viewer, count, seconds, numbers))
        members = tree(pid)
        own = cpu_seconds(members | {os.getpid()}) - own
        others = (machine_cpu_seconds() - machine - own) / (time.perf_counter() - began)
        return Round(loads, others, cold, resident_mib(members))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="Environment with LitServe, BentoML and mosec.")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", help="Names, separated by commas.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        site = prepare(home)
        chosen = contenders(site, arguments.peers)
        if arguments.only:
            chosen = {name: chosen[name] for name in arguments.only.split(",")}
        rounds: dict[str, list[Round]] = {name: [] for name in chosen}
        ports = itertools.count(PORT)
        numbers = {name: itertools.count() for name in chosen}
        for number in range(arguments.rounds):
            for name, contender in chosen.items():
                log = Path(home) / f"{name.replace(' ', '-')}.log"
                done = measure(name, contender, next(ports), site.products, arguments.seconds, log, numbers[name])
                rounds[name].append(done)
                rates = "  ".join(f"{kind}: {one.rate:.1f}/s" for kind, one in done.loads.items())
                print(f"round {number + 1}  {name:21} others {done.others:.2f} cores  {rates}", flush=True)
    report(rounds)


def report(rounds: dict[str, list[Round]]) -> None:
    """Medians over the rounds that count, and the ratios that are claimed."""
    counted = {name: [r for r in done if r.others <= MOST_OF_OTHERS] or done for name, done in rounds.items()}

    def rate(name: str, kind: str) -> float:
        return statistics.median(r.loads[kind].rate for r in counted[name])

    kinds = [*map(str, CONNECTIONS), str(OVERLOAD)]
    print(f"\n{'':21} {'rounds':>6} " + " ".join(f"{kind:>8}" for kind in kinds) + "  p99 at 32  cold start  resident")
    for name, done in counted.items():
        busy = "" if all(r.others <= MOST_OF_OTHERS for r in done) else "  (a busy machine: no round counts)"
        late = statistics.median(r.loads["32"].quantile(0.99) for r in done)
        cold, resident = (statistics.median(getattr(r, what) for r in done) for what in ("cold_start", "resident"))
        rates = " ".join(f"{rate(name, kind):8.2f}" for kind in kinds)
        print(f"{name:21} {len(done):6} {rates} {late:8.2f} s {cold:9.1f} s {resident:6.0f} MiB{busy}")
    peers = [name for name in counted if name != OURS]
    if OURS not in counted:
        return
    if peers:
        for kind in ("8", "32"):
            best = max(peers, key=lambda name, kind=kind: rate(name, kind))
            print(f"at {kind}: {rate(OURS, kind) / rate(best, kind):.2f} of the best peer ({best})")
    statuses: dict[int, int] = {}
    for done in counted[OURS]:
        for status, count in done.loads[str(OVERLOAD)].statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    late = max(r.loads[str(OVERLOAD)].quantile(0.99) for r in counted[OURS])
    kept = rate(OURS, str(OVERLOAD)) / rate(OURS, "32")
    print(f"overload of {OVERLOAD}: {kept:.2f} of the rate at 32, {statuses}, p99 of those admitted {late:.2f} s")
    first = statistics.median(r.loads["cached"].quantile(0.5) for r in counted[OURS])
    print(
        f"cached: {rate(OURS, 'cached') / rate(OURS, '8'):.1f} × uncached at 8, whole answer after {first * 1e3:.0f} ms"
    )
    for name in (BARE, FLAGGED):
        if name in counted:
            for kind in ("JSON 8", "JSON 32"):
                print(
                    f"{kind}: {rate(OURS, kind):.0f}/s, {rate(OURS, kind) / rate(name, kind):.2f} of {name} "
                    f"({rate(name, kind):.0f}/s)"
                )


if __name__ == "__main__":
    main()
