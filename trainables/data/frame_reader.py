"""Frames of a file at given times. Keeps two frames at a time, seeks across gaps and stops at a budget, so a very long
or very large file costs bounded memory and time. Frames that nothing refers to are not decoded unless they are wanted.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

import av
from av.video.frame import VideoFrame

from cluster.errors import InputError

DECODE_BUDGET_PIXELS = 20_000_000_000
"""Most pixels decoded for one clip; around 10,000 frames of 1080p."""

SEEK_GAP_SECONDS = 4.0
"""A shorter gap is decoded through: seeking lands on the key frame before it."""

LOST_SECONDS = 0.5
"""A file that ends so much before its header says is truncated."""

SKIPPING = frozenset({"h264", "hevc", "mpeg4"})
"""Codecs whose decoders leave out a frame that no other refers to (a B-frame) when told so before its packet."""

SAME_SECONDS = 1e-6
"""Frames whose distances differ by less are equally near."""

REORDERED_FRAMES = 16
"""Most frames that a codec stores after one that is shown later."""

_Timed = tuple[float, VideoFrame]
"""Seconds from the stream's first frame, and the frame."""


class FrameReader:
    """Frames nearest to given times, seconds from the stream's first frame."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.VideoStream, name: str, interval: float
    ) -> None:
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        self._container, self._stream, self._name, self._interval = container, stream, name, interval
        self._origin = float((stream.start_time or 0) * stream.time_base)
        self._counted = _Counted() if container.format.name == "avi" else None
        self._pixels = 0
        self._frames: Iterator[_Timed] = iter(())
        self._before: _Timed | None = None
        self._after: _Timed | None = None

    def nearest(self, times: Sequence[float]) -> Iterator[VideoFrame]:
        """For each time the frame closest to it; ascending times decode every frame at most once."""
        if self._before or self._after:  # what was left out on the way here may be wanted now
            self._seek(times[0], times)
        else:
            self._frames = self._decode(times)
            self._after = next(self._frames, None)
        for time in times:
            here = self._before or self._after
            if here is None:
                raise InputError(f"{self._name} holds no picture that can be decoded")
            last = self._after or here
            if time < here[0] - self._interval or time > max(last[0] + SEEK_GAP_SECONDS, _shown_until(*last)):
                self._seek(time, times)
            while self._after is not None and self._after[0] < time:
                self._before, self._after = self._after, next(self._frames, None)
            choices = [timed for timed in (self._before, self._after) if timed is not None]
            # Rounded, so that of two equally near frames it is always the earlier.
            at, chosen = min(choices, key=lambda timed: round(abs(timed[0] - time), 6))
            if self._after is None and time - _shown_until(at, chosen) > max(LOST_SECONDS, 2 * self._interval):
                raise InputError(f"{self._name} is truncated: it ends at {at:.1f} s; export it again")
            yield chosen

    def _seek(self, time: float, times: Sequence[float]) -> None:
        # Key frames of an AVI are found by their place in the file, which others may have that are shown before them.
        before = self._interval * (REORDERED_FRAMES if self._counted else 1)
        offset = int((max(time - before, 0.0) + self._origin) / self._stream.time_base)
        self._container.seek(offset, stream=self._stream, backward=True)
        self._frames = self._decode(times)
        self._before, self._after = None, next(self._frames, None)
        if self._after is None:
            raise InputError(f"{self._name} is truncated: no picture can be read at {time:.1f} s; export it again")

    def _decode(self, times: Sequence[float]) -> Iterator[_Timed]:
        """Frames in the order they are shown, among them the nearest one to each of the times."""
        context, wanted = self._stream.codec_context, _Wanted(times)
        can_skip, progressive = context.name in SKIPPING and self._counted is None, False
        for place, packet in enumerate(self._container.demux(self._stream)):
            if self._counted and place == 0:
                self._counted.begin(packet.dts or 0)
            if can_skip and packet.pts is not None:
                needed = wanted.take(float(packet.pts * packet.time_base) - self._origin)
                context.skip_frame = "NONREF" if progressive and not needed else "DEFAULT"
            for frame in packet.decode():
                # Of a picture in two fields one may be referred to and the other not.
                progressive = not frame.interlaced_frame
                self._pixels += frame.width * frame.height
                if self._pixels > DECODE_BUDGET_PIXELS:
                    raise InputError(f"{self._name} takes too much decoding: key frames too far apart; re-encode it")
                shown = self._counted.shown(frame) * self._stream.time_base if self._counted else frame.time
                yield float(shown or 0.0) - self._origin, frame


class _Counted:
    """When frames of an AVI are shown. It has no times but a frame's place in the file; those that FFmpeg makes up are
    late, or wrong altogether, where frames are shown in another order than they are stored (B-frames, any H.264).
    """

    def __init__(self) -> None:
        self._kept_back: int | None = None
        self._next = 0

    def begin(self, place: int) -> None:
        """Decoding begins, at the start of the file or after a seek, with the packet of that place."""
        self._next = place

    def shown(self, frame: VideoFrame) -> int:
        """In units of the stream's time base: the place of the packet that brought the frame out of the decoder, less
        the frames that the decoder keeps back, so many as it took in before its first. What it keeps back until the end
        of the file follows one by one.
        """
        if frame.dts is not None:
            if self._kept_back is None:
                self._kept_back = frame.dts - self._next
            self._next = frame.dts - self._kept_back
        self._next += 1
        return self._next - 1


class _Wanted:
    """Which frames are needed, told as their packets come, in whatever order that is."""

    def __init__(self, times: Sequence[float]) -> None:
        """Ascending `times`."""
        self._times = times
        self._taken: list[float] = []

    def take(self, shown: float) -> bool:
        """Whether a frame shown at that time is as near as any before it to one of the times. Of all frames the nearest
        one always is. Frames that others refer to are decoded all the same; taking them for needed costs nothing.
        """
        place = bisect_left(self._taken, shown)
        earlier = self._taken[place - 1] if place else -float("inf")
        later = self._taken[place] if place < len(self._taken) else float("inf")
        # Times beyond the middle between it and its neighbours are nearer to those.
        first = bisect_left(self._times, (earlier + shown) / 2 - SAME_SECONDS)
        last = bisect_left(self._times, (later + shown) / 2 + SAME_SECONDS)
        if first == last:
            return False
        insort(self._taken, shown)
        return True


def _shown_until(at: float, frame: VideoFrame) -> float:
    """When the frame ends: the last one of a GIF, or of a recording of uneven rate, may be held for seconds."""
    return at + float((frame.duration or 0) * (frame.time_base or 0))


def duration(container: av.container.InputContainer, stream: av.VideoStream, name: str) -> float:
    """Length of a file's video, seconds. Raises InputError for a file that ends before its header says."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    whole = (container.duration or 0) / av.time_base
    if whole and len(container.streams) == 1 and not stream.start_time:
        return whole
    # Matroska and others tell the end of the longest track, often the sound: read through without decoding.
    ends = {"video": 0.0, "audio": 0.0}
    for packet in container.demux(stream, *container.streams.audio):
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream.type] = max(ends[packet.stream.type], end)
    container.seek(0)
    if whole - max(ends.values()) > LOST_SECONDS:
        raise InputError(f"{name} is truncated: it ends at {max(ends.values()):.1f} of {whole:.1f} s; export it again")
    return ends["video"] - float((stream.start_time or 0) * stream.time_base)
