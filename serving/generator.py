"""The generator deployment: batches renders, keeps torch off the event loop, returns MP4 that says where it comes from,
and the original instead of a render that is not fit to be shown.

Dims: T frames, H height, W width, S numbers of a style code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ShopreelError, StorageError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving import gpus, inner_port, logs, tracing
from serving.args import AppArgs
from serving.contracts import Refusal, RenderError, RenderRequest, StreamStart
from serving.held_versions import HeldVersions
from serving.render_queue import RenderQueue, Served
from serving.stream_render import AbandonedError, StreamedRender
from trainables.allocator import keep_freed_memory
from trainables.data.dataset import Dataset
from trainables.data.style_code import CODE_DIM
from trainables.data.video import encode_mp4
from trainables.generator.provenance import Provenance, with_label
from trainables.generator.restyle.presets import preset_codes

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.generator.restyle.restyler import Restyler

logger = logging.getLogger("ray.serve")


Outcome = bytes | Refusal | RenderError


@dataclass(frozen=True)
class Sourced:
    """A request with the frames it is about: checked, so that it cannot spoil a batch."""

    request: RenderRequest
    frames_THWC: np.ndarray
    """uint8."""
    fps: float
    restyler: Restyler
    """Of the version asked for."""


class GeneratorReplica:
    """Loads one model version, renders a clip to warm up, then serves."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        import torch  # here, so that whoever deploys need not load it

        from trainables.generator.usability.gate import UsabilityConfig, UsabilityGate

        inner_port.keep_inside()
        logs.write_warnings_at_once()
        tracing.start(args.tracing, "generator")
        keep_freed_memory()
        settings, scaling = args.settings(), args.generator_replicas
        torch.set_num_threads(max(1, int(scaling.num_cpus)))
        self._dataset = Dataset.open(Storage(settings.storage_root), args.data)
        device = gpus.device(scaling)
        first, code = self._dataset.clip_products()[0], next(iter(preset_codes().values()))
        warm_up = RenderRequest(code_S=code, strength=1.0, product_id=first)
        frames_THWC, fps = self._frames(warm_up)
        clip_THW = frames_THWC.shape[:3]
        self._read_bundle = partial(_restyler, device=device, backends=scaling.backends, clip_THW=clip_THW)
        self._registry = Registry(settings)
        deployed = self._read_bundle(self._registry.fetch(version))
        self._versions = HeldVersions(version.reference, deployed, self._load)
        self._deployed, self._label = version.reference, args.visible_label
        # Features are the costly part of the gate: of a window that is streamed one frame is compared.
        self._gate, self._window_gate = UsabilityGate(), UsabilityGate(UsabilityConfig(frames_compared=1))
        self._queue = RenderQueue(self._render_all, max_batch=scaling.max_batch_size if deployed.batches else 1)
        list(self._render_together([Sourced(warm_up, frames_THWC, fps, deployed)]))  # raises if broken

    @tracing.traced("generator.render")
    async def render(self, request: RenderRequest) -> Served:
        """MP4 of the clip in the style asked for, or why it may not be shown; and what it took.

        Raises RenderError where this clip cannot be rendered, DeadlinePassedError where its turn comes too late.
        """
        item = await self._sourced(request)
        served = await self._queue.put(
            item, key=(request.model, item.frames_THWC.shape), deadline=request.deadline, priority=request.priority
        )
        return replace(served, backend=item.restyler.backend.name)

    @tracing.traced("generator.stream")
    async def stream(self, request: RenderRequest) -> AsyncIterator[StreamStart | bytes | Served]:
        """StreamStart, pieces of fragmented MP4 while frames are being painted, and last what `render` gives.

        Raises as `render` does. A caller that stops reading stops the painting.
        """
        item = await self._sourced(request)
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue()

        def send(piece: object) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        streamed = StreamedRender(item, self._provenance(request), label=self._label, send=send)
        rendering = asyncio.ensure_future(self._queue.put(streamed, key=object(), deadline=request.deadline))
        rendering.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            yield replace(await rendering, backend=item.restyler.backend.name)
        finally:
            streamed.abandon()
            rendering.cancel()

    @tracing.traced("generator.load")
    async def load(self, model: str) -> None:
        """Have a version at hand, beside those that serve; RenderError says why it cannot be loaded, StorageError that
        it could not be read.
        """
        await self._versions.load(model)

    @tracing.traced("generator.ready")
    async def ready(self) -> bool:
        """True: the constructor has rendered a clip."""
        return True

    async def _sourced(self, request: RenderRequest) -> Sourced:
        """The request as it may enter a batch; RenderError for one that may not."""
        frames_THWC, fps = await asyncio.to_thread(self._frames, request)
        model = request.model or self._deployed
        try:
            restyler = await self._versions.get(model)
        except StorageError as error:  # to a render it is all one why there is no version
            raise _cannot_be_loaded(model, error) from error
        return Sourced(request, frames_THWC, fps, restyler)

    def _frames(self, request: RenderRequest) -> tuple[np.ndarray, float]:
        """Frames of a request and how many a second; RenderError where it may not enter a batch."""
        from trainables.generator.bundles import check_clip
        from trainables.generator.restyle.restyler import LARGEST

        try:
            if request.frames_THWC is None:
                clip = self._dataset.clip(request.product_id)
                frames_THWC, fps = clip.frames_THWC, clip.fps
            else:
                frames_THWC, fps = request.frames_THWC, request.fps
            check_clip(frames_THWC, LARGEST)
        except (ShopreelError, OSError) as error:
            logger.exception("a clip could not be read")
            raise RenderError(f"the clip could not be read ({type(error).__name__})") from error
        if request.code_S.shape != (CODE_DIM,) or not np.isfinite(request.code_S).all():
            raise RenderError(f"a style code has {CODE_DIM} finite numbers")
        if not 0 <= request.strength <= 1:
            raise RenderError(f"strength is {request.strength}; it lies between 0 and 1")
        return frames_THWC, fps

    def _load(self, model: str) -> Restyler:
        """The version's network; StorageError where it cannot be read now, RenderError where it cannot be loaded."""
        try:
            return self._read_bundle(self._registry.fetch(self._registry.resolve(model, only="generator")))
        except (ShopreelError, OSError, RuntimeError, ValueError) as error:
            logger.exception("%s cannot be loaded", model)
            if isinstance(error, StorageError):
                raise
            raise _cannot_be_loaded(model, error) from error

    def _render_all(self, items: list[Sourced] | list[StreamedRender]) -> Iterator[Outcome]:
        """One outcome an item, each as it is made. Where a batch fails, the rest of it is rendered one by one: only the
        culprit fails.
        """
        done = 0
        try:
            if isinstance(items[0], StreamedRender):
                yield items[0].run(self._window_gate, self._shown)
                return
            for outcome in self._render_together(items):
                yield outcome
                done += 1
        except (ShopreelError, ValueError, RuntimeError, OSError) as error:
            if len(items) > 1:
                for item in items[done:]:
                    yield from self._render_all([item])
                return
            logger.exception("a clip could not be rendered")
            yield RenderError(f"the clip could not be rendered ({type(error).__name__})")
        except AbandonedError:
            yield RenderError("nobody reads the clip any more")

    def _render_together(self, items: list[Sourced]) -> Iterator[bytes | Refusal]:
        restyled = items[0].restyler.restyle(
            [item.frames_THWC for item in items],
            np.stack([item.request.code_S for item in items]),
            np.array([item.request.strength for item in items], np.float32),
        )
        for item, made_THWC in zip(items, restyled, strict=True):
            yield self._shown(item, made_THWC)

    def _shown(self, item: Sourced, restyled_THWC: np.ndarray) -> bytes | Refusal:
        """The render as MP4 where the gate passes it; at strength 0 it is the original itself."""
        request, frames_THWC, fps = item.request, item.frames_THWC, item.fps
        product = request.product_id or f"upload:{request.upload}"
        if request.strength == 0:
            return encode_mp4(frames_THWC, fps, metadata=Provenance(task="original", product=product).metadata())
        verdict = self._gate.check(restyled_THWC, frames_THWC)
        if not verdict.usable:
            logger.warning("a render of %s in %s was refused: %s", product, request.look, "; ".join(verdict.reasons))
            original = Provenance(task="original", product=product, refused=verdict.reasons)
            return Refusal(verdict.reasons, encode_mp4(frames_THWC, fps, metadata=original.metadata()))
        made = self._provenance(request)
        labelled = with_label(restyled_THWC) if self._label else restyled_THWC
        return encode_mp4(labelled, fps, metadata=made.metadata())

    def _provenance(self, request: RenderRequest) -> Provenance:
        """What a render of this request says of itself."""
        product = request.product_id or f"upload:{request.upload}"
        return Provenance(task="restyle", model=request.model or self._deployed, product=product, look=request.look)


def _restyler(folder: Path, device: str, backends: Sequence[str], clip_THW: tuple[int, int, int]) -> Restyler:
    """A version's network, run in the fastest way that gives its pictures."""
    from trainables.generator.restyle.restyler import Restyler

    restyler = Restyler.from_bundle(folder, device)
    trials = restyler.tune(backends, clip_THW)
    logger.warning("%s is run by %s on %s: %s", folder, restyler.backend.name, device, "; ".join(map(str, trials)))
    return restyler


def _cannot_be_loaded(model: str, error: Exception) -> RenderError:
    """Without the error's text, which may name a folder of this machine: the log has it, the client does not."""
    return RenderError(f"{model} cannot be loaded ({type(error).__name__})")
