"""Decoding gives exactly the frames asked for, refuses what is damaged by name, and encodes what browsers play."""

from __future__ import annotations

import io
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cluster.errors import InputError
from tests.media import high_range_clip, numbered_clip, numbered_frames, read_numbers
from trainables.data.frame_reader import FrameReader
from trainables.data.hdr import BT2020_TAG, PQ_TAG, to_srgb
from trainables.data.video import DecodeOptions, decode_clip, decode_whole, encode_mp4

SMALL = {"size": 64}


@pytest.mark.parametrize(
    ("count", "fps", "expected"),
    [
        pytest.param(24, 12, list(range(24)), id="same rate and length: every frame once"),
        pytest.param(48, 24, list(range(0, 48, 2)), id="double rate: every second frame"),
        pytest.param(120, 12, list(range(48, 72)), id="longer: the middle, at true speed"),
        pytest.param(12, 12, [i // 2 for i in range(24)], id="shorter: spread evenly"),
        pytest.param(1, 12, [0] * 24, id="one frame: held"),
    ],
)
def test_resampling_picks_the_frames_of_the_right_times(count: int, fps: int, expected: list[int]) -> None:
    clip = decode_clip(numbered_clip(count, fps), DecodeOptions(**SMALL))
    assert read_numbers(clip.frames_THWC) == expected
    assert clip.frames_THWC.shape == (24, 64, 64, 3)
    assert clip.fps == 12
    assert clip.source_seconds == pytest.approx(count / fps, abs=0.01)


def test_a_rate_that_does_not_divide_takes_the_nearest_frame() -> None:
    clip = decode_clip(numbered_clip(50, 25), DecodeOptions(num_frames=24, fps=12, **SMALL))
    assert read_numbers(clip.frames_THWC) == [int(np.ceil(i * 25 / 12 - 0.5)) for i in range(24)]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("even", [True, False], ids=["even", "uneven"])
def test_frames_that_nothing_refers_to_are_found_where_they_are_nearest(tmp_path: Path, codec: str, even: bool) -> None:
    """B-frames are left out of decoding unless they are wanted: at any rate, and again after a second look."""
    rng = np.random.default_rng(0)
    at_ms = np.cumsum(np.full(200, 40) if even else rng.integers(10, 300, 200))
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        stream.options = {"bf": "3", "qscale": "2", "g": "60"}
        for shown, picture in zip(at_ms, numbered_frames(list(range(200))), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(shown), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    seconds = (at_ms - at_ms[0]) / 1000
    with av.open(str(path)) as container:
        reader = FrameReader(container, container.streams.video[0], path.name, 0.04)
        for count in (9, 150):
            times = np.sort(rng.uniform(0, seconds[-1], count)).tolist()
            pictures = [frame.to_ndarray(format="rgb24") for frame in reader.nearest(times)]
            assert read_numbers(np.stack(pictures)) == [int(np.abs(seconds - time).argmin()) for time in times]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
@pytest.mark.parametrize("reordered", ["0", "2"], ids=["without B-frames", "with B-frames"])
def test_frames_of_an_avi_are_found_in_the_order_they_are_shown(tmp_path: Path, codec: str, reordered: str) -> None:
    """An AVI has no times, only the order that frames are stored in; read on, after seeks and from the start again."""
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p", {"bf": reordered, "qscale": "2", "g": "40"}
        for shown, picture in enumerate(numbered_frames(list(range(250)))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = shown, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        reader = FrameReader(container, container.streams.video[0], path.name, 0.04)
        for wanted in (range(250), [0, 121, 242], [3, 249], [38, 39, 40, 41], range(1, 250, 4), [120], [247, 248]):
            pictures = [frame.to_ndarray(format="rgb24") for frame in reader.nearest([place / 25 for place in wanted])]
            assert read_numbers(np.stack(pictures)) == list(wanted)


def test_the_whole_span_shows_start_to_end() -> None:
    clip = decode_clip(numbered_clip(120, 12), DecodeOptions(span="whole", **SMALL))
    assert read_numbers(clip.frames_THWC) == [2 + 5 * i for i in range(24)]
    assert clip.frame_seconds == pytest.approx(5 / 12)


@pytest.mark.parametrize("count", [1, 7, 16, 48])
@pytest.mark.parametrize("fps", [8.0, 12.0, 29.97])
def test_frame_count_and_rate_are_exact(count: int, fps: float) -> None:
    clip = decode_clip(numbered_clip(30, 30), DecodeOptions(num_frames=count, fps=fps, size=32))
    assert clip.frames_THWC.shape == (count, 32, 32, 3)
    assert clip.frames_THWC.dtype == np.uint8
    assert clip.fps == fps


def test_black_ends_are_trimmed() -> None:
    black = np.zeros((12, 64, 64, 3), np.uint8)
    frames = np.concatenate([black, numbered_frames(list(range(24))), black])
    assert read_numbers(decode_clip(encode_mp4(frames, 12), DecodeOptions(**SMALL)).frames_THWC) == list(range(24))


def test_a_still_lead_in_is_trimmed_and_a_still_clip_is_not() -> None:
    still = numbered_frames([0] * 12)
    moving = encode_mp4(np.concatenate([still, numbered_frames(list(range(1, 25)))]), 12)
    # The trimmed stretch starts at the last still frame; 24 of its 25 frames fit.
    assert read_numbers(decode_clip(moving, DecodeOptions(**SMALL)).frames_THWC) == list(range(24))
    whole = decode_clip(encode_mp4(numbered_frames([5] * 36), 12), DecodeOptions(**SMALL))
    assert read_numbers(whole.frames_THWC) == [5] * 24


def test_trimming_is_bounded_and_can_be_switched_off() -> None:
    frames = np.concatenate([np.zeros((24, 64, 64, 3), np.uint8), numbered_frames(list(range(1, 49)))])
    data = encode_mp4(frames, 12)
    bounded = decode_clip(data, DecodeOptions(max_dead_seconds=1, num_frames=60, **SMALL))
    assert read_numbers(bounded.frames_THWC) == [0] * 12 + list(range(1, 49))
    untouched = decode_clip(data, DecodeOptions(max_dead_seconds=0, num_frames=72, **SMALL))
    assert read_numbers(untouched.frames_THWC) == [0] * 24 + list(range(1, 49))


@pytest.mark.parametrize("pause", [2000, 20_000])
def test_a_last_frame_that_is_held_is_not_taken_for_a_truncation(pause: int) -> None:
    """Animated GIFs pause on their last picture; recordings of uneven rate do, too."""
    first, *others = [Image.fromarray(picture) for picture in numbered_frames(list(range(10)))]
    data = io.BytesIO()
    first.save(data, "GIF", save_all=True, append_images=others, duration=[100] * 9 + [pause])
    clip = decode_clip(data.getvalue(), DecodeOptions(span="whole", max_dead_seconds=0, num_frames=29, **SMALL))
    numbers = read_numbers(clip.frames_THWC)
    assert clip.source_seconds == pytest.approx(0.9 + pause / 1000)
    assert numbers == sorted(numbers) and numbers[-1] == 9


def test_explicit_trims_are_always_cut() -> None:
    options = DecodeOptions(trim_start=1.0, trim_end=2.0, **SMALL)
    assert read_numbers(decode_clip(numbered_clip(60, 12), options).frames_THWC) == list(range(12, 36))
    with pytest.raises(InputError, match="leave nothing"):
        decode_clip(numbered_clip(12, 12), options)


def test_the_centre_square_is_kept() -> None:
    wide = np.zeros((4, 64, 192, 3), np.uint8)
    wide[:, :, :64], wide[:, :, 64:128], wide[:, :, 128:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    clip = decode_clip(encode_mp4(wide, 12), DecodeOptions(num_frames=4, size=64))
    inner = clip.frames_THWC[:, 8:-8, 8:-8].astype(int)
    assert (inner[..., 1] > 240).all()
    assert (inner[..., [0, 2]] < 16).all()


def test_a_rotated_recording_comes_out_upright() -> None:
    upright = np.zeros((64, 64, 3), np.uint8)
    upright[:32] = 255  # white above, black below
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(90)
        for index in range(4):
            # What a phone held on its side stores: the picture turned clockwise, and a note to turn it back.
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(upright, -1)), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    clip = decode_clip(data.getvalue(), DecodeOptions(num_frames=4, size=64))
    assert clip.frames_THWC[0, 4:24].mean() > 230
    assert clip.frames_THWC[0, 40:60].mean() < 25


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.995])
def test_a_truncated_mp4_is_refused_by_name(tmp_path: Path, share: float) -> None:
    whole = numbered_clip(60, 12)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"cut\.mp4.*truncated"):
        decode_clip(path, DecodeOptions())


def h264(side: int) -> bytes:
    """12 frames of raw H.264."""
    data = io.BytesIO()
    with av.open(data, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = side
        stream.pix_fmt, stream.options = "yuv420p", {"bf": "0"}
        for index, picture in enumerate(numbered_frames(list(range(12)), side)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return data.getvalue()


def test_a_file_whose_picture_size_changes_is_read_at_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    with av.open(io.BytesIO(h264(64) + h264(96)), format="h264") as source, av.open(str(path), "w") as joined:
        stream = joined.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.pts = packet.dts = index * 7500
            packet.time_base, packet.stream = Fraction(1, 90_000), stream
            joined.mux(packet)
    frames_THWC, _ = decode_whole(path)
    assert frames_THWC.shape == (24, 64, 64, 3)
    assert read_numbers(frames_THWC) == list(range(12)) * 2
    assert read_numbers(decode_clip(path, DecodeOptions(**SMALL)).frames_THWC) == list(range(12)) * 2


def test_an_mp4_without_its_index_is_refused_by_name(tmp_path: Path) -> None:
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:  # index at the end
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for picture in numbered_frames(list(range(24))):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path = tmp_path / "unfinished.mp4"
    path.write_bytes(data.getvalue()[:-600])
    with pytest.raises(InputError, match=r"unfinished\.mp4.*truncated"):
        decode_clip(path, DecodeOptions())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "is empty", id="zero bytes"),
        pytest.param(b"not a video at all\n" * 50, "is no video", id="text"),
        pytest.param(b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "is no video", id="playlist that names other files"),
        pytest.param(bytes(range(256)) * 40, "is no video", id="noise"),
    ],
)
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"clip\.mp4 {reason}"):
        decode_clip(path, DecodeOptions())


def test_a_missing_file_and_an_audio_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.mp4 cannot be read"):
        decode_clip(tmp_path / "none.mp4", DecodeOptions())
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match=r"song\.mp4 has no video stream"):
        decode_clip(path, DecodeOptions())


def ten_hours(tmp_path: Path) -> Path:
    """20 frames, each shown for half an hour."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "0", "g": "1"}
        for index, picture in enumerate(numbered_frames(list(range(20)))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index * 1800, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_ten_hour_file_is_refused_or_read_by_seeking(tmp_path: Path) -> None:
    path = ten_hours(tmp_path)
    with pytest.raises(InputError, match=r"long\.mp4 lasts 3\d{4} s; the limit is 1800 s"):
        decode_clip(path, DecodeOptions())
    started = time.perf_counter()
    clip = decode_clip(path, DecodeOptions(max_seconds=40_000, span="whole", num_frames=8, size=64, max_dead_seconds=0))
    assert read_numbers(clip.frames_THWC) == sorted(read_numbers(clip.frames_THWC))
    assert len(set(read_numbers(clip.frames_THWC))) == 8
    assert time.perf_counter() - started < 5


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(InputError, match=r"64×64; the limit is 4000 pixels"):
        decode_clip(numbered_clip(2, 12), DecodeOptions(max_pixels=4000))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("num_frames", 0),
        ("fps", 0.0),
        ("size", 33),
        ("size", 8),
        ("trim_start", -1.0),
        ("max_dead_seconds", 99.0),
        ("span", "half"),
    ],
)
def test_options_out_of_range_are_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(InputError, match=setting):
        DecodeOptions(**{setting: value})


def test_encoding_makes_what_browsers_play() -> None:
    data = numbered_clip(24, 12)
    assert data.index(b"moov") < data.index(b"mdat")  # starts before it is loaded
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.profile == "High"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12
        frames = list(container.decode(stream))
    assert [round(frame.time * 12) for frame in frames] == list(range(24))


@pytest.mark.parametrize(
    ("shape", "encoded"),
    [((1, 64, 64), (64, 64)), ((3, 63, 65), (64, 66)), ((2, 128, 96), (128, 96))],
    ids=["one frame", "odd sides are padded", "not square"],
)
def test_any_length_and_size_can_be_encoded(shape: tuple[int, int, int], encoded: tuple[int, int]) -> None:
    with av.open(io.BytesIO(encode_mp4(np.full((*shape, 3), 90, np.uint8), 12))) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == shape[0]
    assert (frames[0].height, frames[0].width) == encoded


@pytest.mark.parametrize("colour", [(200, 40, 90), (20, 160, 60), (250, 250, 250), (10, 20, 200)])
def test_colours_survive_encoding_and_decoding(colour: tuple[int, int, int]) -> None:
    frames = np.empty((4, 64, 64, 3), np.uint8)
    frames[:] = colour
    back = decode_clip(encode_mp4(frames, 12), DecodeOptions(num_frames=4, size=64)).frames_THWC
    assert np.abs(back.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("curve", [16, 18], ids=["PQ", "HLG"])
@pytest.mark.parametrize("colour", [(200, 60, 40), (30, 120, 180), (150, 150, 150)])
def test_high_dynamic_range_comes_out_in_the_colours_that_were_seen(colour: tuple[int, int, int], curve: int) -> None:
    frames_THWC = decode_clip(high_range_clip(colour, curve), DecodeOptions(num_frames=4, size=64)).frames_THWC
    assert np.abs(frames_THWC.astype(int) - colour).max() <= 4


def test_highlights_roll_off_below_white() -> None:
    def shown(signal: float) -> int:
        return int(to_srgb(np.full((1, 1, 3), round(signal * 65535), np.uint16), PQ_TAG, BT2020_TAG).max())

    page_white, twice, sun = shown(0.5807), shown(0.6544), shown(1.0)
    assert 240 < page_white < twice <= sun == 255
    assert shown(0.0) == 0


def test_encoding_refuses_what_is_no_clip() -> None:
    for bad in (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.float32)):
        with pytest.raises(InputError, match="uint8"):
            encode_mp4(bad, 12)


def test_the_same_pictures_give_the_same_bytes() -> None:
    """Sides that are no multiples of 16, between allocations that move the frames about in memory."""
    frames = np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3), np.uint8)
    between = []
    made = set()
    for number in range(60):
        between.append(bytes(1000 + 531 * number))
        made.add(encode_mp4(frames.copy(), 12.0))
    assert len(made) == 1
