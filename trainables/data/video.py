"""Video at the border: any file → a square uint8 clip of fixed length, and a clip → H.264 MP4 for browsers.

Dims: T frames, H height, W width, C = 3 (RGB).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from cluster.errors import InputError
from trainables.data import trim
from trainables.data.audio import Audio, read_audio
from trainables.data.frame_reader import FrameReader, duration
from trainables.data.frame_scaler import INTERPOLATION, Scaler
from trainables.data.x264 import repeatable

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf,gif,m4v,mpegvideo,ivf"
"""Demuxers that may open a file from outside; playlists and other formats that name further files are left out."""

WHOLE_BUDGET_PIXELS = 1_000_000_000
"""Most pixels kept of a file that is read whole; 3 GB, or 3,800 frames of 512 × 512."""

ITU709_TAG = 1  # ISO/IEC 23091-2 code point, as FFmpeg numbers it


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How a source file becomes a clip."""

    num_frames: int = 24
    """T, frames, 1…1024."""

    fps: float = 12.0
    """Frames a second of the clip, 0 < fps ≤ 120."""

    size: int = 128
    """Side of the square clip, pixels, 16…2048, even."""

    span: Literal["real_time", "whole"] = "real_time"
    """real_time: `num_frames / fps` seconds from the middle, at true speed; whole: all of it, evenly, at any speed.
    A source shorter than the clip is always spread over all frames."""

    trim_start: float = 0.0
    """Seconds always cut from the start, ≥ 0."""

    trim_end: float = 0.0
    """Seconds always cut from the end, ≥ 0."""

    max_dead_seconds: float = 3.0
    """Most seconds of black or still lead-in (and lead-out) cut by themselves, 0…30; 0 switches it off."""

    max_seconds: float = 1800.0
    """Longest source accepted, seconds."""

    max_pixels: int = 4096 * 4096
    """Largest source picture accepted, pixels."""

    max_frames: int | None = None
    """Most frames of a source, as its index counts them; None for no bound but its length."""

    def __post_init__(self) -> None:
        check_clip_format(self.num_frames, self.fps, self.size)
        if self.span not in ("real_time", "whole"):
            raise InputError(f"span is {self.span!r}; choose real_time or whole")
        for name in ("trim_start", "trim_end"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give seconds, 0 or more")
        if not 0 <= self.max_dead_seconds <= 30:
            raise InputError(f"max_dead_seconds is {self.max_dead_seconds}; give 0 (off) to 30 seconds")
        if self.max_seconds <= 0 or self.max_pixels <= 0 or (self.max_frames or 1) <= 0:
            raise InputError("max_seconds, max_pixels and max_frames must be above 0")


def check_clip_format(num_frames: int, fps: float, size: int) -> None:
    """Raise `InputError` for a clip length, rate or side out of range."""
    if not 1 <= num_frames <= 1024:
        raise InputError(f"num_frames is {num_frames}; give 1 to 1024")
    if not 0 < fps <= 120:
        raise InputError(f"fps is {fps}; give a rate above 0, at most 120")
    if not 16 <= size <= 2048 or size % 2:
        raise InputError(f"size is {size}; give an even side of 16 to 2048 pixels")


@dataclass(frozen=True, kw_only=True)
class DecodedClip:
    """A clip as it came out of a file."""

    frames_THWC: np.ndarray
    """uint8 (T, size, size, 3)."""
    fps: float
    audio: Audio | None
    """Sound of the same stretch of the source; None where the file has no audio stream."""
    source_seconds: float
    """Length of the source, seconds."""
    frame_seconds: float
    """Source time from one frame to the next, seconds; `1 / fps` at true speed."""


def decode_clip(source: str | Path | bytes, options: DecodeOptions, *, name: str | None = None) -> DecodedClip:
    """Decode, trim, crop to the centre square, scale and resample. `name` is what errors call the source.

    Raises InputError for a file that is no video, is empty, truncated, too long or too large.
    """
    name = name or (str(source) if not isinstance(source, bytes) else "the uploaded clip")
    with _decoding(name), _open(source, name) as container:
        frames, start, step, seconds = _decode_frames(container, options, name, _size_in_bytes(source))
        audio = read_audio(container, start, step * options.num_frames)
    return DecodedClip(frames_THWC=frames, fps=options.fps, audio=audio, source_seconds=seconds, frame_seconds=step)


def decode_whole(path: Path) -> tuple[np.ndarray, float]:
    """Every frame of a file at the size of its first, upright, uint8 (T, H, W, 3), and its frames a second.

    Raises InputError for a file that is no video, is empty, truncated, or holds more than `WHOLE_BUDGET_PIXELS`.
    """
    name, frames, budget = str(path), [], WHOLE_BUDGET_PIXELS
    with _decoding(name), _open(path, name) as container:
        stream = _video_stream(container, name)
        _check_complete(stream, name, _size_in_bytes(path))
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        scaler, size = Scaler(), None
        for frame in container.decode(stream):
            budget -= frame.width * frame.height
            if budget < 0:
                limit = WHOLE_BUDGET_PIXELS // (frame.width * frame.height)
                raise InputError(f"{name} is too long to be read at once: cut it to {limit} frames or scale it down")
            size = size or (frame.width, frame.height)  # it may change on the way
            frames.append(scaler.upright(frame, *size))
    if not frames:
        raise InputError(f"{name} holds no picture that can be decoded")
    return np.stack(frames), float(rate)


def encode_mp4(
    frames_THWC: np.ndarray,
    fps: float,
    *,
    crf: int = 19,
    metadata: Mapping[str, str] | None = None,
    keep_size: bool = False,
) -> bytes:
    """H.264 High, yuv420p BT.709, index first ("faststart"): plays in browsers while it loads.

    Takes uint8 (T, H, W, 3) with T ≥ 1. An odd side is padded by repeating its last row or column, or with `keep_size`
    kept by storing full chroma (yuv444p, which not every player shows). `metadata` are the container's tags, any names;
    `read_metadata` gives them back.
    """
    frames = np.asarray(frames_THWC)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.size == 0:
        raise InputError(f"a clip must be uint8 (T, H, W, 3) with T ≥ 1, not {frames.dtype} {frames.shape}")
    height, width = frames.shape[1:3]
    odd = bool(height % 2 or width % 2)
    pixels = "yuv444p" if odd and keep_size else "yuv420p"
    if odd and not keep_size:
        frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    # The muxer reads its own output again to move the index to the front, so it needs a real file.
    with tempfile.TemporaryDirectory(prefix="shopreel-") as folder:
        path = Path(folder) / "clip.mp4"
        # use_metadata_tags keeps tags of any name; without it the container drops those it has no box for.
        with av.open(str(path), "w", options={"movflags": "+faststart+use_metadata_tags"}) as container:
            container.metadata.update(metadata or {})
            stream = add_h264(container, frames.shape[1:3], fps, pixels=pixels, crf=crf)
            for index, picture in enumerate(frames):
                container.mux(stream.encode(to_video_frame(picture, index, stream)))
            container.mux(stream.encode())
        return path.read_bytes()


def add_h264(
    container: av.container.OutputContainer,
    size_HW: tuple[int, int],
    fps: float,
    *,
    pixels: str = "yuv420p",
    crf: int = 19,
    **options: str,
) -> av.VideoStream:
    """A stream of H.264 BT.709 in `container`; `options` are further ones of x264."""
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    stream.height, stream.width = size_HW
    stream.pix_fmt = pixels
    profile = "high444" if pixels == "yuv444p" else "high"
    # Without B-frames the first picture has time 0 and needs no edit list.
    stream.options = {
        "crf": str(crf),
        "preset": "veryfast",
        "profile": profile,
        "bf": "0",
        "threads": "1",
        **repeatable(),
        **options,
    }
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = ITU709_TAG
    context.color_range = 1
    return stream


def to_video_frame(picture_HWC: np.ndarray, index: int, stream: av.VideoStream) -> VideoFrame:
    """Frame `index` of a stream made by `add_h264`, from uint8 (H, W, 3)."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture_HWC), format="rgb24").reformat(
        format=stream.pix_fmt, dst_colorspace=Colorspace.ITU709, interpolation=INTERPOLATION
    )
    frame.pts, frame.time_base = index, 1 / stream.codec_context.framerate
    frame.colorspace, frame.color_range = ITU709_TAG, 1
    return frame


def read_metadata(source: str | Path | bytes, *, name: str | None = None) -> dict[str, str]:
    """Tags of a video's container. Raises InputError for what is no video."""
    with _open(source, name or (str(source) if not isinstance(source, bytes) else "the clip")) as container:
        return dict(container.metadata)


def count_frames(path: Path) -> int:
    """Frames a file's index names (0 where it has none), without decoding. Raises InputError for a truncated file."""
    with _open(path, str(path)) as container:
        stream = _video_stream(container, str(path))
        _check_complete(stream, str(path), _size_in_bytes(path))
        return stream.frames


def _open(source: str | Path | bytes, name: str) -> av.container.InputContainer:
    if _size_in_bytes(source, name) == 0:
        raise InputError(f"{name} is empty (0 bytes)")
    target = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        return av.open(target, options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})
    except (av.FFmpegError, UnicodeDecodeError) as error:
        hint = "is no video, or its index is cut off (a truncated MP4)"
        raise InputError(f"{name} {hint}: {_reason(error)}") from error


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """What goes wrong in a file on the way becomes an InputError that names it."""
    try:
        yield
    except av.FFmpegError as error:
        raise InputError(f"{name} cannot be decoded: {_reason(error)}; it is damaged, re-encode it") from error
    except IndexError as error:  # PyAV looks for the track of a packet among those it met when it opened the file
        raise InputError(f"{name} cannot be decoded: a track begins on the way; re-encode it") from error


def _video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    if not container.streams.video:
        raise InputError(f"{name} has no video stream, or is truncated before it")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise InputError(f"{name} holds video of a kind that is not known; re-encode it as H.264")
    return stream


def _size_in_bytes(source: str | Path | bytes, name: str = "") -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        return Path(source).stat().st_size
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _decode_frames(
    container: av.container.InputContainer, options: DecodeOptions, name: str, size_in_bytes: int
) -> tuple[np.ndarray, float, float, float]:
    """Frames, start and step in source seconds, and the source's length."""
    stream = _video_stream(container, name)
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > options.max_pixels:
        raise InputError(f"{name} is {width}×{height}; the limit is {options.max_pixels} pixels, scale it down")
    if min(width, height) < 16:
        raise InputError(f"{name} is {width}×{height}; a side needs at least 16 pixels")
    _check_complete(stream, name, size_in_bytes)
    seconds = duration(container, stream, name)
    if seconds > options.max_seconds:
        raise InputError(f"{name} lasts {seconds:.0f} s; the limit is {options.max_seconds:.0f} s, cut it")
    if options.max_frames is not None and stream.frames > options.max_frames:
        raise InputError(f"{name} has {stream.frames} frames; the limit is {options.max_frames}, cut it")
    interval = float(1 / (stream.average_rate or stream.guessed_rate or Fraction(25)))
    reader, scaler = FrameReader(container, stream, name, interval), Scaler()
    start, end = options.trim_start, seconds - options.trim_end
    if end - start < interval / 2:
        raise InputError(f"{name} lasts {seconds:.2f} s; trim_start and trim_end leave nothing of it")
    # Dead ends are rare. Frames are taken on the way as if there were none, and once more where there are some.
    probes = trim.probes(start, end, interval=interval, max_dead_seconds=options.max_dead_seconds)
    plan = _Sampling.of(start, end, interval, options)
    wanted, pictures, thumbnails = sorted({*plan.times, *probes.times}), {}, {}
    for time, frame in zip(wanted, reader.nearest(wanted), strict=True):
        if time in plan.times:
            pictures[time] = scaler.square(frame, stream, options.size)
        if time in probes.times:
            thumbnails[time] = scaler.thumbnail(frame, trim.SIDE)
    alive = trim.without_dead_ends(probes, thumbnails, wanted_seconds=options.num_frames / options.fps)
    if alive != (start, end):
        plan = _Sampling.of(*alive, interval, options)
        found = zip(plan.times, reader.nearest(plan.times), strict=True)
        pictures = {time: scaler.square(frame, stream, options.size) for time, frame in found}
    return np.stack([pictures[time] for time in plan.times]), plan.start, plan.step, seconds


@dataclass(frozen=True)
class _Sampling:
    """When the frames of a clip are read, seconds of the source."""

    start: float
    """Of the stretch."""
    step: float
    times: tuple[float, ...]
    """Ascending."""

    @classmethod
    def of(cls, start: float, end: float, interval: float, options: DecodeOptions) -> _Sampling:
        wanted = options.num_frames / options.fps
        spare = end - start - wanted
        if options.span == "real_time" and spare > -interval / 2:
            # Whole source frames, so that equal rates pick every frame once.
            start, step, lead = start + max(0, int(spare / 2 / interval + 1e-6)) * interval, 1 / options.fps, 0.0
        else:
            step = (end - start) / options.num_frames
            lead = (step - interval) / 2  # the source frame that is shown in the middle of the step
        return cls(start, step, tuple(max(start, start + i * step + lead) for i in range(options.num_frames)))


def _check_complete(stream: av.VideoStream, name: str, size_in_bytes: int) -> None:
    """An MP4 with its index in front still opens when its end is missing: compare the index with the file."""
    entries = stream.index_entries
    cut = sum(1 for entry in entries if entry.size > 0 and entry.pos + entry.size > size_in_bytes)
    if cut:
        raise InputError(f"{name} is truncated: {cut} of {len(entries)} frames are missing; copy or export it again")
