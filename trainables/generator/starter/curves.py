"""Loss curves of a training: a picture for people, a thinned series for the card.

python -m trainables.generator.starter.curves RUN/runs/restyle/stats.jsonl --out curves.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 25
COLUMNS = 4


def read_stats(path: Path) -> list[dict[str, Any]]:
    """Lines of a run's `stats.jsonl`."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def series(stats: Sequence[dict[str, Any]], term: str, points: int = POINTS) -> tuple[list[int], list[float]]:
    """Steps and means of a term over `points` equal stretches of the run; stretches without the term are left out."""
    steps, values = [], []
    for stretch in np.array_split(np.arange(len(stats)), min(points, len(stats))):
        found = [stats[i][term] for i in stretch if term in stats[i]]
        if found:
            steps.append(int(stats[stretch[-1]]["step"]))
            values.append(float(f"{np.mean(found):.4g}"))
    return steps, values


def card_curves(stats: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every loss term as {"steps": […], "values": […]}, ready for a card."""
    terms = sorted({name for line in stats for name in line if name.startswith("loss/")})
    return {term: dict(zip(("steps", "values"), series(stats, term), strict=True)) for term in terms}


def draw(stats: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """A panel a term: every step pale, the mean over stretches dark."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    terms = [*sorted({name for line in stats for name in line if name.startswith("loss/")}), "gradient_norm"]
    rows = -(-len(terms) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(3.2 * COLUMNS, 2.1 * rows), layout="constrained")
    for axis in axes.flat[len(terms) :]:
        axis.axis("off")
    for axis, term in zip(axes.flat, terms, strict=False):
        lines = [line for line in stats if term in line]
        axis.plot([line["step"] for line in lines], [line[term] for line in lines], color="#b9c6da", linewidth=0.5)
        axis.plot(*series(stats, term, 60), color="#1f3a68", linewidth=1.4)
        axis.set_title(term.removeprefix("loss/").replace("_", " "), fontsize=9)
        axis.tick_params(labelsize=7)
        values = np.array([line[term] for line in lines])
        axis.set_ylim(min(0.0, float(np.quantile(values, 0.01))), float(np.quantile(values, 0.99)) * 1.1 + 1e-9)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stats", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    draw(read_stats(arguments.stats), arguments.out, arguments.title)
