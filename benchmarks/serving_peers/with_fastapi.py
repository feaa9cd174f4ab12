"""Plain FastAPI under uvicorn: two processes, a render at a time in each, off the event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from benchmarks.serving_peers.rendering import Rendering


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.render, app.state.thread = Rendering(), ThreadPoolExecutor(1)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/clips")
async def clips(body: dict[str, Any]) -> Response:
    made = await asyncio.get_running_loop().run_in_executor(app.state.thread, app.state.render, body)
    return Response(made, media_type="video/mp4")


if __name__ == "__main__":
    uvicorn.run("benchmarks.serving_peers.with_fastapi:app", port=int(sys.argv[1]), workers=2, log_level="error")
