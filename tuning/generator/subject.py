"""Sweeps of the restyling GAN: learning rate × λ × batch size.

* Running measure: the training terms L_style + (1 − edge correlation), with weights that are the same for every trial,
  averaged over its latest reports.
* Held-out measure: `style_distance + 1 − sobel_correlation` on held-out products (`score` of the generator's
  evaluation).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.errors import InputError
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.runs.folder import RunFolder
from tuning.config import SweepConfig
from tuning.objective import OBJECTIVE, PARTS
from tuning.space import Axis, Space
from tuning.subject import Stats, Subject

if TYPE_CHECKING:
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from tuning.outcome import TrialOutcome

AVERAGED = 3
SHEETS = 3
"""Trials whose clips are shown, the best first."""
LEARNING_RATE, CONTENT_WEIGHT, BATCH_SIZE = "optimizer.learning_rate", "loss.content_weight", "batch_size"


def space(
    *,
    learning_rate: tuple[float, float] = (3e-4, 6e-3),
    content_weight: tuple[float, float] = (0.02, 0.5),
    batch_size: tuple[int, ...] = (4, 8),
) -> Space:
    """Peak learning rate of the generator × λ, the weight of the content loss × clips a step over all workers."""
    low, high = learning_rate
    least, most = content_weight
    return (
        Axis(name=LEARNING_RATE, label="rate", low=low, high=high, mutable=True),
        Axis(name=CONTENT_WEIGHT, label="λ", low=least, high=most, mutable=True),
        Axis(name=BATCH_SIZE, label="batch", choices=batch_size),
    )


def running(reports: Sequence[Mapping[str, float]]) -> float:
    """Running measure of a trial from its reported training terms, the latest last."""
    latest = reports[-AVERAGED:]
    return sum(terms["loss/style"] + terms["loss/edges"] for terms in latest) / len(latest)


def measures(metrics: Mapping[str, float]) -> dict[str, float]:
    """What the last report of a finished trial says: the held-out measure and its parts."""
    parts = metrics["heldout/style_distance"], 1 - metrics["heldout/sobel_correlation"]
    return {OBJECTIVE: metrics["heldout/score"], **dict(zip(PARTS, parts, strict=True))}


class GeneratorSubject(Subject):
    """Ray Train runs of the restyling task."""

    name = "generator"
    trial_module = "tuning.generator.trial"
    config_class = RestyleTrainConfig
    space = space()
    parts = ("style distance", "lost contours")
    shade = CONTENT_WEIGHT
    measure = "style distance + lost contours"
    learns_on_gpu = True
    of_trials = ("steps", "checkpoint_every", "sheet_every")

    def check(self, config: SweepConfig) -> None:
        sizes = next((axis.choices for axis in config.space if axis.name == BATCH_SIZE), ())
        wrong = [size for size in sizes if size % config.workers_per_trial]
        if wrong:
            raise InputError(f"batch_size may become {wrong}; give multiples of the {config.workers_per_trial} workers")
        if config.workers_per_trial > 1 and not (config.name or "").isascii():  # Ray Train labels its metrics with it
            raise InputError(f"sweep {config.name!r}: with several workers a trial its letters are a to z; rename it")

    def prepared(self, base: RestyleTrainConfig, config: SweepConfig, dataset: Dataset) -> RestyleTrainConfig:
        return replace(base, steps=config.steps, checkpoint_every=config.rung, sheet_every=config.steps)

    def resources(self, workers: int, gpus: float) -> dict[str, float]:
        """With one worker the training runs in that process. With more it only waits for its Train run, which asks for
        what its workers need; Tune takes no empty request, so it asks for a little memory.
        """
        if workers == 1:
            return {"CPU": 1, "GPU": 1} if gpus >= 1 else {"CPU": 1}
        return {"CPU": 0, "memory": 1024**2}

    def running(self, lines: Sequence[Mapping[str, float]]) -> float:
        return running(lines)

    def sections(self, storage: Storage, stats: Stats, finished: Sequence[TrialOutcome]) -> str:
        return _changed_rates(stats) + _clips(storage, finished)


def _changed_rates(stats: Stats) -> str:
    """Learning rate by step: under population based training a trial's rate changes on the way."""
    from trainables.page import plot
    from tuning import plots

    rates = {
        name: ([line["step"] for line in lines], [line["learning_rate"] for line in lines])
        for name, lines in stats.items()
        if lines
    }
    caption = "Warm-up, decay, and any change on the way."
    return "<h2>Learning rates</h2>" + plot(plots.rates(rates), "Learning rate of every trial by step", caption)


def _clips(storage: Storage, finished: Sequence[TrialOutcome]) -> str:
    from PIL import Image

    from trainables.page import picture

    shown = []
    for trial in finished[:SHEETS]:
        folder = RunFolder(storage, trial.name)
        sheets = [name for name in storage.list(folder.path("sheets")) if name.endswith(".png")]
        if sheets:
            sheet = Image.open(io.BytesIO(storage.read_bytes(folder.path(f"sheets/{sheets[-1]}"))))
            caption = f"{trial.name}, held out {trial.objective:.4f}"
            shown.append(picture(sheet, f"Held-out products in every look, by {trial.name}", caption))
    return "<h2>Best clips</h2>" + "".join(shown) if shown else ""


SUBJECT = GeneratorSubject()
