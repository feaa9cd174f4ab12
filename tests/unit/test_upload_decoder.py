"""Uploads meet a decoder that is bounded: whatever they do to it, the answer is frames or a problem of the client's."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import signal
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from serving.door.settings import MIB, UploadArgs
from serving.problems import Problem
from serving.uploads.decoder import FRAMES, SIDE, UploadDecoder
from tests.media import numbered_clip, read_numbers


def bounded(program: str, **bounds: Any) -> UploadDecoder:
    return UploadDecoder(UploadArgs(**{"cpu_seconds": 2, "wall_seconds": 20, **bounds}), program)


@pytest.fixture(scope="module")
def decoder() -> Iterator[UploadDecoder]:
    opened = bounded("serving.uploads.nursery", memory_bytes=256 * MIB, cpu_seconds=10)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def broken() -> Iterator[UploadDecoder]:
    opened = bounded("tests.broken_decoder", memory_bytes=128 * MIB, cpu_seconds=1)
    yield opened
    opened.close()


def refused(decoder: UploadDecoder, data: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        asyncio.run(decoder.decode(data))
    return caught.value


def test_a_clip_comes_back_as_frames(decoder: UploadDecoder) -> None:
    clip = asyncio.run(decoder.decode(numbered_clip(24, 12)))
    assert (clip.frames_THWC.shape, clip.frames_THWC.dtype, clip.fps) == ((FRAMES, SIDE, SIDE, 3), np.uint8, 12.0)
    assert read_numbers(clip.frames_THWC) == list(range(24))


@pytest.mark.parametrize(
    ("word", "status", "detail"),
    [
        pytest.param("segfault", 422, "damaged", id="segmentation-fault"),
        pytest.param("exit", 422, "damaged", id="sudden-exit"),
        pytest.param("bad", 422, "the uploaded clip is bad", id="bad-file"),
        pytest.param("lie", 422, "damaged", id="frames-of-another-shape"),
        pytest.param("babble", 422, "damaged", id="endless-answer"),
        pytest.param("spin", 413, "more than 1 s of computing", id="endless-computing"),
        pytest.param("eat", 413, "more than 128 MiB", id="too-much-memory"),
    ],
)
def test_what_an_upload_does_to_its_decoder_is_the_client_s_fault(
    broken: UploadDecoder, word: str, status: int, detail: str
) -> None:
    problem = refused(broken, word.encode())
    assert (problem.status_code, problem.errors[0]["field"]) == (status, "file")
    assert detail in problem.detail
    assert asyncio.run(broken.decode(b"fine")).frames_THWC.shape == (FRAMES, SIDE, SIDE, 3)


def test_a_decoder_that_waits_for_ever_is_ended_by_the_clock() -> None:
    decoder = bounded("tests.broken_decoder", wall_seconds=0.5)
    assert refused(decoder, b"sleep").status_code == 413
    decoder.close()


def test_a_decoder_opens_no_file_no_connection_and_no_program_and_knows_no_secret(
    broken: UploadDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPREEL_PSEUDONYM_KEY", "0" * 64)
    assert asyncio.run(broken.decode(b"look")).frames_THWC.max() == 0


def test_one_decoder_that_hangs_does_not_hold_up_the_next() -> None:
    decoder = bounded("tests.broken_decoder", decoders=2, wall_seconds=3)

    async def both() -> list[Any]:
        hanging = asyncio.ensure_future(decoder.decode(b"sleep"))
        fine = await decoder.decode(b"fine")
        assert not hanging.done()
        return [fine, *await asyncio.gather(hanging, return_exceptions=True)]

    fine, hanging = asyncio.run(both())
    assert fine.frames_THWC.max() == 0
    assert hanging.status_code == 413
    decoder.close()


def test_a_killed_nursery_is_started_again(broken: UploadDecoder) -> None:
    """`kill -9` of the process that forks decoders: the next upload is decoded all the same."""
    asyncio.run(broken.decode(b"fine"))
    os.kill(broken._nursery.pid, signal.SIGKILL)
    broken._nursery.wait()
    assert asyncio.run(broken.decode(b"fine")).fps == 12.0


def test_no_process_is_left_behind() -> None:
    decoder = bounded("tests.broken_decoder")
    asyncio.run(decoder.decode(b"fine"))
    refused(decoder, b"segfault")
    pid = decoder._nursery.pid
    decoder.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_too_many_uploads_at_a_time_are_429(broken: UploadDecoder) -> None:
    decoder = bounded("tests.broken_decoder", decoders=1, waiting=1)
    with decoder.place(), decoder.place():
        with pytest.raises(Problem) as caught, decoder.place():
            pass
        assert (caught.value.status_code, caught.value.headers["retry-after"]) == (429, "2")
    with decoder.place():
        pass


def test_an_upload_that_is_given_up_while_it_waits_leaves_memory() -> None:
    """Clients that come and go faster than uploads are decoded must not fill it."""
    decoder = bounded("tests.broken_decoder", decoders=1, wall_seconds=1)
    gone: list[bool] = []

    class Upload(bytes):
        def __del__(self) -> None:
            gone.append(True)

    async def scenario() -> None:
        hanging = asyncio.ensure_future(decoder.decode(b"sleep"))
        await asyncio.sleep(0)
        given_up = asyncio.ensure_future(decoder.decode(Upload(b"fine")))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        del given_up
        gc.collect()  # a cancelled task and its exception hold each other
        assert not hanging.done()
        assert gone == [True]
        await asyncio.gather(hanging, return_exceptions=True)

    asyncio.run(scenario())
    decoder.close()


def gif(width: int, height: int) -> bytes:
    """A few hundred bytes that ask for so many pixels."""
    sink = io.BytesIO()
    Image.new("P", (64, 64)).save(sink, "GIF", save_all=True, append_images=[Image.new("P", (64, 64), 1)] * 3)
    data = bytearray(sink.getvalue())
    data[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return bytes(data)


def long_clip(seconds: float) -> bytes:
    """40 pictures spread over so many seconds."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="matroska") as opened:
        stream = opened.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuvj420p", Fraction(1, 1000)
        frame = av.VideoFrame(64, 64, stream.pix_fmt)
        for index in range(40):
            frame.pts, frame.time_base = int(1000 * seconds * index / 40), Fraction(1, 1000)
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())
    return sink.getvalue()


@pytest.mark.parametrize(
    ("make", "detail"),
    [
        pytest.param(lambda: gif(30_000, 30_000), "pixels", id="gif-of-900-megapixels"),
        pytest.param(lambda: gif(15_360, 8_640), "15360×8640", id="16k"),
        pytest.param(lambda: long_clip(36_000), "lasts 3", id="10-hours"),
        pytest.param(lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is no video", id="picture"),
        pytest.param(
            lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n", "is no video", id="playlist"
        ),
        pytest.param(lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n", "is no video", id="concat-script"),
    ],
)
def test_bombs_and_files_that_name_other_files_are_422(decoder: UploadDecoder, make: Any, detail: str) -> None:
    problem = refused(decoder, make())
    assert (problem.status_code, problem.errors[0]["field"]) == (422, "file"), problem.detail
    assert detail in problem.detail
    assert "/" not in problem.detail


def test_more_frames_than_allowed_are_422() -> None:
    decoder = bounded("serving.uploads.nursery", max_frames=10)
    assert "has 24 frames; the limit is 10" in refused(decoder, numbered_clip(24, 12)).detail
    decoder.close()
