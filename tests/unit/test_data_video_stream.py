"""Fragmented MP4: what was handed over plays before the rest exists."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from tests.e2e.tiny_shop import clip_frames
from trainables.data.video import encode_mp4
from trainables.data.video_stream import FragmentedMp4
from trainables.generator.provenance import Provenance, read_provenance


def pictures(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_first_frames_play_before_the_rest_is_made() -> None:
    frames, writer = clip_frames(1), FragmentedMp4((64, 64), 12.0)
    begun = writer.add(frames[:4])
    assert begun[4:8] == b"ftyp"
    assert b"moov" in begun
    assert len(pictures(begun)) >= 3  # a fragment closes when the next one begins
    whole = begun + writer.add(frames[4:]) + writer.finish()
    assert len(pictures(whole)) == len(frames)
    assert np.abs(pictures(whole).astype(int) - pictures(encode_mp4(frames, 12.0))).mean() < 2


@pytest.mark.parametrize("size", [(63, 64), (64, 63)])
def test_odd_sides_are_padded(size: tuple[int, int]) -> None:
    writer = FragmentedMp4(size, 12.0)
    data = writer.add(clip_frames(1)[:, : size[0], : size[1]]) + writer.finish()
    assert pictures(data).shape[1:3] == (64, 64)


def test_the_stream_says_where_it_comes_from() -> None:
    said = Provenance(task="restyle", model="generator/7", product="mug", look="neon")
    writer = FragmentedMp4((64, 64), 12.0, metadata=said.metadata())
    assert read_provenance(writer.add(clip_frames(1)) + writer.finish()) == said
