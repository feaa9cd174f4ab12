"""Training, bundles and the repairer: the same seed gives the same weights, sound pixels come back untouched."""

import json
import math

import cv2
import numpy as np
import pytest
import torch

from cluster.config import override
from cluster.errors import InputError
from tests.generator_tiny import Clips, Recorder, cpu_fabric, differences
from trainables.bundle import read_bundle, write_bundle
from trainables.generator.repair.candidates import NAMES, find_candidates
from trainables.generator.repair.config import DamageConfig, RepairTrainConfig
from trainables.generator.repair.motion import ClipMotion
from trainables.generator.repair.network import FARTHEST, NetworkConfig, RepairNetwork
from trainables.generator.repair.repairer import Repairer, save_bundle
from trainables.generator.repair.samples import SampleStore
from trainables.generator.repair.task import TASK
from trainables.generator.repair.updates import RepairUpdates
from trainables.generator.train import train
from trainables.runs.checkpoints import Checkpoints

SMALL = NetworkConfig(widths=(8, 8, 8), blocks=1)
TINY = override(
    RepairTrainConfig(),
    [
        "steps=4",
        "batch_size=2",
        "frame_size=32",
        "checkpoint_every=2",
        "sheet_every=1000",
        "network.widths=[8, 8, 8]",
        "network.blocks=1",
        "damage.variants=1",
    ],
)


def run(storage, name, config=TINY, on_step=None) -> tuple[Checkpoints, Recorder]:
    checkpoints, sink = Checkpoints(storage, f"runs/{name}"), Recorder()
    train(config, Clips(2), cpu_fabric(), sink=sink, checkpoints=checkpoints, on_step=on_step)
    return checkpoints, sink


@pytest.fixture
def repairer() -> Repairer:
    torch.manual_seed(0)
    network = RepairNetwork(SMALL)
    torch.nn.init.normal_(network.head.weight, std=0.05)
    return Repairer(network)


def hole(clip: np.ndarray) -> np.ndarray:
    mask = np.zeros(clip.shape[:3], bool)
    for t in range(len(clip)):
        mask[t, 10 + t % 9 : 24 + t % 9, 12:26] = True
    return mask


def test_a_stopped_training_goes_on_to_the_same_bits_and_twice_the_same_seed_gives_the_same_weights(storage):
    class InterruptionError(Exception):
        pass

    def stop(step: int, _: dict[str, float]) -> None:
        if step == 3:
            raise InterruptionError

    straight, sink = run(storage, "straight")
    assert {"loss/hole", "loss/fidelity", "loss/temporal", "loss/detail"} <= sink.lines[0].keys()
    with pytest.raises(InterruptionError):
        run(storage, "stopped", on_step=stop)
    resumed, sink = run(storage, "stopped")
    assert [line["step"] for line in sink.lines] == [3, 4]
    assert differences(straight.newest(), resumed.newest()) == []
    before = straight.load("step-00000002.ckpt")
    assert differences(before["network"], straight.newest()["network"])


def test_a_sample_does_not_depend_on_what_was_asked_for_before():
    clips = Clips(2)
    full, small = (SampleStore(seed=1, frames=2, size=32, memory=memory) for memory in (64, 0))
    several = SampleStore(seed=1, frames=2, size=32, memory=64, samples=3).get(clips, 0, 0)
    assert len(several) == 3
    [first] = small.get(clips, 0, 0)
    small.get(clips, 1, 0)
    for sample in (*small.get(clips, 0, 0), *full.get(clips, 0, 0), several[0]):
        assert sample.mask_FHW.any()
        for name in ("clean_FHWC", "mask_FHW", "candidates_FKHWC", "confidence_FKHW"):
            assert np.array_equal(getattr(sample, name), getattr(first, name))


def test_motion_inside_damage_is_measured_on_what_was_mended():
    """A thing that moves on its own behind a box that stands still: what is around the box tells nothing of it."""
    rng = np.random.default_rng(0)
    ground, thing = (rng.integers(0, 255, (n, n, 3)).astype(np.float32) for n in (64, 18))
    ground, thing = (np.clip(cv2.GaussianBlur(v, (0, 0), 1.5) * 3 - 256, 0, 255) for v in (ground, thing))
    clip = np.repeat(ground[None], 16, 0)
    for t, frame in enumerate(clip):
        frame[22:40, 3 * t : 3 * t + 18] = thing
    clip = clip.astype(np.uint8)
    mask = np.zeros(clip.shape[:3], bool)
    mask[:, 16:46, 20:42] = True
    box = slice(16, 46), slice(20, 42)
    errors = []
    for mended in (None, clip):
        found = find_candidates(ClipMotion(clip, mask, mended), 7, box)
        flow = found.colour_KhwC[[NAMES.index("flow_before"), NAMES.index("flow_after")]].astype(int)
        errors.append(np.abs(flow - clip[7][box])[:, 6:24, 1:19].mean(-1).min(0).mean())  # the thing; no ground
    assert errors[1] < errors[0] / 4


def test_second_looks_need_a_network_that_looks_first():
    config = RepairTrainConfig(damage=DamageConfig(variants=2, second_looks=1))
    with pytest.raises(InputError, match=r"damage.second_looks is 1.*--start"):
        RepairUpdates(config, cpu_fabric())
    with pytest.raises(ValueError, match=r"damage.second_looks is 3.*set it to 2 or below"):
        DamageConfig(variants=2, second_looks=3)


def test_sound_pixels_come_back_untouched_and_damage_is_mended(repairer):
    clip = Clips(1)[0]
    mask = hole(clip)
    damaged = np.where(mask[..., None], 0, clip).astype(np.uint8)
    mended = repairer.repair(damaged, mask)
    assert mended.shape == clip.shape and mended.dtype == np.uint8
    assert np.array_equal(mended[~mask], clip[~mask])
    assert np.abs(mended[mask].astype(int) - clip[mask]).mean() < 30
    assert np.array_equal(mended, repairer.repair(damaged, mask.astype(np.uint8) * 255))


def test_an_empty_mask_is_the_identity(repairer):
    clip = Clips(1)[0]
    assert np.array_equal(repairer.repair(clip, np.zeros(clip.shape[:3], bool)), clip)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 65, 97), (40, 64, 48)])
def test_any_length_and_size_is_mended(repairer, shape):
    clip = np.random.default_rng(0).integers(100, 140, (*shape, 3), dtype=np.uint8)
    mask = np.zeros(shape, bool)
    mask[:, 20:30, 20:30] = True
    mask[shape[0] // 2 : shape[0] // 2 + 1] |= shape[0] > 1
    mended = repairer.repair(np.where(mask[..., None], 0, clip).astype(np.uint8), mask)
    assert np.array_equal(mended[~mask], clip[~mask])
    assert mended[mask].min() > 40


def test_what_lies_under_the_mask_has_no_say(repairer):
    clip = Clips(1)[0]
    mask = hole(clip)
    mask[3] = True
    results = [repairer.repair(np.where(mask[..., None], value, clip).astype(np.uint8), mask) for value in (0, 255)]
    assert np.array_equal(*results)


def test_wrong_clips_and_masks_are_refused_with_the_reason(repairer):
    clip = Clips(1)[0]
    with pytest.raises(InputError, match="uint8"):
        repairer.repair(clip.astype(np.float32), hole(clip))
    with pytest.raises(InputError, match=r"the mask is \(2, 48, 48\)"):
        repairer.repair(clip, hole(clip)[:2])
    with pytest.raises(InputError, match="nothing is left"):
        repairer.repair(clip, np.ones(clip.shape[:3], bool))


def test_a_bundle_gives_the_same_repair_and_a_foreign_one_is_refused(repairer, tmp_path):
    clip = Clips(1)[0]
    save_bundle(repairer.network, SMALL, tmp_path / "b", {"model": "test"})
    again = Repairer.from_bundle(tmp_path / "b")
    first, second = (r.look(clip, hole(clip), None).astype(int) for r in (repairer, again))
    assert np.abs(first - second).max() <= 2
    config = json.loads((tmp_path / "b" / "config.json").read_text())["config"]
    assert config["task"] == "repair"
    write_bundle(
        tmp_path / "other",
        kind="generator",
        tensors=read_bundle(tmp_path / "b", kind="generator").tensors,
        config=config | {"task": "enhance"},
        card={},
    )
    with pytest.raises(InputError, match="'enhance', not 'repair'"):
        Repairer.from_bundle(tmp_path / "other")


def test_the_untrained_network_gives_the_mix_by_confidence():
    network = RepairNetwork(SMALL)
    count = len(network.prior.flatten())
    candidates = torch.zeros(1, count, 3, 16, 16)
    candidates[:, 2] = 0.5
    confidence = torch.zeros(1, count, 16, 16)
    confidence[:, 2] = 1.0
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:8, 4:8] = 1
    with torch.no_grad():
        mended = network(torch.full((1, 3, 16, 16), -1.0), mask, candidates, confidence)
    assert mended[..., 4:8, 4:8].min() == pytest.approx(0.5, abs=1e-3)
    assert torch.equal(mended[..., 8:, :], torch.full((1, 3, 8, 16), -1.0))


def test_a_candidate_is_moved_along_its_shift():
    """A ramp that lies 3 pixels too far right is put right, everywhere but at the border it is carried on from."""
    network = RepairNetwork(SMALL)
    count = len(network.prior.flatten())
    ramp = torch.linspace(-0.5, 0.5, 32).expand(32, 32)
    late = ramp - 3 * (ramp[0, 1] - ramp[0, 0])
    candidates = late.expand(1, count, 3, 32, 32)
    ones = torch.ones(1, 1, 32, 32)
    with torch.no_grad():
        network.shift.bias[0::2] = FARTHEST * math.atanh(3 / FARTHEST)  # x of every candidate
        mended = network(torch.zeros(1, 3, 32, 32), ones, candidates, ones.expand(1, count, 32, 32))
    assert torch.allclose(mended[0, :, :, 2:-5], ramp[:, 2:-5].expand(3, 32, 25), atol=1e-4)


def test_a_bundle_from_before_candidates_were_moved_mends_as_it_did(repairer, tmp_path):
    clip = Clips(1)[0]
    save_bundle(repairer.network, SMALL, tmp_path / "new", {})
    new = read_bundle(tmp_path / "new", kind="generator")
    old = {n: v for n, v in new.tensors.items() if not n.startswith(("shift.", "second_look."))}
    assert len(old) < len(new.tensors)
    write_bundle(tmp_path / "old", kind="generator", tensors=old, config=new.config, card={})
    first, second = (Repairer.from_bundle(tmp_path / name).repair(clip, hole(clip)) for name in ("new", "old"))
    assert np.array_equal(first, second)


def test_settings_out_of_range_are_named():
    with pytest.raises(InputError, match="loss.detail_weight"):
        override(RepairTrainConfig(), ["loss.detail_weight=-1"])
    with pytest.raises(InputError, match="damage.variants"):
        override(RepairTrainConfig(), ["damage.variants=0"])
    with pytest.raises(ValueError, match="network.widths"):
        NetworkConfig(widths=(7, 8, 8))


def test_a_contact_sheet_has_a_row_a_clip(repairer):
    clips = list(Clips(2))
    sheet = TASK.sheet(repairer.network, clips, ["a", "b"], "mended")
    assert sheet.width > 5 * 96 and sheet.height > 2 * 96
