"""Sound becomes one row of log-mel energies a frame, at the right pitch and the right time."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cluster.errors import InputError
from tests.media import clip_with_tone, numbered_clip, numbered_frames, read_numbers
from trainables.data.audio import (
    FLOOR,
    HIGHEST_HERTZ,
    LOWEST_HERTZ,
    MEL_BANDS,
    SAMPLE_RATE,
    Audio,
    hertz_to_mel,
    log_mel,
    mel_filters,
    mel_to_hertz,
    read_audio,
)
from trainables.data.video import DecodeOptions, decode_clip


def band_of(hertz: float) -> int:
    """The mel band whose triangle peaks nearest to a frequency."""
    corners = mel_to_hertz(np.linspace(hertz_to_mel(LOWEST_HERTZ), hertz_to_mel(HIGHEST_HERTZ), MEL_BANDS + 2))
    return int(np.abs(corners[1:-1] - hertz).argmin())


def tone(hertz: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(SAMPLE_RATE * seconds)) / SAMPLE_RATE).astype(np.float32)


def test_the_mel_scale_has_its_known_values() -> None:
    assert hertz_to_mel(1000.0) == pytest.approx(999.99, abs=0.01)
    assert hertz_to_mel(700.0) == pytest.approx(2595 * np.log10(2))
    assert mel_to_hertz(hertz_to_mel(440.0)) == pytest.approx(440.0)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_peaks_in_its_band(hertz: float) -> None:
    feature = log_mel(Audio(tone(hertz), SAMPLE_RATE), 24, 1 / 12)
    assert feature.shape == (24, MEL_BANDS)
    assert feature.dtype == np.float32
    assert (np.abs(feature.argmax(1) - band_of(hertz)) <= 1).all()


def test_a_full_scale_tone_has_energy_near_one() -> None:
    centre = mel_to_hertz(np.linspace(hertz_to_mel(LOWEST_HERTZ), hertz_to_mel(HIGHEST_HERTZ), MEL_BANDS + 2))[31]
    # The Hann window spreads a tone over neighbouring bins, which the triangle adds up.
    assert -0.7 < log_mel(Audio(tone(float(centre)), SAMPLE_RATE), 1, 2.0).max() < 0.7


def test_sound_lands_in_the_frames_in_which_it_is_heard() -> None:
    samples = tone(1000.0)
    samples[:SAMPLE_RATE] = 0
    loud = log_mel(Audio(samples, SAMPLE_RATE), 24, 1 / 12)[:, band_of(1000.0)]
    assert (loud[:11] < np.log(FLOOR) + 1).all()
    assert (loud[13:] > -2).all()


def test_silence_is_the_floor_and_short_frames_have_values() -> None:
    assert np.allclose(log_mel(Audio(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE), 12, 1 / 12), np.log(FLOOR))
    assert np.isfinite(log_mel(Audio(tone(500.0, 0.05), SAMPLE_RATE), 24, 0.05 / 24)).all()


def test_filters_cover_every_band() -> None:
    filters = mel_filters(SAMPLE_RATE)
    assert filters.shape == (MEL_BANDS, 513)
    assert (filters >= 0).all()
    assert filters.max() <= 1
    assert (filters.sum(1) > 0).all()


def test_the_sound_of_a_clip_is_kept_and_a_silent_film_has_none(tmp_path: Path) -> None:
    clip = decode_clip(clip_with_tone(tmp_path / "tone.mp4", 1000.0), DecodeOptions(size=64))
    assert clip.audio is not None
    feature = log_mel(clip.audio, 24, clip.frame_seconds)
    assert (np.abs(feature[2:-2].argmax(1) - band_of(1000.0)) <= 1).all()
    assert decode_clip(numbered_clip(24, 12), DecodeOptions(size=64)).audio is None


def film(kind: str, *, first_picture: float, sound: float) -> bytes:
    """24 pictures at 12 fps from `first_picture` on, and `sound` seconds of sound from 0 on, the last one a tone."""
    data, rate = io.BytesIO(), SAMPLE_RATE
    with av.open(data, "w", format=kind) as container:
        video = container.add_stream("libx264", rate=12)
        video.width = video.height = 64
        video.pix_fmt, video.options = "yuv420p", {"bf": "0"}
        track = container.add_stream("aac", rate=rate, layout="mono")
        for index, picture in enumerate(numbered_frames(list(range(24)))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index + round(12 * first_picture), Fraction(1, 12)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        wave = np.concatenate([np.zeros(int((sound - 1) * rate), np.float32), 0.5 * tone(1000.0, 1.0)])
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return data.getvalue()


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_sound_that_begins_before_the_pictures_stays_with_them(kind: str) -> None:
    clip = decode_clip(film(kind, first_picture=1.0, sound=3.0), DecodeOptions(size=64))
    assert read_numbers(clip.frames_THWC) == list(range(24))
    loud = np.abs(clip.audio.samples) > 0.2
    assert loud.argmax() / SAMPLE_RATE == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", ["mp4", "matroska", "flv"])
def test_a_track_that_outlasts_the_pictures_is_no_truncation(kind: str) -> None:
    clip = decode_clip(film(kind, first_picture=0.0, sound=4.0), DecodeOptions(size=64))
    assert read_numbers(clip.frames_THWC) == list(range(24))
    assert clip.source_seconds == pytest.approx(2.0, abs=0.1)


def test_a_matroska_file_that_is_cut_off_is_refused() -> None:
    whole = film("matroska", first_picture=0.0, sound=4.0)
    with pytest.raises(InputError, match=r"cut\.mkv is truncated: it ends at .* of 4\.\d s"):
        decode_clip(whole[: len(whole) // 2], DecodeOptions(size=64), name="cut.mkv")


def test_a_track_that_begins_on_the_way_is_refused_by_name() -> None:
    data = bytearray(film("flv", first_picture=0.0, sound=4.0))
    tags, place = [], 13
    while place < len(data):
        tags.append(place)
        place += 11 + int.from_bytes(data[place + 1 : place + 4], "big") + 4
    last_sound = max(tag for tag in tags if data[tag] == 8)
    data[last_sound + 11] = 0x97  # another codec
    with pytest.raises(InputError, match=r"cam\.flv cannot be decoded: a track begins on the way"):
        decode_clip(bytes(data), DecodeOptions(size=64), name="cam.flv")


def transport_stream(path: Path, layout: str, hertz: float, rate: int) -> None:
    """A second of a tone as AAC."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)
        channels = 2 if layout == "stereo" else 1
        for start in range(0, rate - 1024, 1024):
            piece = np.ascontiguousarray(np.tile(wave[start : start + 1024], (channels, 1)))
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_track_whose_layout_and_rate_change_goes_on(tmp_path: Path) -> None:
    """Two recordings joined byte by byte, as set-top boxes and cameras do."""
    transport_stream(tmp_path / "a.ts", "mono", 440.0, 44_100)
    transport_stream(tmp_path / "b.ts", "stereo", 880.0, 48_000)
    (tmp_path / "joined.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with av.open(str(tmp_path / "joined.ts")) as container:
        audio = read_audio(container, 0.0, 1.8)
    for part, hertz in ((slice(2_000, 14_000), 440.0), (slice(18_000, 28_000), 880.0)):
        spectrum = np.abs(np.fft.rfft(audio.samples[part] * np.hanning(part.stop - part.start)))
        assert spectrum.argmax() * SAMPLE_RATE / (part.stop - part.start) == pytest.approx(hertz, abs=5)


@pytest.mark.parametrize("tracks", [1, 2])
def test_a_track_of_a_kind_that_is_not_known_is_left_out(tmp_path: Path, tracks: int) -> None:
    """Phones store spatial sound beside the usual kind; where it is the only track, the clip comes in without sound."""
    whole = clip_with_tone(tmp_path / "tone.mp4", 1000.0, tracks=tracks).read_bytes()
    clip = decode_clip(whole.replace(b"mp4a", b"apac", 1).replace(b"esds", b"free", 1), DecodeOptions(size=32))
    assert clip.frames_THWC.shape == (24, 32, 32, 3)
    assert (clip.audio is not None) == (tracks > 1)
    if clip.audio is not None:
        assert log_mel(clip.audio, 24, clip.frame_seconds).argmax(1).tolist() == [band_of(1000.0)] * 24
