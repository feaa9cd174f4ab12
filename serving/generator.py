"""The generator deployment: batches renders, keeps torch off the event loop, returns MP4 that says where it comes from,
and the original instead of a render that is not fit to be shown.

Dims: T frames, H height, W width, S numbers of a style code.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ray import serve
from ray.serve.metrics import Counter

from cluster.errors import ShopreelError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving.args import AppArgs
from serving.contracts import Refusal, RenderError, RenderRequest
from trainables.data.dataset import Dataset
from trainables.data.video import encode_mp4
from trainables.generator.provenance import Provenance, with_label
from trainables.generator.restyle.presets import preset_codes

logger = logging.getLogger("ray.serve")


class GeneratorReplica:
    """Loads one model version, renders a clip to warm up, then serves."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        import torch  # here, so that whoever deploys need not load it

        from trainables.generator.restyle.restyler import Restyler
        from trainables.generator.usability.gate import UsabilityGate

        settings, scaling = args.settings(), args.generator_replicas
        torch.set_num_threads(max(1, int(scaling.num_cpus)))
        self._dataset = Dataset.open(Storage(settings.storage_root), args.data)
        device = "cuda" if scaling.num_gpus > 0 else "cpu"
        self._restyler = Restyler.from_bundle(Registry(settings).fetch(version), device=device)
        self._model, self._label = version.reference, args.visible_label
        self._gate = UsabilityGate()
        self._refusals = Counter(
            "shopreel_refused_clips", description="Renders not fit to be shown.", tag_keys=("reason",)
        )
        self._torch_thread = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._batched.set_max_batch_size(scaling.max_batch_size)
        self._batched.set_batch_wait_timeout_s(scaling.batch_wait_s)
        first, code = self._dataset.clip_products()[0], next(iter(preset_codes().values()))
        self._render_together([RenderRequest(code_S=code, strength=1.0, product_id=first)])  # warm up; raises if broken

    async def render(self, request: RenderRequest) -> bytes | Refusal:
        """MP4 of the clip in the style asked for, or why it may not be shown."""
        outcome = await self._batched(request)
        if isinstance(outcome, RenderError):
            raise outcome
        return outcome

    async def ready(self) -> bool:
        """True: the constructor has rendered a clip."""
        return True

    @serve.batch
    async def _batched(self, requests: list[RenderRequest]) -> list[bytes | Refusal | RenderError]:
        return await asyncio.get_running_loop().run_in_executor(self._torch_thread, self._render_all, requests)

    def _render_all(self, requests: list[RenderRequest]) -> list[bytes | Refusal | RenderError]:
        """One outcome a request. Where a batch fails, its requests are rendered one by one: only the culprit fails."""
        try:
            return self._render_together(requests)
        except (ShopreelError, ValueError, RuntimeError, OSError) as error:
            if len(requests) > 1:
                return [outcome for request in requests for outcome in self._render_all([request])]
            logger.exception("a clip could not be rendered")
            return [RenderError(f"the clip could not be rendered ({type(error).__name__})")]

    def _render_together(self, requests: list[RenderRequest]) -> list[bytes | Refusal]:
        sources = [self._source(request) for request in requests]
        restyled = self._restyler.restyle(
            [frames for frames, _ in sources],
            np.stack([request.code_S for request in requests]),
            np.array([request.strength for request in requests], np.float32),
        )
        return [self._shown(*item) for item in zip(requests, restyled, sources, strict=True)]

    def _shown(
        self, request: RenderRequest, restyled_THWC: np.ndarray, source: tuple[np.ndarray, float]
    ) -> bytes | Refusal:
        """The render as MP4 where the gate passes it; at strength 0 it is the original itself."""
        (frames_THWC, fps), product = source, request.product_id or f"upload:{request.upload}"
        if request.strength == 0:
            return encode_mp4(frames_THWC, fps, metadata=Provenance(task="original", product=product).metadata())
        verdict = self._gate.check(restyled_THWC, frames_THWC)
        if not verdict.usable:
            logger.warning("a render of %s in %s was refused: %s", product, request.look, "; ".join(verdict.reasons))
            for reason in verdict.reasons:
                self._refusals.inc(tags={"reason": reason.partition(":")[0]})
            original = Provenance(task="original", product=product, refused=verdict.reasons)
            return Refusal(verdict.reasons, encode_mp4(frames_THWC, fps, metadata=original.metadata()))
        made = Provenance(task="restyle", model=self._model, product=product, look=request.look)
        labelled = with_label(restyled_THWC) if self._label else restyled_THWC
        return encode_mp4(labelled, fps, metadata=made.metadata())

    def _source(self, request: RenderRequest) -> tuple[np.ndarray, float]:
        """Frames (T, H, W, 3) uint8 and frames a second."""
        if request.frames_THWC is not None:
            return request.frames_THWC, request.fps
        clip = self._dataset.clip(request.product_id)
        return clip.frames_THWC, clip.fps
