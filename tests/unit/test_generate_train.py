"""Training the finisher through the shared loop: repeatable, resumable, the judge in its time."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cluster.config import override
from cluster.errors import InputError
from tests.generate_tiny import TINY, LabelledDiscs, tiny_memory, turning
from tests.generator_tiny import Recorder, cpu_fabric, differences
from trainables.generator.features import CHANNELS
from trainables.generator.generate.clip_maker import MOST_FRAMES, read_network, save_bundle
from trainables.generator.generate.draft import Drafter
from trainables.generator.generate.evaluation import FRAMES, evaluate
from trainables.generator.generate.judges import Judge, JudgeConfig
from trainables.generator.generate.memory import Memory
from trainables.generator.generate.network import Finisher, NetworkConfig
from trainables.generator.generate.task import TASK
from trainables.generator.generate.updates import GenerateUpdates
from trainables.generator.sampler import Draw
from trainables.generator.train import train
from trainables.runs.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A bundle with the memory of the discs, so that not every training learns them anew."""
    torch.manual_seed(0)
    network = Finisher(TINY.network)
    network.memory = tiny_memory()
    folder = tmp_path_factory.mktemp("start") / "bundle"
    save_bundle(network, folder, {})
    return folder


def run(storage, name, start, settings=(), on_step=None):
    config = override(TINY, ["memory.learn=false", *settings])
    checkpoints, sink = Checkpoints(storage, f"runs/{name}"), Recorder()
    result = train(
        config, LabelledDiscs(), cpu_fabric(), sink=sink, checkpoints=checkpoints, start=start, on_step=on_step
    )
    return checkpoints, sink, result


def made_updates(start):
    network = read_network(start)
    config = override(TINY, ["memory.learn=false"])
    return GenerateUpdates(config, cpu_fabric(), (network.state_dict(), network.memory))


def test_the_same_seed_gives_the_same_weights_and_a_broken_off_run_goes_on_to_them(storage, start):
    class InterruptionError(Exception):
        pass

    def stop(step: int, _: dict[str, float]) -> None:
        if step == 3:
            raise InterruptionError

    first, lines, _ = run(storage, "first", start)
    second, _, _ = run(storage, "second", start)
    assert differences(first.newest(), second.newest()) == []
    with pytest.raises(InterruptionError):
        run(storage, "stopped", start, on_step=stop)
    resumed, sink, _ = run(storage, "stopped", start)
    assert [line["step"] for line in sink.lines] == [3, 4]
    assert differences(first.newest(), resumed.newest()) == []
    spoke = ["loss/judge" in line for line in lines.lines]
    assert spoke == [False, False, True, True]
    shown = {f"loss/{term}" for term in TASK.progress_terms}
    assert all(shown <= line.keys() for line in lines.lines), "a progress bar shows them from the first step on"


def test_more_frames_of_a_clip_than_the_judge_looks_at_are_refused():
    with pytest.raises(InputError, match="clip_frames is 4; the judge of generate sees single frames"):
        override(TINY, ["clip_frames=4"])


def test_the_first_step_learns_the_clips_where_no_memory_is_given(storage):
    config = override(TINY, ["steps=1", "memory.stills=4", "memory.spins=3", "memory.drafts=2"])
    checkpoints = Checkpoints(storage, "runs/learned")
    result = train(config, LabelledDiscs(), cpu_fabric(), sink=Recorder(), checkpoints=checkpoints)
    assert result.network.memory.kinds() == {"disc": 4, "coin": 3}


def test_a_fine_tuned_model_makes_the_shops_own_products_where_no_kind_is_wished_for(storage, tmp_path):
    class Own(LabelledDiscs):
        def label(self, index):
            return replace(super().label(index), kind=f"own {super().label(index).kind}", group="shop")

    network, known = Finisher(TINY.network), tiny_memory()
    network.memory = Memory(known.entries, known._pictures, {"photos": 0.75, "scans": 0.25})
    save_bundle(network, tmp_path / "start", {})
    config = override(TINY, ["steps=1", "memory.drafts=2"])
    checkpoints = Checkpoints(storage, "runs/tuned")
    result = train(config, Own(), cpu_fabric(), sink=Recorder(), checkpoints=checkpoints, start=tmp_path / "start")
    drafter, rng = Drafter(result.network.memory), np.random.default_rng(0)
    assert drafter.kinds() == ["coin", "disc", "own coin", "own disc"]
    groups = Counter(drafter.choose(rng).group for _ in range(200))
    assert 70 < groups["shop"] < 130


def test_a_batch_is_on_the_device_that_trains(start):
    """Meta tensors stand for a GPU's: an operation on one of them and one of the CPU is refused just so."""
    updates = made_updates(start)
    updates.fabric = SimpleNamespace(device=torch.device("meta"))
    updates.features.to("meta")
    batch = updates.batch(LabelledDiscs(), [Draw(0, (0,)), Draw(5, (1,))])
    assert {tensor.device.type for tensor in vars(batch).values()} == {"meta"}


@pytest.mark.parametrize("size", [(24, 24), (40, 200)])
def test_frames_of_any_size_are_shown_to_the_judge(start, size):
    batch = made_updates(start).batch([np.full((4, *size, 3), 100, np.uint8)], [Draw(0, (0,)), Draw(0, (1,))])
    assert batch.real_NCHW.shape == batch.draft_NCHW.shape


def test_clips_longer_than_any_made_one_are_measured_against():
    class Maker:
        drafter = Drafter(tiny_memory())

        def make(self, count, seed, *, size, frames):
            assert frames <= MOST_FRAMES
            return [turning(number, FRAMES)[:, ::2, ::2] for number in range(count)]

    clips = {str(number): turning(number + 20).repeat(20, 0) for number in range(2)}
    dataset = SimpleNamespace(clip=lambda name: SimpleNamespace(frames_THWC=clips[name]))
    assert evaluate(Maker(), dataset, list(clips))["motion_magnitude"] > 0


def test_an_untrained_finisher_leaves_drafts_as_they_are():
    network = Finisher(NetworkConfig(widths=(8, 8, 8), blocks=1, noise=2))
    draft = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(draft, torch.rand(2, 1, 32, 32), torch.randn(2, 2, 16, 16)), draft)
    with pytest.raises(InputError, match="multiples of 8"):
        network(torch.rand(1, 3, 30, 30), torch.rand(1, 1, 30, 30), torch.randn(1, 2, 15, 15))


def test_noise_changes_the_picture_once_the_head_is_trained():
    torch.manual_seed(0)
    network = Finisher(NetworkConfig(widths=(8, 8, 8), blocks=1, noise=2))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    draft, matte = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    first, second = (network(draft, matte, torch.randn(1, 2, 16, 16)) for _ in range(2))
    assert (first - second).abs().mean() > 1e-4


def test_every_weight_of_the_judge_has_a_say():
    judge = Judge(JudgeConfig(width=8))
    levels = [torch.randn(3, channels, 8, 8) for channels in CHANNELS]
    logits = judge(levels)
    assert logits.shape == (3,)
    logits.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in judge.parameters())


def test_settings_out_of_range_name_the_fix():
    for setting, said in (
        ("memory.stills=1", "memory.stills is 1"),
        ("judge.width=4", "judge.width is 4"),
        ("network.widths=[8, 8]", "network.widths"),
        ("loss.keep=-1", "loss.keep is -1"),
    ):
        with pytest.raises((InputError, ValueError), match=said):
            override(TINY, [setting])
