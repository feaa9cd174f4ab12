"""Media made for tests: clips whose frames carry their number, tones, photos, damaged files."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from trainables.data.hdr import BT2020_TAG, BT2020_TO_BT709, PQ_TAG
from trainables.data.video import encode_mp4

BITS = 8


def numbered_frames(numbers: list[int], side: int = 64) -> np.ndarray:
    """uint8 (T, side, side, 3): each frame shows its number as 8 black or white bars on grey."""
    frames = np.full((len(numbers), side, side, 3), 128, np.uint8)
    for frame, number in zip(frames, numbers, strict=True):
        for bit in range(BITS):
            frame[side // 4 : 3 * side // 4, bit * side // BITS : (bit + 1) * side // BITS] = 255 * (number >> bit & 1)
    return frames


def read_numbers(frames_THWC: np.ndarray) -> list[int]:
    """Inverse of `numbered_frames`, at any size."""
    side = frames_THWC.shape[1]
    centres = ((np.arange(BITS) + 0.5) * side / BITS).astype(int)
    bars = frames_THWC[:, side // 2, centres, 1] > 128
    return [int(sum(1 << bit for bit in range(BITS) if row[bit])) for row in bars]


def numbered_clip(count: int, fps: float, side: int = 64) -> bytes:
    return encode_mp4(numbered_frames(list(range(count)), side), fps)


def clip_with_tone(path: Path, hertz: float, *, seconds: int = 2, rate: int = 44_100, tracks: int = 1) -> Path:
    """24 frames at 12 fps with a stereo AAC tone, on one or more tracks."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=12)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sounds = [container.add_stream("aac", rate=rate, layout="stereo") for _ in range(tracks)]
        for index, picture in enumerate(numbered_frames(list(range(12 * seconds)))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        wave = np.sin(2 * np.pi * hertz * np.arange(rate * seconds) / rate).astype(np.float32) * 0.5
        for start in range(0, len(wave), 1024):
            piece = wave[start : start + 1024]
            frame = av.AudioFrame.from_ndarray(np.stack([piece, piece]), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for sound in sounds:
                container.mux(sound.encode(frame))
        for sound in sounds:
            container.mux(sound.encode())
    return path


def high_range_clip(colour: tuple[int, int, int], curve: int, width: int = 96, height: int = 128) -> bytes:
    """4 frames of one sRGB colour as phones store it: HEVC, 10 bits, BT.2020, PQ (16) or HLG (18), white at 203 cd/m².

    The curves are written out as ITU-R BT.2100 has them.
    """
    value = np.array(colour) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    nits = 203 * np.linalg.inv(BT2020_TO_BT709.astype(float)) @ light
    if curve == PQ_TAG:
        power = (nits / 10_000) ** (2610 / 16384)
        signal = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    else:
        screen = nits / 1000
        scene = screen * (screen @ [0.2627, 0.6780, 0.0593]) ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    picture = np.empty((height, width, 3), np.uint16)
    picture[:] = np.rint(signal * 65535)
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx265", rate=12)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none", "crf": "4"}
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = curve, BT2020_TAG, 9, 1
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=9)
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return data.getvalue()


def textured_photo(width: int = 240, height: int = 320, seed: int = 0) -> Image.Image:
    """Smooth coloured blobs: motion shows everywhere, nothing aliases."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (max(2, height // 20), max(2, width // 20), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def photo_bytes(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def write_bad_photos(folder: Path) -> dict[str, bytes]:
    """Every kind of photo that must be set aside; returns what was written."""
    whole = photo_bytes(textured_photo())
    bad = {
        "zero_bytes.jpg": b"",
        "one_pixel.png": photo_bytes(Image.new("RGB", (1, 1)), "PNG"),
        "truncated.jpg": whole[: len(whole) // 2],
        "text.png": b"these are words, not pixels\n" * 20,
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    return bad
