"""A clip as a picture: its first frame as WebP, for clients that ask for `image/webp`."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import av

MEDIA_TYPE = "image/webp"
QUALITY = 82
_QUALITY = re.compile(r"q=(0(\.\d{0,3})?|1(\.0{0,3})?)", re.ASCII)


def wanted(headers: Mapping[str, str]) -> bool:
    """Whether `Accept` would rather have a WebP picture than a video: an `<img>` would, a `<video>` would not, and who
    opens or saves a clip's address in a browser (which names pages first) wants the clip.
    """
    weights = {}
    for part in headers.get("accept", "").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = next((_weight(said) for said in parameters if said.startswith("q=")), 1.0)
    video = max((weight for name, weight in weights.items() if name.startswith("video/")), default=0.0)
    return weights.get(MEDIA_TYPE, 0.0) > video and "text/html" not in weights


def _weight(said: str) -> float:
    """A quality value, RFC 9110 §12.4.2; what is none counts as the whole."""
    return float(said[2:]) if _QUALITY.fullmatch(said) else 1.0


def webp(mp4: bytes) -> bytes:
    """First frame of a clip. Decodes: call it in a thread."""
    with av.open(io.BytesIO(mp4)) as container:
        picture = next(container.decode(video=0)).to_image()
    sink = io.BytesIO()
    picture.save(sink, "WEBP", quality=QUALITY)
    return sink.getvalue()
