"""The generator deployment: batches renders, keeps torch off the event loop, returns MP4.

Dims: T frames, H height, W width, S numbers of a style code.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ray import serve

from cluster.errors import ShopreelError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving.args import AppArgs
from serving.contracts import RenderError, RenderRequest
from trainables.data.dataset import Dataset
from trainables.data.video import encode_mp4
from trainables.generator.restyle.presets import preset_codes

logger = logging.getLogger("ray.serve")


class GeneratorReplica:
    """Loads one model version, renders a clip to warm up, then serves."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        import torch  # here, so that whoever deploys need not load it

        from trainables.generator.restyle.restyler import Restyler

        settings, scaling = args.settings(), args.generator_replicas
        torch.set_num_threads(max(1, int(scaling.num_cpus)))
        self._dataset = Dataset.open(Storage(settings.storage_root), args.data)
        device = "cuda" if scaling.num_gpus > 0 else "cpu"
        self._restyler = Restyler.from_bundle(Registry(settings).fetch(version), device=device)
        self._torch_thread = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._batched.set_max_batch_size(scaling.max_batch_size)
        self._batched.set_batch_wait_timeout_s(scaling.batch_wait_s)
        first, code = self._dataset.clip_products()[0], next(iter(preset_codes().values()))
        self._render_together([RenderRequest(code_S=code, strength=1.0, product_id=first)])  # warm up; raises if broken

    async def render(self, request: RenderRequest) -> bytes:
        """MP4 of the clip in the style asked for."""
        outcome = await self._batched(request)
        if isinstance(outcome, RenderError):
            raise outcome
        return outcome

    async def ready(self) -> bool:
        """True: the constructor has rendered a clip."""
        return True

    @serve.batch
    async def _batched(self, requests: list[RenderRequest]) -> list[bytes | RenderError]:
        return await asyncio.get_running_loop().run_in_executor(self._torch_thread, self._render_all, requests)

    def _render_all(self, requests: list[RenderRequest]) -> list[bytes | RenderError]:
        """One outcome a request. Where a batch fails, its requests are rendered one by one: only the culprit fails."""
        try:
            return self._render_together(requests)
        except (ShopreelError, ValueError, RuntimeError, OSError) as error:
            if len(requests) > 1:
                return [outcome for request in requests for outcome in self._render_all([request])]
            logger.exception("a clip could not be rendered")
            return [RenderError(f"the clip could not be rendered ({type(error).__name__})")]

    def _render_together(self, requests: list[RenderRequest]) -> list[bytes | RenderError]:
        sources = [self._source(request) for request in requests]
        restyled = self._restyler.restyle(
            [frames for frames, _ in sources],
            np.stack([request.code_S for request in requests]),
            np.array([request.strength for request in requests], np.float32),
        )
        return [encode_mp4(clip, fps) for clip, (_, fps) in zip(restyled, sources, strict=True)]

    def _source(self, request: RenderRequest) -> tuple[np.ndarray, float]:
        """Frames (T, H, W, 3) uint8 and frames a second."""
        if request.frames_THWC is not None:
            return request.frames_THWC, request.fps
        clip = self._dataset.clip(request.product_id)
        return clip.frames_THWC, clip.fps
