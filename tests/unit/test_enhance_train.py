"""The two stages in one process: the same bits every time, stopped or not, and what stands still stands still."""

import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.enhance_tiny import TINY, textured_clip
from tests.generator_tiny import Recorder, cpu_fabric, differences
from trainables.generator.enhance.enhancer import Enhancer
from trainables.generator.task import task_named
from trainables.generator.train import train
from trainables.runs.checkpoints import Checkpoints

CLIPS = [textured_clip(5, 40, seed=seed) for seed in range(3)]


class InterruptionError(Exception):
    pass


def run(storage, name: str, config=TINY, on_step=None, start=None) -> tuple[Checkpoints, Recorder]:
    checkpoints, sink = Checkpoints(storage, f"runs/{name}"), Recorder()
    train(config, CLIPS, cpu_fabric(), sink=sink, checkpoints=checkpoints, on_step=on_step, start=start)
    return checkpoints, sink


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[Checkpoints, Recorder]:
    from cluster.storage import Storage

    return run(Storage(str(tmp_path_factory.mktemp("straight"))), "straight")


def test_the_same_seed_gives_the_same_weights(storage, straight):
    again, _ = run(storage, "again")
    assert differences(straight[0].newest(), again.newest()) == []


def test_an_interrupted_run_continues_to_the_same_bits(storage, straight):
    def stop(step: int, _: dict[str, float]) -> None:
        if step == 3:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        run(storage, "stopped", on_step=stop)
    resumed, sink = run(storage, "stopped")
    assert [line["step"] for line in sink.lines] == [3, 4]
    assert differences(straight[0].newest(), resumed.newest()) == []


def test_the_judge_speaks_in_the_second_stage_alone(straight):
    assert ["loss/discriminator" in line for line in straight[1].lines] == [False, False, True, True]


def test_the_vivid_stage_leaves_the_faithful_part_alone(straight):
    before, after = (straight[0].load(f"step-0000000{step}.ckpt") for step in (2, 4))
    average = {name: value for name, value in before["ema"].items() if name.startswith("faithful.")}
    assert differences(average, {name: after["generator"][name] for name in average}) == []
    assert differences(average, {name: after["ema"][name] for name in average}) == []
    assert differences(before["ema"], after["ema"]), "the vivid part learns"


def test_it_learns(storage):
    _, sink = run(storage, "longer", override(TINY, ["steps=30", "vivid.start=1", "optimizer.learning_rate=0.005"]))
    gains = [line["loss/source"] - line["loss/pixel"] for line in sink.lines]
    assert sum(gains[-8:]) / 8 > 0.05 + gains[0]


def test_a_bundle_starts_a_training(storage, straight, tmp_path):
    task = task_named("enhance")
    network = task.network(TINY)
    network.load_state_dict(straight[0].newest()["ema"])
    task.save(network, TINY, tmp_path / "bundle", {})
    checkpoints, _ = run(storage, "tuned", override(TINY, ["steps=2", "vivid.start=0"]), start=tmp_path / "bundle")
    begun = Enhancer.from_bundle(tmp_path / "bundle").network.faithful.state_dict()
    state = checkpoints.newest()["generator"]
    assert differences(begun, {name: state[f"faithful.{name}"] for name in begun}) == []


def test_the_lowest_loss_picks_no_checkpoint_between_two_stages():
    with pytest.raises(InputError, match=r"untrained vivid part; set keep.model=newest, or vivid.start to 0 or 1"):
        override(TINY, ["keep.model=lowest"])
    for start in (0, 1):
        assert override(TINY, ["keep.model=lowest", f"vivid.start={start}"]).keep.model == "lowest"
