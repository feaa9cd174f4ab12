"""`report.html` of a sweep: one self-contained page with every trial, how it learned, and what came of it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from cluster.storage import Storage
from trainables.page import page, plot, table
from trainables.runs.folder import RunFolder
from tuning import plots
from tuning.config import SweepConfig
from tuning.importance import importance
from tuning.outcome import TrialOutcome
from tuning.pareto import pareto_front
from tuning.subject import Stats, Subject

POINTS = 120
"""Points of a learning curve, about, at most."""
SMOOTHED = 0.12
"""Share of the steps that a point of it is a mean over: single steps are mostly noise."""


def report(
    storage: Storage, subject: Subject, config: SweepConfig, trials: Sequence[TrialOutcome], best: TrialOutcome
) -> str:
    """The page; what trials said on the way is read from the folders of their runs."""
    finished = sorted((t for t in trials if t.objective is not None), key=lambda t: (t.objective, t.name))
    stats = {trial.name: RunFolder(storage, trial.name).stats() for trial in trials}
    counts = {state: sum(t.status == state for t in trials) for state in ("finished", "stopped early", "failed")}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(subject.parts, best.parts, strict=True))
    body = (
        f"<p>{len(trials)} trials of {config.steps} steps: {told}. Points by {config.search}, time by "
        f"{config.scheduler}. The best is <b>{html.escape(best.name)}</b>: held out {best.objective:.4f} "
        f"({subject.measure}; {parts}; lower is better).</p>"
        f"{_trials(subject, config, finished, trials)}"
        "<h2>Settings and what came of them</h2>"
        + plot(
            plots.parallel(trials, config.space),
            "Every trial as a line over its settings", "A line a trial; darker is better.",
        )
        + f"<h2>{subject.parts[0].capitalize()} against {subject.parts[1]}</h2>"
        + _front(subject, config, finished)
        + "<h2>Learning</h2>"
        + plot(
            plots.curves(_curves(subject, stats)),
            "Running measure of every trial by step", "Where a line ends, so did it.",
        )
        + _importance(config, trials)
        + subject.sections(storage, stats, finished)
    )  # fmt: skip
    return page(f"Sweep {config.name}", body)


def _trials(
    subject: Subject, config: SweepConfig, finished: Sequence[TrialOutcome], trials: Sequence[TrialOutcome]
) -> str:
    front = {finished[place].name for place in pareto_front([t.parts for t in finished])}
    others = [trial for trial in trials if trial.objective is None]
    rows = [
        [
            html.escape(trial.name),
            *(f"{trial.settings[axis.name]:.3g}" for axis in config.space),
            f"{trial.steps}",
            *("" if v is None else f"{v:.4f}" for v in (trial.objective, *(trial.parts or (None, None)))),
            "on the front" if trial.name in front else html.escape(trial.error or trial.status),
            f"{trial.seconds:.0f}",
        ]
        for trial in (*finished, *others)
    ]
    names = [axis.name.rsplit(".", 1)[-1].replace("_", " ") for axis in config.space]
    return table(["trial", *names, "steps", "held out", *subject.parts, "", "seconds"], rows, (0,))


def _front(subject: Subject, config: SweepConfig, finished: Sequence[TrialOutcome]) -> str:
    front = [finished[place] for place in pareto_front([trial.parts for trial in finished])]
    told = f"{len(finished)} finished trials, {len(front)} of them on the Pareto front"
    shade = next((axis for axis in config.space if axis.name == subject.shade), config.space[0])
    caption = (
        f"Colour is {shade.label}. No trial on the line is beaten in both; which one is best is a question of taste."
    )
    return plot(plots.front(finished, front, subject.parts, shade), told, caption)


def _curves(subject: Subject, stats: Stats) -> dict[str, tuple[list[float], list[float]]]:
    """Trial → steps and running measure, each the mean of the `SMOOTHED` part of all steps that ends there."""
    found = {}
    longest = max((len(lines) for lines in stats.values()), default=0)
    window = max(1, round(SMOOTHED * longest))
    for name, lines in stats.items():
        if not lines:
            continue
        values = [subject.running([line]) for line in lines]
        places = range(min(window, len(lines)) - 1, len(lines), max(1, longest // POINTS))
        means = [sum(part) / len(part) for part in (values[max(0, at + 1 - window) : at + 1] for at in places)]
        found[name] = ([lines[at]["step"] for at in places], means)
    return found


def _importance(config: SweepConfig, trials: Sequence[TrialOutcome]) -> str:
    shares = importance(trials, config.space)
    if not shares:
        return ""
    caption = "Share of the held-out measure's spread that a setting explains among the finished trials (fANOVA)."
    return "<h2>What mattered</h2>" + plot(plots.bars(shares), "Importance of every setting", caption)
