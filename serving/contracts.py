"""What the ingress asks of the models, and what they answer. Light to import: no torch, no Ray.

Dims: T frames, H height, W width, S numbers of a style code.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cluster.errors import ShopreelError
from trainables.recommender.history import HistoryEvent

if TYPE_CHECKING:
    from serving.messages import ShadowReport
    from trainables.recommender.recommender import Recommendation


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """One clip to restyle: a product's own, or frames that were uploaded."""

    code_S: np.ndarray
    strength: float
    """0 leaves the clip as it is, 1 is the whole look."""
    product_id: str | None = None
    frames_THWC: np.ndarray | None = None
    """uint8; given when `product_id` is not."""
    fps: float = 0.0
    """Of `frames_THWC`."""
    upload: str | None = None
    """Hash of the uploaded file; given when `product_id` is not."""
    look: str | None = None
    """The look in words, for the clip's provenance."""
    model: str | None = None
    """Version to render with, as generator/3; None for the one that was deployed."""
    deadline: float | None = None
    """Seconds since 1970; a render that has not begun by then is not begun."""
    priority: int = 0
    """0 for what someone waits for, higher for work in the background."""
    patience_s: float = math.inf
    """Longest time it may be expected to wait for its turn; where it would be longer, it is refused at once."""


@dataclass(frozen=True)
class Refusal:
    """The render is not fit to be shown; the original is."""

    reasons: tuple[str, ...]
    original: bytes
    """MP4 of the unstyled clip; its provenance holds the reasons."""


@dataclass(frozen=True)
class StreamStart:
    """First message of a stream: a replica has begun, its first frames have been looked at."""

    refused: tuple[str, ...]
    """Why the original is shown from the first frame on; empty where it is not."""


@dataclass(frozen=True)
class StreamEnd:
    """Last message of a stream: the whole clip, as `render` gives it."""

    outcome: bytes | Refusal


class RenderError(ShopreelError):
    """This one clip could not be rendered; its neighbours in the batch were."""


class LoadError(ShopreelError):
    """A model version cannot be loaded; the text names no path."""


class NotCountedError(ShopreelError):
    """The first count of what was asked for is under way."""


@dataclass(frozen=True)
class Answer:
    """What the recommender says about one viewer."""

    recommendations: list[Recommendation]
    weights: dict[str, float]
    """The viewer's look as shares of presets."""
    model: str
    """Version that says so, as recommender/2."""
    moves: Sequence[tuple[str, ...]] = ()
    """Why each product stands where it does, where that is not its score alone; empty or one entry a product."""


class RecommenderClient(Protocol):
    """The recommender as the shop calls it. `model` is the version asked for; a replica that does not have it yet loads
    it and meanwhile answers with one it has.
    """

    async def recommend(self, model: str, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        """Best `k` products for this history, and the look to show them in."""

    async def similar(self, model: str, product_id: str, k: int) -> list[tuple[str, float]]:
        """Products most like one product, with their similarity; NotFoundError for one the model does not know."""

    async def hosts(
        self, model: str, history: Sequence[HistoryEvent], k: int, now_ms: int, live: Sequence[str] | None
    ) -> list[Recommendation]:
        """Best `k` creators for this history among the `live` ones (None: all). NotFoundError where no product has a
        creator, NotCountedError while they are counted for the first time.
        """


class GeneratorClient(Protocol):
    """The generator as the shop calls it."""

    async def render(self, request: RenderRequest) -> bytes | Refusal:
        """MP4, or why it may not be shown; RenderError where this clip cannot be rendered."""

    def stream(self, request: RenderRequest) -> AsyncGenerator[StreamStart | bytes | StreamEnd]:
        """StreamStart, then fragmented MP4 piece by piece, then StreamEnd. Raises as `render` does."""

    async def ready(self) -> bool:
        """True once a replica has warmed up."""

    def at_rest(self) -> bool:
        """Whether no replica may run, so that a render would wake one."""

    def report(self) -> ShadowReport:
        """How a challenger in the shadow compares."""
