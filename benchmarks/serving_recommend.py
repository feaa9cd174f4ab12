"""`POST /v1/recommend` in a shop of 10⁵ products, and what the ingress costs beside a bare FastAPI route.

100,000 products with a clip each, 300,000 events of 20,000 viewers, 5,000 products in the item-item matrix; every
viewer asked for has about 15 past products, a slate has 20. The whole chain answers: HAProxy, checks, history from the
event store, scores of all products, variety, exact reasons, look; with the recommender as a deployment and inside two
ingress replicas. `GET /healthz` goes through the same door and does nothing; the bare route is FastAPI under uvicorn,
one process, and answers the same.

    python -m benchmarks.serving_recommend [--products 100000] [--seconds 15]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.process_tree import SETTLED, answered, cores_used, running, wait_until
from benchmarks.recommender_scale import synthetic
from benchmarks.serving_load import Load, load

NAME, PORT = "large", 18_700
VIEWERS, EVENTS, IN_MATRIX, K = 20_000, 300_000, 5_000, 20
CONNECTIONS = (1, 8, 32)
LAYOUTS = {
    "a recommender, an ingress": (),
    "two ingresses that recommend": ("--set", "recommender_replicas=0", "--set", "ingress_replicas=2"),
}
SIDE, FRAMES = 16, 2
PRODUCTS_A_PART = 10_000
BOUND_MS = 50
BARE = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        flags = prepare(home, arguments.products)
        numbers = itertools.count()
        doors = {name: serve(home, name, [*flags, *more], arguments.seconds, numbers) for name, more in LAYOUTS.items()}
        with running([sys.executable, "-c", BARE, str(PORT + 1)], {}, Path(home) / "bare.log") as pid:
            url = f"http://127.0.0.1:{PORT + 1}"
            wait_until(lambda: answered(f"{url}/healthz"), pid, Path(home) / "bare.log")
            bare = asyncio.run(load(f"{url}/healthz", None, 8, arguments.seconds, numbers))
        say("bare FastAPI, 8 connections", bare)
        for name, door in doors.items():
            say("/healthz, 8 connections", door, f"{door.rate / bare.rate:.2f} of bare FastAPI; {name}")


def serve(home: str, layout: str, flags: list[str], seconds: float, numbers: Iterator[int]) -> Load:
    """Measure one layout; returns what `GET /healthz` came to."""
    shopreel, log = str(Path(sys.executable).with_name("shopreel")), Path(home) / "serve.log"
    served = [shopreel, "serve", "--data", NAME, "--port", str(PORT), *flags]
    with running(served, {"SHOPREEL_HOME": home}, log) as pid:
        url = f"http://127.0.0.1:{PORT}"
        cold = wait_until(lambda: answered(f"{url}/readyz"), pid, log, 600)
        print(f"{layout}: ready after {cold:.0f} s")
        wait_until(lambda: cores_used(pid) < SETTLED, pid, log, 600)
        asyncio.run(load(f"{url}/v1/recommend", viewer, 8, 5, numbers))
        for count in CONNECTIONS:
            done = asyncio.run(load(f"{url}/v1/recommend", viewer, count, seconds, numbers))
            verdict = f"p99 ≤ {BOUND_MS} ms: {'within' if done.quantile(0.99) * 1e3 <= BOUND_MS else 'OVER'}"
            say(f"/v1/recommend, {count} connections", done, verdict if count == 8 else "")
        return asyncio.run(load(f"{url}/healthz", None, 8, seconds, numbers))


def viewer(number: int) -> dict[str, Any]:
    return {"viewer": f"v{number % 1000:06d}", "k": K}


def say(what: str, done: Load, more: str = "") -> None:
    p50, p99 = (1000 * done.quantile(share) for share in (0.5, 0.99))
    print(f"{what:32} {done.rate:7.1f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  {done.statuses}  {more}", flush=True)


def prepare(home: str, products: int) -> list[str]:
    """A dataset and models below `home`; flags that name the versions."""
    from cluster.pseudonym import Pseudonymiser
    from cluster.settings import Settings
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.data.schemas import CLIPS
    from trainables.data.style_code import CODE_DIM
    from trainables.generator.starter.registration import register_starter
    from trainables.recommender.ease import EaseConfig
    from trainables.recommender.job import run_training
    from trainables.recommender.learn_config import LearnConfig
    from trainables.recommender.ranking.config import RankerConfig
    from trainables.recommender.settings import RecommenderTrainConfig

    settings = Settings.load({"SHOPREEL_HOME": home})
    dataset = Dataset.create(Storage(settings.storage_root), NAME)
    rng = np.random.default_rng(0)
    pixels = np.full((FRAMES, SIDE, SIDE, 3), 128, np.uint8).tobytes()
    for first in range(0, products, PRODUCTS_A_PART):
        ids = [f"p{i:06d}" for i in range(first, min(first + PRODUCTS_A_PART, products))]
        rows = [
            {"product_id": i, "title": f"Product {i}", "category": f"kind {int(i[1:]) % 50}", "creator": f"c{i[-3:]}"}
            for i in ids
        ]
        codes = rng.normal(size=(len(ids), CODE_DIM)).astype(np.float32)
        clips = {
            "clip_id": [f"clip-{i}" for i in ids],
            "product_id": ids,
            **{name: [value] * len(ids) for name, value in (("num_frames", FRAMES), ("height", SIDE), ("width", SIDE))},
            "fps": [12.0] * len(ids),
            "frames": [pixels] * len(ids),
            "style_code": list(codes),
            "source": [f"{i}.mp4" for i in ids],
            "source_sha256": [f"{i:>064}" for i in ids],
        }
        dataset.append("products", pa.Table.from_pylist(rows), f"part {first}")
        types = {field.name: field.type for field in CLIPS}
        table = pa.table({name: pa.array(values, types[name]) for name, values in clips.items()})
        dataset.append("clips", table, f"part {first}")
    pseudonymiser = Pseudonymiser.load(settings)
    events = synthetic(EVENTS, min(IN_MATRIX, products), VIEWERS)
    raw = events["viewer_id"].combine_chunks().dictionary_encode()
    known = pa.array([pseudonymiser.of(viewer_id) for viewer_id in raw.dictionary.to_pylist()])
    place = events.schema.get_field_index("viewer_id")
    dataset.append("events", events.set_column(place, "viewer_id", known.take(raw.indices)), "log")
    config = RecommenderTrainConfig(
        ease=EaseConfig(max_products=IN_MATRIX), learn=LearnConfig(enabled=False), ranker=RankerConfig(enabled=False)
    )
    recommender = run_training(settings, NAME, "large", config, use_ray=False).version.reference
    return ["--recommender", recommender, "--generator", register_starter(settings, "restyle").reference]


if __name__ == "__main__":
    main()
