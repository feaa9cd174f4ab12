"""Decoded pictures scaled and turned to RGB, with the conversion's tables kept from picture to picture.

Dims: H height, W width, C = 3 (RGB).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import av
import av.filter
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from trainables.data import hdr

INTERPOLATION = int(Interpolation.BICUBIC) | int(Interpolation.ACCURATE_RND) | int(Interpolation.FULL_CHR_H_INT)
"""Bicubic with full chroma and exact rounding: swscale's fast paths shift colours by a few levels."""

UNIT = Fraction(1, 1_000_000)
UNSPECIFIED_TAG = 2  # ISO/IEC 23091-2 code point, as FFmpeg numbers it
PLAIN = "yuv420p"
"""What nearly all video is stored as."""


class Scaler:
    """Scales the frames of one file; not for several threads at once."""

    def __init__(self) -> None:
        self._smaller, self._coloured, self._grey = VideoReformatter(), VideoReformatter(), VideoReformatter()
        self._crop = cache(_Crop)

    def square(self, frame: VideoFrame, stream: av.VideoStream, size: int) -> np.ndarray:
        """uint8 (size, size, 3): upright centre square, with square pixels and the source's own colour matrix."""
        aspect = float(stream.sample_aspect_ratio or 1)
        aspect = aspect if aspect > 0 else 1.0
        side = min(frame.width * aspect, frame.height)
        width, height = max(1, min(frame.width, round(side / aspect))), min(frame.height, round(side))
        if (width, height) != (frame.width, frame.height):
            frame = self._crop(frame.width, frame.height, frame.format.name, width, height)(frame)
        return self.upright(frame, size, size)

    def upright(self, frame: VideoFrame, width: int, height: int) -> np.ndarray:
        """uint8 sRGB, scaled to `width` × `height` as stored, then turned the way it is shown."""
        matrix, rotation = frame.colorspace, frame.rotation
        if matrix == UNSPECIFIED_TAG:
            matrix = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        if frame.format.name == PLAIN and frame.color_range != ColorRange.JPEG and height < frame.height:
            # Scaled first, coloured after: the exact conversion to RGB is dear, and then has few pixels left to do.
            frame = self._smaller.reformat(frame, width, height, "yuv444p", interpolation=INTERPOLATION)
        high_range = frame.color_trc in hdr.CURVES
        pixels = self._coloured.reformat(
            frame,
            width,
            height,
            "rgb48le" if high_range else "rgb24",
            src_colorspace=matrix,
            interpolation=INTERPOLATION,
        ).to_ndarray()
        if high_range:
            pixels = hdr.to_srgb(pixels, frame.color_trc, frame.color_primaries)
        return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))

    def thumbnail(self, frame: VideoFrame, side: int) -> np.ndarray:
        """float32 (side, side) luma, 0…255."""
        return self._grey.reformat(frame, side, side, "gray").to_ndarray().astype(np.float32)


class _Crop:
    """The middle of frames of one size and format, without a copy: what is cut off need not be scaled."""

    def __init__(self, width: int, height: int, pixels: str, kept_width: int, kept_height: int) -> None:
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixels), time_base=UNIT)
        crop = self._graph.add("crop", f"{kept_width}:{kept_height}")
        self._graph.link_nodes(source, crop, self._graph.add("buffersink")).configure()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        self._graph.push(frame)
        return self._graph.pull()
