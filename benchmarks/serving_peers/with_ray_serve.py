"""Bare Ray Serve: one deployment of two replicas, a render at a time in each, off the event loop."""

# No postponed annotations: FastAPI cannot resolve those of a class that Ray has pickled from __main__.
import asyncio
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ray
from fastapi import FastAPI, Request, Response
from ray import serve

from cluster.runtime import export_environment

app = FastAPI()


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 1}, max_ongoing_requests=200)
@serve.ingress(app)
class Clips:
    def __init__(self) -> None:
        from benchmarks.serving_peers.rendering import Rendering

        self.render, self.thread = Rendering(), ThreadPoolExecutor(1)

    @app.post("/v1/clips")
    async def clips(self, request: Request) -> Response:
        body = await request.json()
        made = await asyncio.get_running_loop().run_in_executor(self.thread, self.render, body)
        return Response(made, media_type="video/mp4")

    @app.post("/v1/recommend")
    async def recommend(self, request: Request) -> dict[str, str]:
        """A millisecond of work."""
        body, until = await request.json(), time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        return {"viewer": body["viewer"]}


if __name__ == "__main__":
    export_environment()
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Clips.bind())
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    serve.shutdown()
    ray.shutdown()
