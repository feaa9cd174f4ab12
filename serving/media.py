"""Clips over HTTP: byte ranges and conditional requests (RFC 9110 §13 and §14) for bytes that never change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.responses import Response

from serving.problems import Problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `stop` (exclusive) of a representation."""

    start: int
    stop: int


class UnsatisfiableRangeError(ValueError):
    """The range lies outside the representation."""


def parse_range(header: str | None, size: int) -> Span | None:
    """The one range asked for; None means the whole (no header, several ranges, or a header that is no byte range)."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last N bytes
        if int(last) == 0 or size == 0:
            raise UnsatisfiableRangeError(header)
        return Span(max(0, size - int(last)), size)
    start = int(first)
    if last and int(last) < start:
        return None  # RFC 9110 §14.1.1: invalid, hence ignored
    if start >= size:
        raise UnsatisfiableRangeError(header)
    return Span(start, min(int(last) + 1, size) if last else size)


def matches(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` value names `etag` (weak comparison)."""
    if not header:
        return False
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def respond(
    data: bytes,
    *,
    tag: str,
    media_type: str,
    headers: Mapping[str, str],
    cache_control: str,
    extra: Mapping[str, str] | None = None,
) -> Response:
    """200, 206, 304 or 416 for immutable bytes whose entity tag is `tag`; `headers` are the request's."""
    etag = f'"{tag}"'
    common = {"etag": etag, "cache-control": cache_control, "accept-ranges": "bytes", **(extra or {})}
    if matches(headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=common)
    wanted = headers.get("range") if headers.get("if-range", etag) == etag else None
    try:
        span = parse_range(wanted, len(data))
    except UnsatisfiableRangeError as error:
        raise Problem(
            416, f"the clip has {len(data)} bytes", headers={"content-range": f"bytes */{len(data)}"}
        ) from error
    if span is None:
        return Response(data, headers=common, media_type=media_type)
    common["content-range"] = f"bytes {span.start}-{span.stop - 1}/{len(data)}"
    return Response(data[span.start : span.stop], 206, headers=common, media_type=media_type)
