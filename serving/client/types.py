"""Answers that are no JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A rendered clip, or its poster."""

    data: bytes
    media_type: str
    """video/mp4, or image/webp for a poster."""
    clip_id: str
    """Under which the server keeps it: `ShopClient.download`."""
    model_version: str
    cached: bool
    refused: tuple[str, ...]
    """Why the render was not fit to be shown; `data` is then the original clip."""

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """What an answer to POST /v1/clips holds."""
        return cls(data=response.content, media_type=response.headers["content-type"], **_facts(response))

    def save(self, path: str | os.PathLike) -> Path:
        """Write it to a file, whole or not at all."""
        return _written(Path(path), iter([self.data]))


class ClipStream:
    """A clip while it is being rendered: iterate over its pieces (fragmented MP4), or save it."""

    def __init__(self, response: httpx.Response) -> None:
        facts = _facts(response)
        self.clip_id: str = facts["clip_id"]
        self.model_version: str = facts["model_version"]
        self.cached: bool = facts["cached"]
        self.refused: tuple[str, ...] = facts["refused"]
        """Why the original is shown from the first frame on; empty where it is not."""
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_bytes()

    def save(self, path: str | os.PathLike) -> Path:
        """Write it to a file as it arrives; the file is there once it is whole."""
        return _written(Path(path), iter(self))


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a server is."""

    alive: bool
    """It answers."""
    ready: bool
    """It can answer a feed with rendered clips."""
    reason: str | None
    """Why it is not; None where it is."""


def _facts(response: httpx.Response) -> dict:
    headers = response.headers
    return {
        "clip_id": headers["x-clip-id"],
        "model_version": headers["x-model-version"],
        "cached": headers["x-cache"] == "hit",
        "refused": tuple(json.loads(headers["x-refused"])),
    }


def _written(path: Path, pieces: Iterator[bytes]) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
