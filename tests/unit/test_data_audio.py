"""Sound becomes one row of log-mel energies a frame, at the right pitch and the right time."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import clip_with_tone, numbered_clip
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
