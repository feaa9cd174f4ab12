"""Inside a generator replica: one clip, sent window by window while it is painted.

Every window passes the usability gate before it leaves; from a window that does not, the original's frames follow. At
the end the whole clip is judged and encoded as any other, and that is what is kept.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from serving.contracts import Refusal, StreamStart
from trainables.data.video_stream import FragmentedMp4
from trainables.generator.provenance import Provenance, with_label

if TYPE_CHECKING:
    from serving.generator import Sourced
    from trainables.generator.usability.gate import UsabilityGate


class AbandonedError(Exception):
    """Nobody reads the stream any more."""


class Finish(Protocol):
    """How a whole restyled clip is judged and encoded."""

    def __call__(self, item: Sourced, restyled_THWC: np.ndarray) -> bytes | Refusal: ...


class StreamedRender:
    """One streamed clip, as it waits in the render queue."""

    def __init__(self, item: Sourced, provenance: Provenance, *, label: bool, send: Callable[[object], None]) -> None:
        """`send` is called in the render thread, with StreamStart and then with pieces of MP4."""
        self._item, self._provenance, self._label, self._send = item, provenance, label, send
        self._abandoned = threading.Event()

    def abandon(self) -> None:
        """Paint no further window."""
        self._abandoned.set()

    def run(self, gate: UsabilityGate, finish: Finish) -> bytes | Refusal:
        """Paint and send, and return the whole clip. Raises AbandonedError once nobody reads."""
        item, painted, refused = self._item, [], ()
        writer: FragmentedMp4 | None = None
        request = item.request
        for window_THW3 in item.restyler.windows(item.frames_THWC, request.code_S, request.strength):
            if self._abandoned.is_set():
                raise AbandonedError
            begin = sum(map(len, painted))
            source_THW3 = item.frames_THWC[begin : begin + len(window_THW3)]
            painted.append(window_THW3)
            refused = refused or gate.check(window_THW3, source_THW3).reasons
            if writer is None:
                self._send(StreamStart(refused))
                said = Provenance(task="original", product=self._provenance.product, refused=refused)
                size = window_THW3.shape[1:3]
                writer = FragmentedMp4(size, item.fps, metadata=(said if refused else self._provenance).metadata())
            shown = source_THW3 if refused else with_label(window_THW3) if self._label else window_THW3
            self._send(writer.add(shown))
        self._send(writer.finish())
        return finish(item, np.concatenate(painted))
