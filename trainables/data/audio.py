"""Sound of a clip as a log-mel feature, one row a video frame.

Dims: N samples, T video frames, M mel bands, K analysis columns, F frequency bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np

SAMPLE_RATE = 16_000
MEL_BANDS = 64
WINDOW = 1024
HOP = 160
LOWEST_HERTZ, HIGHEST_HERTZ = 40.0, 8_000.0
FLOOR = 1e-7
"""Energy of silence; a full-scale tone has about 1."""

COLUMNS_A_CHUNK = 8192
RESAMPLED_SECONDS = 1.0
"""Sound that is resampled at once."""


@dataclass(frozen=True)
class Audio:
    """Mono sound."""

    samples: np.ndarray
    """float32 (N,), -1…1."""
    rate: int
    """Samples a second."""


def read_audio(container: av.container.InputContainer, start: float, seconds: float) -> Audio | None:
    """Mono 16 kHz sound of `seconds` from `start`, which counts from the first picture as `FrameReader` does; silence
    where the track is shorter, None without a track that can be decoded.
    """
    stream = container.streams.best("audio")
    if stream is None or stream.codec_context is None:
        # Phones put a second track of a kind that few programs know beside the usual one.
        stream = next((other for other in container.streams.audio if other.codec_context is not None), None)
    if stream is None:
        return None
    samples = np.zeros(max(1, round(seconds * SAMPLE_RATE)), np.float32)
    pictures = container.streams.video
    origin = (container.start_time or 0) / av.time_base
    if pictures and pictures[0].start_time is not None:
        origin = float(pictures[0].start_time * pictures[0].time_base)
    container.seek(int(max(0.0, start + origin - 0.1) / stream.time_base), stream=stream, backward=True)
    track: _Track | None = None
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if track is None:
            track = _Track(samples, round((frame.time - origin - start) * SAMPLE_RATE))
        track.add(frame)
        if track.position >= len(samples):
            break
    if track is not None:
        track.flush()
    return Audio(samples, SAMPLE_RATE)


class _Track:
    """Samples that are being filled. A resampler costs by the call, so it gets frames by the second."""

    def __init__(self, samples: np.ndarray, position: int) -> None:
        """`position` of the first frame in `samples`; the others follow it."""
        self.samples, self.position = samples, position
        self._kind: tuple[str, str, int] | None = None

    def add(self, frame: av.AudioFrame) -> None:
        """The next frame; its kind may differ from that of the one before."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self.flush()
            self._kind, self._waiting = kind, av.AudioFifo()
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        frame.pts = None  # times need not go on without a gap
        self._waiting.write(frame)
        waited = self._waiting.samples / frame.sample_rate
        if waited >= RESAMPLED_SECONDS or self.position + waited * SAMPLE_RATE >= len(self.samples):
            self.flush()

    def flush(self) -> None:
        """Put what waits in its place."""
        if self._kind is not None and self._waiting.samples:
            for piece in self._resampler.resample(self._waiting.read()):
                self.position = _place(self.samples, piece.to_ndarray().reshape(-1), self.position)


def _place(samples: np.ndarray, piece: np.ndarray, position: int) -> int:
    """Copy `piece` to `position` where it overlaps; returns the position after it."""
    first, last = max(0, -position), min(len(piece), len(samples) - position)
    if first < last:
        samples[position + first : position + last] = piece[first:last]
    return position + len(piece)


def log_mel(audio: Audio, num_frames: int, frame_seconds: float) -> np.ndarray:
    """float32 (T, 64): natural log of the mean mel energy while each video frame is shown (`frame_seconds` each).

    Short-time Fourier power (Hann, 64 ms every 10 ms) through triangular filters on the mel scale
    m = 2595·log10(1 + f/700) (O'Shaughnessy, Speech Communication, 1987).
    """
    import torch  # only clips with sound need it

    filters_MF = torch.from_numpy(mel_filters(audio.rate))
    window = torch.hann_window(WINDOW)
    energy = np.zeros((num_frames, MEL_BANDS))
    columns_of_frame = np.zeros(num_frames)
    padded = torch.nn.functional.pad(torch.from_numpy(audio.samples), (WINDOW // 2, WINDOW // 2))
    total = len(audio.samples) // HOP + 1
    for first in range(0, total, COLUMNS_A_CHUNK):
        count = min(COLUMNS_A_CHUNK, total - first)
        piece = padded[first * HOP : (first + count - 1) * HOP + WINDOW]
        spectrum_FK = torch.stft(piece, WINDOW, HOP, window=window, center=False, return_complex=True)
        # The power of a full-scale sine in its bin is (sum of window / 2)²; dividing makes it 1.
        power_FK = spectrum_FK.abs().square() / (window.sum() / 2) ** 2
        mel_KM = (filters_MF @ power_FK).T.double().numpy()
        times = (first + np.arange(len(mel_KM))) * HOP / audio.rate
        frame = np.minimum((times / frame_seconds).astype(int), num_frames - 1)
        np.add.at(energy, frame, mel_KM)
        np.add.at(columns_of_frame, frame, 1)
    # Frames shorter than a hop may get no column: they take their neighbour's.
    filled = np.flatnonzero(columns_of_frame)
    nearest = filled[np.abs(np.arange(num_frames)[:, None] - filled[None]).argmin(1)]
    mean_TM = (energy / np.maximum(columns_of_frame, 1)[:, None])[nearest]
    return np.log(mean_TM + FLOOR).astype(np.float32)


def mel_filters(rate: int) -> np.ndarray:
    """float32 (64, F): triangles whose corners are evenly spaced in mel from 40 Hz to 8 kHz."""
    corners = mel_to_hertz(np.linspace(hertz_to_mel(LOWEST_HERTZ), hertz_to_mel(HIGHEST_HERTZ), MEL_BANDS + 2))
    bins = np.arange(WINDOW // 2 + 1) * rate / WINDOW
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def hertz_to_mel(hertz: float | np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def mel_to_hertz(mel: float | np.ndarray) -> np.ndarray:
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)
