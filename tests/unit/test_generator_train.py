"""The loop in one process: it stops and goes on exactly, says when it diverges, and its knobs do what they say."""

import numpy as np
import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.generator_tiny import TINY, Clips, Recorder, cpu_fabric, differences
from trainables.generator.errors import TrainingDiverged
from trainables.generator.job import average_network
from trainables.generator.restyle.updates import RestyleUpdates
from trainables.generator.train import SLOWED, train
from trainables.runs.checkpoints import Checkpoints
from trainables.runs.folder import RunFolder


def run(storage, name: str, config=TINY, clips=None, on_step=None, styles=()) -> tuple[Checkpoints, Recorder]:
    checkpoints, sink = Checkpoints(storage, f"runs/{name}"), Recorder()
    train(config, clips or Clips(), cpu_fabric(), sink=sink, checkpoints=checkpoints, styles=styles, on_step=on_step)
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


def test_the_checkpoint_of_the_lowest_loss_stays_and_may_become_the_model(storage):
    """Its measure is the mean of the named term over the steps since the checkpoint before."""
    config = override(TINY, ["steps=6", "checkpoint_every=1", "keep.newest=1", "keep.lowest=gradient_norm"])
    checkpoints, sink = run(storage, "r/checkpoints", config)
    norms = {line["step"]: line["gradient_norm"] for line in sink.lines}
    best = min(norms, key=norms.get)
    assert {int(name[5:13]) for name in checkpoints.names()} == {best, 6}
    assert checkpoints.measures()[f"step-{best:08d}.ckpt"] == norms[best]
    folder = RunFolder(storage, "r")
    for model, step in (("newest", 6), ("lowest", best)):
        network = average_network(folder, override(config, [f"keep.model={model}"]))
        kept = checkpoints.load(f"step-{step:08d}.ckpt")["ema"]
        assert differences(dict(network.state_dict()), dict(kept)) == []


def test_an_unknown_term_to_keep_by_is_refused_at_the_first_step(storage):
    with pytest.raises(InputError, match="keep.lowest is 'loss/totl'.*loss/total"):
        run(storage, "typo", override(TINY, ["keep.lowest=loss/totl"]))


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


def test_more_of_a_clip_must_stay_in_a_preset_than_in_a_picture_s_look(storage):
    pictures = [("a picture", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))]
    common = ["steps=1", "looks.variant_share=0", "adversarial.weight=0"]
    firsts = {}
    for share in (0, 1):
        for keep in (1, 3):
            settings = [*common, f"loss.preset_keep={keep}", f"looks.picture_share={share}"]
            _, sink = run(storage, f"keep-{share}-{keep}", override(TINY, settings), styles=pictures)
            (firsts[share, keep],) = sink.lines
    presets, weights = firsts[0, 1], TINY.loss
    kept = weights.content_weight * (presets["loss/content"] + weights.edge_weight * presets["loss/edges"])
    kept += weights.temporal_weight * presets["loss/temporal"]
    assert firsts[0, 3]["loss/total"] - presets["loss/total"] == pytest.approx(2 * kept, rel=1e-3)
    assert firsts[0, 3]["loss/edges"] == presets["loss/edges"]
    assert firsts[1, 3]["loss/total"] == firsts[1, 1]["loss/total"]


def test_a_run_goes_on_with_another_number_of_workers_where_their_samples_would_be(storage):
    """Four steps of three workers that drew one clip each are twelve samples for one worker."""
    three = Checkpoints(storage, "runs/three")
    run(storage, "one", override(TINY, ["steps=4"]))
    state = Checkpoints(storage, "runs/one").newest()
    three.save(4, state | {"workers": 3, "position": 4, "rng": state["rng"] * 3})
    _, sink = run(storage, "three")
    assert [line["step"] for line in sink.lines] == [5, 6, 7, 8]
    assert three.newest()["position"] == 12 + 4 * TINY.batch_size


def test_a_training_that_diverges_goes_back_once_and_on_with_a_lower_rate(storage, monkeypatch, caplog):
    """The second stretch begins at the newest checkpoint, and a run resumed after it stays slowed."""
    plain = RestyleUpdates.step

    def diverging(self, step, batch):
        if step == 6 and self.config.optimizer.learning_rate == TINY.optimizer.learning_rate:
            raise TrainingDiverged("step 6: loss term 'total' is nan")
        return plain(self, step, batch)

    _, straight = run(storage, "straight")
    monkeypatch.setattr(RestyleUpdates, "step", diverging)
    checkpoints, sink = run(storage, "wild")
    assert [line["step"] for line in sink.lines] == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8]
    assert "going back to step 4" in caplog.text
    rates = {line["step"]: line["learning_rate"] for line in straight.lines}
    for line in sink.lines[6:]:
        assert line["learning_rate"] == pytest.approx(SLOWED * rates[line["step"]])
    assert checkpoints.load("step-00000008.ckpt")["slowed"]
    assert not checkpoints.load("step-00000004.ckpt")["slowed"]
    _, more = run(storage, "wild", override(TINY, ["steps=10"]))
    assert more.lines[0]["learning_rate"] < SLOWED * TINY.optimizer.learning_rate


def test_weights_that_are_no_numbers_are_never_a_checkpoint(storage, monkeypatch, caplog):
    """A gradient of the judges may overflow while every loss is still finite: the training would go back to it."""
    plain = RestyleUpdates.step

    def poisoning(self, step, batch):
        terms = plain(self, step, batch)
        if step == 7 and self.config.optimizer.learning_rate == TINY.optimizer.learning_rate:
            next(self.discriminator.parameters()).data.fill_(float("nan"))
        return terms

    monkeypatch.setattr(RestyleUpdates, "step", poisoning)
    checkpoints, sink = run(storage, "poisoned", override(TINY, ["steps=10"]))
    assert "step 8: 'discriminator' is no number any more" in caplog.text
    assert "going back to step 4" in caplog.text
    assert [line["step"] for line in sink.lines] == [*range(1, 9), *range(5, 11)]
    assert checkpoints.newest()["step"] == 10
