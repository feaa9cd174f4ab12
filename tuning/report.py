"""`report.html` of a sweep: one self-contained page with every trial, how it learned, and what came of it."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from cluster.storage import Storage
from trainables.generator.run_folder import RunFolder
from trainables.page import page, picture, plot, table
from tuning import plots
from tuning.config import SweepConfig
from tuning.importance import importance
from tuning.objective import running
from tuning.outcome import TrialOutcome
from tuning.pareto import pareto_front

if TYPE_CHECKING:
    from collections.abc import Mapping

SHEETS = 3
"""Trials whose clips are shown, the best first."""
POINTS = 120
"""Points of a learning curve, about, at most."""
SMOOTHED = 0.12
"""Share of the steps that a point of it is a mean over: single steps are mostly noise."""


def report(storage: Storage, config: SweepConfig, trials: Sequence[TrialOutcome], best: TrialOutcome) -> str:
    """The page; losses and contact sheets are read from the folders of the trials' runs."""
    finished = sorted((t for t in trials if t.objective is not None), key=lambda t: (t.objective, t.name))
    stats = {trial.name: RunFolder(storage, trial.name).stats() for trial in trials}
    counts = {state: sum(t.status == state for t in trials) for state in ("finished", "stopped early", "failed")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    body = (
        f"<p>{len(trials)} trials of {config.steps} steps: {told}. Points by {config.search}, time by "
        f"{config.scheduler}. The best is <b>{html.escape(best.name)}</b>: held out {best.objective:.4f} "
        f"(style distance {best.style_distance:.3f} + lost contours {best.contour_loss:.3f}; lower is better).</p>"
        f"{_trials(finished, trials)}"
        "<h2>Settings and what came of them</h2>"
        + plot(plots.parallel(trials), "Every trial as a line over its settings", "A line a trial; darker is better.")
        + "<h2>Style against contours</h2>"
        + _front(finished)
        + "<h2>Learning</h2>"
        + plot(plots.curves(_curves(stats)), "Running measure of every trial by step", "Where a line ends, so did it.")
        + _changed_rates(stats)
        + _importance(trials)
        + _clips(storage, finished)
    )
    return page(f"Sweep {config.name}", body)


def _trials(finished: Sequence[TrialOutcome], trials: Sequence[TrialOutcome]) -> str:
    front = {finished[place].name for place in pareto_front([_point(t) for t in finished])}
    others = [trial for trial in trials if trial.objective is None]
    rows = [
        [
            html.escape(trial.name),
            *(f"{value:.3g}" for value in trial.settings.values()),
            f"{trial.steps}",
            *("" if v is None else f"{v:.4f}" for v in (trial.objective, trial.style_distance, trial.contour_loss)),
            "on the front" if trial.name in front else html.escape(trial.error or trial.status),
            f"{trial.seconds:.0f}",
        ]
        for trial in (*finished, *others)
    ]
    names = [name.rsplit(".", 1)[-1].replace("_", " ") for name in trials[0].settings]
    return table(["trial", *names, "steps", "held out", "style", "contours", "", "seconds"], rows, (0,))


def _point(trial: TrialOutcome) -> tuple[float, float]:
    return trial.style_distance, trial.contour_loss


def _front(finished: Sequence[TrialOutcome]) -> str:
    front = [finished[place] for place in pareto_front([_point(trial) for trial in finished])]
    told = f"{len(finished)} finished trials, {len(front)} of them on the Pareto front"
    caption = "Colour is λ. No trial on the line is beaten in both; which one is best is a question of taste."
    return plot(plots.front(finished, front), told, caption)


def _curves(stats: Mapping[str, list[dict[str, float]]]) -> dict[str, tuple[list[float], list[float]]]:
    """Trial → steps and running measure, each the mean of the `SMOOTHED` part of all steps that ends there."""
    found = {}
    longest = max((len(lines) for lines in stats.values()), default=0)
    window = max(1, round(SMOOTHED * longest))
    for name, lines in stats.items():
        if not lines:
            continue
        values = [running([line]) for line in lines]
        places = range(min(window, len(lines)) - 1, len(lines), max(1, longest // POINTS))
        means = [sum(part) / len(part) for part in (values[max(0, at + 1 - window) : at + 1] for at in places)]
        found[name] = ([lines[at]["step"] for at in places], means)
    return found


def _changed_rates(stats: Mapping[str, list[dict[str, float]]]) -> str:
    """Learning rate by step: under population based training a trial's rate changes on the way."""
    rates = {
        name: ([line["step"] for line in lines], [line["learning_rate"] for line in lines])
        for name, lines in stats.items()
        if lines
    }
    caption = "Warm-up, decay, and any change on the way."
    return plot(plots.rates(rates), "Learning rate of every trial by step", caption)


def _importance(trials: Sequence[TrialOutcome]) -> str:
    shares = importance(trials)
    if not shares:
        return ""
    caption = "Share of the held-out measure's spread that a setting explains among the finished trials (fANOVA)."
    return "<h2>What mattered</h2>" + plot(plots.bars(shares), "Importance of every setting", caption)


def _clips(storage: Storage, finished: Sequence[TrialOutcome]) -> str:
    shown = []
    for trial in finished[:SHEETS]:
        folder = RunFolder(storage, trial.name)
        sheets = [name for name in storage.list(folder.path("sheets")) if name.endswith(".png")]
        if sheets:
            sheet = Image.open(io.BytesIO(storage.read_bytes(folder.path(f"sheets/{sheets[-1]}"))))
            caption = f"{trial.name}, held out {trial.objective:.4f}"
            shown.append(picture(sheet, f"Held-out products in every look, by {trial.name}", caption))
    return "<h2>Best clips</h2>" + "".join(shown) if shown else ""
