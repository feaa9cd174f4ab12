"""The generator deployment: batches renders by shape, keeps torch off the event loop, returns MP4.

Dims: T frames, H height, W width, S numbers of a style code.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
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
from trainables.generator.presets import preset_codes

logger = logging.getLogger("ray.serve")


class GeneratorReplica:
    """Loads one model version, renders a clip to warm up, then serves."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        import torch  # here, so that whoever deploys need not load it
        from trainables.generator.restyler import Restyler

        settings, scaling = args.settings(), args.generator_replicas
        torch.set_num_threads(max(1, int(scaling.num_cpus)))
        self._dataset = Dataset.open(Storage(settings.storage_root), args.data)
        device = "cuda" if scaling.num_gpus > 0 else "cpu"
        self._restyler = Restyler.from_bundle(Registry(settings).fetch(version), device=device)
        self._torch_thread = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._batched.set_max_batch_size(scaling.max_batch_size)
        self._batched.set_batch_wait_timeout_s(scaling.batch_wait_s)
        first = self._dataset.clip_products()[0]
        self._render_all(
            [RenderRequest(code_S=code, strength=1.0, product_id=first) for code in [*preset_codes().values()][:1]]
        )

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
        """One outcome a request; a request that fails takes no other with it."""
        outcomes: list[bytes | RenderError] = [RenderError("not rendered")] * len(requests)
        groups: dict[tuple[int, ...], list[tuple[int, np.ndarray, float]]] = defaultdict(list)
        for i, request in enumerate(requests):
            try:
                frames_THWC, fps = self._source(request)
            except ShopreelError as error:
                outcomes[i] = RenderError(str(error))
                continue
            groups[frames_THWC.shape].append((i, frames_THWC, fps))
        for members in groups.values():
            for (i, _, fps), clip in zip(members, self._restyle_group(requests, members), strict=True):
                outcomes[i] = clip if isinstance(clip, RenderError) else encode_mp4(clip, fps)
        return outcomes

    def _source(self, request: RenderRequest) -> tuple[np.ndarray, float]:
        if request.frames_THWC is not None:
            return request.frames_THWC, request.fps
        clip = self._dataset.clip(request.product_id)
        return clip.frames_THWC, clip.fps

    def _restyle_group(
        self, requests: list[RenderRequest], members: list[tuple[int, np.ndarray, float]]
    ) -> list[np.ndarray | RenderError]:
        """Clips of one shape in one forward pass; where that fails, one by one to find the culprit."""
        codes_BS = np.stack([requests[i].code_S for i, _, _ in members])
        strength_B = np.array([requests[i].strength for i, _, _ in members], np.float32)
        try:
            return self._restyler.restyle([frames for _, frames, _ in members], codes_BS, strength_B)
        except (ShopreelError, ValueError, RuntimeError) as error:
            if len(members) == 1:
                logger.exception("a clip of shape %s could not be rendered", members[0][1].shape)
                return [RenderError(f"the clip could not be rendered: {type(error).__name__}")]
            return [outcome for member in members for outcome in self._restyle_group(requests, [member])]
