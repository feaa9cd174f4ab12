"""Photos at the border: any picture file → an upright RGB picture, or a clear refusal."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from cluster.errors import InputError

SMALLEST_SIDE = 16
LARGEST_PIXELS = 100_000_000
LARGEST_BYTES = 200 * 1024**2
LARGEST_SIDE_KEPT = 2048
"""Larger photos are reduced once to this side; camera moves of clips up to 1024 pixels lose nothing by it."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
"""What a photo of HEVC pictures, as phones take them, calls itself at its beginning (ISO/IEC 23008-12)."""

DAMAGE = (
    OSError, ValueError, TypeError, RuntimeError, SyntaxError, EOFError, LookupError, ArithmeticError, AttributeError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise for damaged files: RuntimeError for AVIF, TypeError for TIFF, struct.error for EXIF."""


@dataclass(frozen=True)
class Photo:
    """A decoded photo."""

    rgb_HWC: np.ndarray
    """uint8 (H, W, 3), upright."""
    note: str | None
    """What a person should know, such as that only the first frame of an animation was taken."""


def read_photo(data: bytes, name: str) -> Photo:
    """Decode, turn upright (EXIF), flatten transparency over white, convert CMYK, grey, 16 bits and the colours of an
    embedded profile to sRGB.

    Raises InputError naming `name` for an empty, truncated, too small or too large file and for what is no picture.
    """
    if not data:
        raise InputError(f"{name} is empty (0 bytes)")
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{name} has {len(data) // 1024**2} MiB; the limit is {LARGEST_BYTES // 1024**2} MiB")
    try:
        with warnings.catch_warnings():
            # The size is checked right below, against our own limit. Of tags that are damaged Pillow names no file, and
            # takes the picture without them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            _check_size(image, name)
            # Phones store depth maps and previews as further pictures of an MPO; that is no animation.
            animated = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
            image.draft("RGB", (LARGEST_SIDE_KEPT, LARGEST_SIDE_KEPT))  # JPEG only: decodes at a smaller scale
            image.load()
            rgb = _to_srgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        if _is_heic(data):
            fix = "convert it to JPEG or PNG (an iPhone takes JPEG where its camera format is Most Compatible)"
            raise InputError(f"{name} is a HEIC photo, which shopreel cannot read; {fix}") from error
        raise InputError(f"{name} is no picture shopreel can read ({', '.join(FORMATS)})") from error
    except DAMAGE as error:
        raise InputError(f"{name} is damaged or truncated: {error}") from error
    rgb.thumbnail((LARGEST_SIDE_KEPT, LARGEST_SIDE_KEPT), Image.Resampling.LANCZOS)
    return Photo(np.asarray(rgb), "animated: only its first frame was taken" if animated else None)


def _is_heic(data: bytes) -> bool:
    """Whether the box that the file begins with names one of the brands: its size, "ftyp", brand, version, brands."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    return data[4:8] == b"ftyp" and any(data[at : at + 4] in HEIC_BRANDS for at in range(8, end, 4))


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if min(width, height) < SMALLEST_SIDE:
        raise InputError(f"{name} is {width}×{height}; a photo needs at least {SMALLEST_SIDE} pixels a side")
    if width * height > LARGEST_PIXELS:
        raise InputError(f"{name} is {width}×{height}; the limit is {LARGEST_PIXELS // 1_000_000} megapixels")


def _to_srgb(image: Image.Image) -> Image.Image:
    """Most phones store Display P3, studios Adobe RGB, printers CMYK: taken as they are, their colours would be off."""
    plain = image if image.mode == "CMYK" else _to_rgb(image)
    if (data := image.info.get("icc_profile")) is None:
        return _to_rgb(plain)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        own_space = profile.profile.xcolor_space.strip() == plain.mode
        if not own_space or "sRGB" in ImageCms.getProfileDescription(profile):
            return _to_rgb(plain)
        return ImageCms.profileToProfile(plain, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ImageCms.PyCMSError):  # a damaged profile says nothing: as every viewer does
        return _to_rgb(plain)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, np.float32)
        top = 65535 if image.mode != "F" else max(float(values.max()), 1e-6)
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")
