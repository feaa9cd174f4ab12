"""The loop in one process: it stops and goes on exactly, says when it diverges, and its knobs do what they say."""

import numpy as np
import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.generator_tiny import TINY, Clips, Recorder, cpu_fabric, differences
from trainables.generator.checkpoints import Checkpoints
from trainables.generator.errors import TrainingDiverged
from trainables.generator.train import train


def run(storage, name: str, config=TINY, clips=None, on_step=None) -> tuple[Checkpoints, Recorder]:
    checkpoints, sink = Checkpoints(storage, f"runs/{name}"), Recorder()
    train(config, clips or Clips(), cpu_fabric(), sink=sink, checkpoints=checkpoints, on_step=on_step)
    return checkpoints, sink


def test_an_interrupted_run_continues_to_the_same_bits(storage):
    class InterruptionError(Exception):
        pass

    def stop(step: int, _: dict[str, float]) -> None:
        if step == 6:
            raise InterruptionError

    straight, _ = run(storage, "straight")
    with pytest.raises(InterruptionError):
        run(storage, "stopped", on_step=stop)
    resumed, sink = run(storage, "stopped")
    assert [line["step"] for line in sink.lines] == [5, 6, 7, 8]
    assert sink.closed
    first, second = straight.newest(), resumed.newest()
    assert {
        "generator",
        "discriminator",
        "ema",
        "optimizer_g",
        "optimizer_d",
        "rng",
        "position",
        "step",
    } <= first.keys()
    assert differences(first, second) == []


def test_the_judges_train_only_after_their_share_of_the_steps(storage):
    checkpoints, sink = run(storage, "late", override(TINY, ["adversarial.start=0.5"]))
    spoke = ["loss/discriminator_frames" in line for line in sink.lines]
    assert spoke == [False] * 4 + [True] * 4
    before, after = checkpoints.load("step-00000004.ckpt"), checkpoints.load("step-00000008.ckpt")
    assert before["optimizer_d"]["state"] == {}
    assert differences(before["discriminator"], after["discriminator"])


def test_a_loss_that_is_no_number_stops_the_run_and_is_named(storage):
    with pytest.raises(TrainingDiverged, match="step 0: loss term 'total' is inf.*optimizer.learning_rate"):
        run(storage, "wild", override(TINY, ["loss.content_weight=1e39"]))


def test_a_learning_rate_far_too_high_stops_the_run(storage):
    with pytest.raises(TrainingDiverged):
        run(storage, "wilder", override(TINY, ["optimizer.learning_rate=1e30"]))


def test_accumulated_gradients_are_those_of_the_whole_batch(storage):
    """Parts change memory, not the update; judges pair neighbours of a part, so they are left out here."""
    common = ["steps=3", "batch_size=4", "adversarial.weight=0", "checkpoint_every=3"]
    _, whole = run(storage, "whole", override(TINY, common))
    for name, settings in (("parts", ["accumulate=2"]), ("again", ["accumulate=4", "checkpoint_activations=true"])):
        _, parts = run(storage, name, override(TINY, [*common, *settings]))
        for line, other in zip(whole.lines, parts.lines, strict=True):
            assert other["loss/total"] == pytest.approx(line["loss/total"], rel=2e-3)
            assert other["gradient_norm"] == pytest.approx(line["gradient_norm"], rel=2e-2)


def test_content_weight_trades_style_against_content(storage):
    finals = {}
    for weight in (0.0, 20.0):
        settings = ["steps=16", f"loss.content_weight={weight}", "adversarial.weight=0", "checkpoint_every=16"]
        _, sink = run(storage, f"weight-{weight}", override(TINY, settings))
        last = sink.lines[-4:]
        finals[weight] = {k: np.mean([line[f"loss/{k}"] for line in last]) for k in ("style", "content", "edges")}
    assert finals[20.0]["content"] < 0.9 * finals[0.0]["content"]
    assert finals[20.0]["style"] > 1.05 * finals[0.0]["style"]


def test_a_run_of_another_number_of_workers_is_refused(storage):
    Checkpoints(storage, "runs/two").save(4, {"workers": 2})
    with pytest.raises(InputError, match="written by 2 workers and this run has 1"):
        run(storage, "two")
