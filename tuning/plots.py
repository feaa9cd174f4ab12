"""Plots of a sweep, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from tuning.outcome import TrialOutcome
from tuning.space import Axis, Space

GREY = "#999999"
Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Trial → steps and values."""


def parallel(trials: Sequence[TrialOutcome], space: Space) -> Figure:
    """Parallel coordinates: an axis a setting (logarithmic where it is drawn so) and one for the held-out measure."""
    figure, axes = _canvas(4.2)
    axes.set_axis_off()
    columns = {axis.name: [trial.settings[axis.name] for trial in trials] for axis in space}
    logarithmic = {axis.name for axis in space if axis.log}
    columns["held out"] = [trial.objective for trial in trials]
    heights = {}
    for place, (name, column) in enumerate(columns.items()):
        known = [value for value in column if value is not None]
        low, high = min(known), max(known)
        log = name in logarithmic and low > 0
        heights[name] = [None if value is None else _height(value, low, high, log) for value in column]
        axes.axvline(place, 0.08, 0.9, color="#444", linewidth=1)
        axes.text(place, 1.12, name, ha="center", fontsize=9)
        for at, value in ((-0.06, low), (1.03, high)):
            axes.text(place, at, f"{value:.3g}", ha="center", fontsize=8, color="#555")
    norm, shades = _scale([t.objective for t in trials if t.objective is not None]), colormaps["viridis"]
    for number, trial in enumerate(trials):
        line = [heights[name][number] for name in columns if heights[name][number] is not None]
        colour = GREY if trial.objective is None else shades(norm(trial.objective))
        axes.plot(range(len(line)), line, color=colour, alpha=0.4 if trial.objective is None else 0.9)
    axes.set_ylim(-0.1, 1.18)
    return figure


def front(
    finished: Sequence[TrialOutcome], best: Sequence[TrialOutcome], parts: tuple[str, str], shade: Axis
) -> Figure:
    """The two parts of the held-out measure, coloured by a setting; a line joins the Pareto front."""
    figure, axes = _canvas(4.5)
    shades = [trial.settings[shade.name] for trial in finished]
    scale = LogNorm if shade.log and min(shades) > 0 else Normalize
    norm = scale(min(shades), max(shades) * 1.0001)
    axes.plot(*zip(*(trial.parts for trial in best), strict=True), color="#444", linewidth=1, zorder=1)
    axes.scatter(*zip(*(trial.parts for trial in finished), strict=True), c=shades, norm=norm, zorder=2)
    for trial in best:
        axes.annotate(
            trial.name.rsplit("-", 1)[-1], trial.parts, (4, 4), textcoords="offset points", fontsize=8
        )  # fmt: skip
    axes.set(xlabel=f"{parts[0]} (held out)", ylabel=f"{parts[1]} (held out)")
    figure.colorbar(ScalarMappable(norm), ax=axes, label=shade.label)
    return figure


def curves(found: Curves) -> Figure:
    """Running measure by step."""
    return _lines(found, "running measure")


def rates(found: Curves) -> Figure:
    """Learning rate by step, logarithmic."""
    figure = _lines({name: (s, np.maximum(values, 1e-12)) for name, (s, values) in found.items()}, "learning rate")
    figure.axes[0].set_yscale("log")
    return figure


def bars(shares: Mapping[str, float]) -> Figure:
    """A bar a setting, the largest on top."""
    figure, axes = _canvas(0.5 * len(shares) + 0.9)
    axes.barh(list(shares)[::-1], list(shares.values())[::-1], color="#5577aa")
    axes.set_xlim(0, 1)
    return figure


def _lines(found: Curves, label: str) -> Figure:
    figure, axes = _canvas(4.2)
    for name, (steps, values) in found.items():
        axes.plot(steps, values, label=name.rsplit("-", 1)[-1], linewidth=1.2)
    axes.set(xlabel="step", ylabel=label)
    if found:
        axes.legend(title="trial", fontsize=8, ncols=2 if len(found) > 8 else 1)
    return figure


def _canvas(height: float):
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _scale(values: Sequence[float]) -> Normalize:
    return Normalize(min(values), max(values)) if values else Normalize(0, 1)


def _height(value: float, low: float, high: float, log: bool) -> float:
    """0…1 between the lowest and the highest; the middle where all are alike."""
    if low == high:
        return 0.5
    value, low, high = (np.log(x) if log else x for x in (value, low, high))
    return float((value - low) / (high - low))
