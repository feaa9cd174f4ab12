"""A generator replica shows renders that pass the gate and the original instead of those that do not; both say so."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from serving.contracts import Refusal, RenderError, RenderRequest
from serving.generator import GeneratorReplica, Sourced
from tests.e2e.tiny_shop import clip_frames
from trainables.data.style_code import CODE_DIM
from trainables.data.video import DecodeOptions, decode_clip
from trainables.generator.provenance import Provenance, read_provenance
from trainables.generator.usability.gate import UsabilityGate

FRAMES = clip_frames(1)
CODE = np.zeros(CODE_DIM, np.float32)


class FakeRestyler:
    """Darkens a clip a little, or ruins it."""

    def __init__(self, ruin: bool) -> None:
        self.ruin = ruin

    def restyle(self, clips: list[np.ndarray], codes_BS: np.ndarray, strengths: np.ndarray) -> list[np.ndarray]:
        noise = np.random.default_rng(0)
        return [noise.integers(0, 256, c.shape, np.uint8) if self.ruin else (c * 0.9).astype(np.uint8) for c in clips]


def replica(*, label: bool = False) -> GeneratorReplica:
    made = object.__new__(GeneratorReplica)
    made._gate = UsabilityGate(safety=SimpleNamespace(scores=lambda x: np.zeros(1)))
    made._deployed, made._label = "generator/7", label
    return made


def request(strength: float = 1.0, *, ruin: bool = False) -> Sourced:
    asked = RenderRequest(code_S=CODE, strength=strength, frames_THWC=FRAMES, fps=12.0, upload="abc", look="neon")
    return Sourced(asked, FRAMES, 12.0, FakeRestyler(ruin))


def frames_of(mp4: bytes) -> np.ndarray:
    return decode_clip(mp4, DecodeOptions(num_frames=len(FRAMES), size=64, max_dead_seconds=0)).frames_THWC


class PoisonedRestyler(FakeRestyler):
    """Fails any batch with a black clip in it."""

    def restyle(self, clips: list[np.ndarray], codes_BS: np.ndarray, strengths: np.ndarray) -> list[np.ndarray]:
        if any(not clip.any() for clip in clips):
            raise RuntimeError("CUDA error: device-side assert triggered")
        return super().restyle(clips, codes_BS, strengths)


def test_a_poisoned_item_fails_alone_in_its_batch() -> None:
    """The batch as a whole fails; its neighbours are rendered one by one, and what went wrong inside is not told."""
    poisoned = PoisonedRestyler(ruin=False)
    fine, asked = request(), request().request
    batch = [Sourced(asked, frames, 12.0, poisoned) for frames in (FRAMES, np.zeros_like(FRAMES), FRAMES)]
    first, second, third = replica()._render_all(batch)
    (alone,) = replica()._render_all([fine])
    assert first == third == alone
    assert isinstance(second, RenderError)
    assert "CUDA" not in str(second)


def test_a_usable_render_says_where_it_comes_from() -> None:
    (made,) = replica()._render_all([request()])
    expected = Provenance(task="restyle", model="generator/7", product="upload:abc", look="neon")
    assert read_provenance(made) == expected


def test_an_unusable_render_is_replaced() -> None:
    (made,) = replica()._render_all([request(ruin=True)])
    assert isinstance(made, Refusal)
    assert {"unrecognisable", "flickers"} <= {reason.partition(":")[0] for reason in made.reasons}
    assert read_provenance(made.original) == Provenance(task="original", product="upload:abc", refused=made.reasons)
    assert np.abs(frames_of(made.original).astype(int) - FRAMES).mean() < 3


def test_strength_zero_is_the_original_and_not_generated() -> None:
    (made,) = replica()._render_all([request(strength=0.0, ruin=True)])
    assert read_provenance(made) == Provenance(task="original", product="upload:abc")


@pytest.mark.parametrize("label", [False, True])
def test_the_visible_label_is_drawn_where_it_is_asked_for(label: bool) -> None:
    (made,) = replica(label=label)._render_all([request()])
    corner = frames_of(made)[:, 48:, :44].astype(int) - (FRAMES[:, 48:, :44] * 0.9).astype(int)
    assert (np.abs(corner).mean() > 15) == label
