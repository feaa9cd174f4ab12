"""A clip as a picture: its first frame as WebP, for clients that ask for `image/webp`."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av

MEDIA_TYPE = "image/webp"
QUALITY = 82


def wanted(headers: Mapping[str, str]) -> bool:
    """Whether `Accept` asks for a WebP picture and for no video: an `<img>` does, a `<video>` does not."""
    accepted = [part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")]
    return MEDIA_TYPE in accepted and not any(part.startswith("video/") for part in accepted)


def webp(mp4: bytes) -> bytes:
    """First frame of a clip. Decodes: call it in a thread."""
    with av.open(io.BytesIO(mp4)) as container:
        picture = next(container.decode(video=0)).to_image()
    sink = io.BytesIO()
    picture.save(sink, "WEBP", quality=QUALITY)
    return sink.getvalue()
