"""Damaged media files and bodies against the HTTP side: no 5xx, no crash, bounded time and memory.

    python -m benchmarks.serving_fuzz --count 2000 --seed 1             # the application in this process, fake models
    python -m benchmarks.serving_fuzz --url http://127.0.0.1:8000       # a server that runs

Half of the requests are uploads made from sound clips in six containers by flipping bits, cutting, repeating, swapping
and lying about lengths; half are JSON, forms, paths and headers. The same seed sends the same requests. Exit code 1
where an answer is a 5xx, no problem document, or where there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import quote

import av
import httpx
import numpy as np

CONTAINERS = (
    ("mp4", "libx264", "yuv420p"),
    ("matroska", "libvpx", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("mpegts", "mpeg2video", "yuv420p"),
    ("gif", "gif", "rgb8"),
    ("mov", "png", "rgb24"),
)
ROUTES = ("/v1/feed", "/v1/recommend", "/v1/clips", "/v1/events", "/v1/jobs", "/v1/session")
PATHS = ("/v1/products/{}/clip", "/v1/products/{}/similar?k={}", "/v1/clips/{}", "/v1/jobs/{}", "/v1/feed/{}/events")
STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, -(10**30), 2**63, "", " ", "\0", "\ud800", "é" * 40, "a" * 5000, "../../etc/passwd",
    "'; DROP TABLE events; --", "{{7*7}}", "http://127.0.0.1:9/", [], {}, [[]], {"": None}, float("nan"), float("inf"),
)  # fmt: skip
SOUND: dict[str, Any] = {"viewer": "mia", "k": 3, "product_id": "p00", "style": "neon", "strength": 0.5}
SOUND |= {
    "event_type": "click",
    "wait": 0,
    "consent": True,
    "event_id": "e",
    "clips": [{"product_id": "p00", "style": "ink"}],
}
FIELDS = {
    "/v1/feed": ("viewer", "k", "wait", "consent"),
    "/v1/recommend": ("viewer", "k", "consent"),
    "/v1/clips": ("product_id", "style", "strength"),
    "/v1/events": ("viewer", "product_id", "event_type", "event_id", "style", "consent"),
    "/v1/jobs": ("clips",),
    "/v1/session": (),
}


@dataclass
class Report:
    """What came back."""

    statuses: Counter = field(default_factory=Counter)
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list)


def sound_clips() -> list[bytes]:
    """A short clip in each container."""
    rng = np.random.default_rng(0)
    frames = np.kron(rng.integers(0, 255, (12, 4, 4, 3), np.uint8), np.ones((1, 16, 16, 1), np.uint8))
    return [_clip(frames, *kind) for kind in CONTAINERS]


def _clip(frames: np.ndarray, container: str, codec: str, pixels: str) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixels
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = index, Fraction(1, 12)
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())
    return sink.getvalue()


def damaged(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A copy with one to four kinds of damage."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out)) if out else 0
        length = rng.choice((1, 4, 16, 256, max(1, len(out) // 2)))
        kind = rng.randrange(8)
        if kind == 0:  # flip bits
            for _ in range(rng.randint(1, 40)):
                if out:
                    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        elif kind == 1:  # cut the end off
            del out[at:]
        elif kind == 2:  # take a piece out
            del out[at : at + length]
        elif kind == 3:  # say a piece again
            out[at:at] = out[at : at + length] * rng.randint(1, 4)
        elif kind == 4:  # lie about a length, most of all near the start
            at = min(at, rng.choice((64, 512, len(out))))
            out[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"))
        elif kind == 5:  # noise
            out[at : at + length] = rng.randbytes(length)
        elif kind == 6:  # zeros
            out[at : at + length] = bytes(length)
        else:  # go on with another file
            out[at:] = rng.choice(others)[-length * 8 :]
    return bytes(out)


def uploads(count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Requests to `POST /v1/clips` with damaged clips."""
    sound = sound_clips()
    for _ in range(count):
        data = damaged(rng.choice(sound), sound, rng)
        style = rng.choice(("neon", "ink", '{"neon": 1}', "[1, 2]"))
        files = {"file": (rng.choice(("a.mp4", "../../x", "é.gif", "")) or "x", data, "video/mp4")}
        yield {"method": "POST", "url": "/v1/clips", "files": files, "data": {"style": style}}


def bodies(count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Requests with strange values, broken JSON, broken forms, strange paths and headers."""
    for _ in range(count):
        kind = rng.randrange(6)
        if kind == 5:
            path = rng.choice(PATHS).format(*(_quoted(rng.choice(STRANGE)) for _ in range(2)))
            yield {"method": rng.choice(("GET", "DELETE", "PUT", "HEAD")), "url": path, "headers": _headers(rng)}
            continue
        route = rng.choice(ROUTES)
        body = {name: SOUND[name] for name in FIELDS[route]}
        if body and kind:
            body[rng.choice(list(body) + ["colour"])] = rng.choice(STRANGE)
        data = json.dumps([body] * rng.randint(0, 3) if kind == 1 else body).encode()
        if kind == 2:
            data = damaged(data, [data], rng)
        elif kind == 3:
            depth = rng.choice((10, 1000, 100_000))
            data = rng.choice((b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth))
        elif kind == 4:
            data = b"--x\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\n" + damaged(data, [data], rng)
        media = "multipart/form-data; boundary=" + rng.choice(("x", "", "x" * 300)) if kind == 4 else "application/json"
        yield {"method": "POST", "url": route, "content": data, "headers": {**_headers(rng), "content-type": media}}


def _headers(rng: random.Random) -> dict[str, str]:
    strange = (
        "",
        "x" * 300,
        "bytes=5-1",
        "bytes=0-,1-",
        "-1",
        '"',
        "a, *;q=9",
        "nan",
        "1e999",
        "http://[",
        "bytes=" + "9" * 5000 + "-",
    )
    names = (
        "range",
        "if-none-match",
        "accept",
        "x-request-id",
        "authorization",
        "cookie",
        "origin",
        "x-request-timeout",
    )
    return {name: rng.choice(strange) for name in rng.sample(names, 2)}


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text[:300].encode("utf-8", "replace"), safe="")


async def fuzz(client: httpx.AsyncClient, *, count_uploads: int, count_bodies: int, seed: int) -> Report:
    """Send everything, one request after the other; faults name the request's number."""
    rng, report = random.Random(seed), Report()
    requests = [*uploads(count_uploads, rng), *bodies(count_bodies, rng)]
    for number, request in enumerate(requests):
        started = time.perf_counter()
        try:
            answer = await client.request(**request)
        except httpx.HTTPError as error:
            report.faults.append(f"request {number}: no answer: {error!r}")
            continue
        report.slowest_s = max(report.slowest_s, time.perf_counter() - started)
        report.statuses[answer.status_code] += 1
        kind = answer.headers.get("content-type", "")
        if answer.status_code >= 500 or (answer.status_code >= 400 and "problem+json" not in kind):
            where = f"{request['method']} {request['url'][:60]}"
            report.faults.append(f"request {number}, {where}: {answer.status_code} {answer.text[:200]!r}")
    return report


async def _run(options: argparse.Namespace) -> Report:
    counts = {"count_uploads": options.count // 2, "count_bodies": options.count - options.count // 2}
    if options.url:
        async with httpx.AsyncClient(base_url=options.url, timeout=120) as client:
            return await fuzz(client, seed=options.seed, **counts)
    from cluster.pseudonym import Pseudonymiser
    from cluster.storage import Storage
    from serving.catalogue import Catalogue
    from tests.e2e.tiny_shop import make_dataset
    from tests.serving_site import KEY, make_site

    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(folder)
        catalogue = Catalogue(make_dataset(storage, Pseudonymiser(KEY)))
        site = make_site(catalogue, storage, f"sqlite:///{folder}/events.db")
        transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await fuzz(client, seed=options.seed, **counts)


def main() -> int:
    """Print what came back; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url")
    options = parser.parse_args()
    started = time.perf_counter()
    report = asyncio.run(_run(options))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    print(f"{options.count} requests, seed {options.seed}, {time.perf_counter() - started:.0f} s; {statuses}")
    print(f"slowest answer {report.slowest_s:.2f} s; peak memory of this process {peak} MiB")
    print(*report.faults, sep="\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
