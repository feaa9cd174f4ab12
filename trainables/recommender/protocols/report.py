"""An evaluation on paper: `evaluation.json`, and `report.html`, one self-contained page with tables and plots."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.page import page, plot, table
from trainables.recommender.protocols.measure import ACCURACY
from trainables.recommender.protocols.result import Result, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (*ACCURACY, "coverage", "novelty", "intra_list_similarity")


def write_report(result: Result, folder: Path) -> None:
    """Write both files into `folder`, which is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    (folder / "report.html").write_text(report(result), encoding="utf-8")


def report(result: Result) -> str:
    """The whole page; nothing in it is loaded from elsewhere."""
    title = f"Recommender, protocol {result.protocol}"
    facts = f"{result.viewers:,} viewers asked, {result.seeds} seed{'s' * (result.seeds > 1)}, measures at {result.k}"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in result.notes)
    return page(
        title,
        f"<p>{facts}; intervals are 95 %, bootstrapped over viewers.</p>{notes}"
        f"{plot(bars(result), 'NDCG and recall of every method with intervals')}"
        f"<h2>Methods</h2>{_methods(result)}<h2>{html.escape(result.ours)} less …</h2>{_leads(result)}"
        f"<h2>What validation chose</h2>{_settings(result)}",
    )


def bars(result: Result) -> Figure:
    """Recall and NDCG of every method with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.45 * len(result.methods) + 1.2), layout="constrained")
    places = range(len(result.methods))
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("ndcg", "recall"), strict=True):
        for place, summary in zip(places, result.methods, strict=True):
            low, high = summary.intervals[name]
            colour = "#2a7a3b" if summary.method == result.ours else "#5577aa"
            mean = (low + high) / 2
            axes.barh(place, summary.means[name], color=colour, alpha=0.85)
            axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], color="#222", capsize=3, fmt="none")
        axes.set_yticks(list(places), [summary.method for summary in result.methods])
        axes.set_title(f"{name.upper() if name == 'ndcg' else name.capitalize()}@{result.k}")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].invert_yaxis()
    return figure


def cell(summary: Summary, name: str) -> str:
    """A measure as people read it, with its interval where it has one."""
    if name not in summary.intervals:
        return f"{summary.means[name]:.3f}"
    low, high = summary.intervals[name]
    return f"{summary.means[name]:.4f} ({low:.3f}…{high:.3f})"


def _methods(result: Result) -> str:
    rows = [
        [html.escape(summary.method), *(cell(summary, name) for name in COLUMNS), f"{summary.seconds:.1f}"]
        for summary in result.methods
    ]
    ours = [place for place, summary in enumerate(result.methods) if summary.method == result.ours]
    return table([name.replace("_", " ") for name in ("method", *COLUMNS, "seconds")], rows, ours)


def _leads(result: Result) -> str:
    rows = [
        [
            html.escape(lead.method),
            *(
                f"{lead.differences[name]:+.4f} <small>{lead.intervals[name][0]:+.4f}…"
                f"{lead.intervals[name][1]:+.4f}</small>"
                for name in ACCURACY
            ),
        ]
        for lead in result.leads
    ]
    return table([name.replace("_", " ") for name in ("method", *ACCURACY)], rows)


def _settings(result: Result) -> str:
    chosen = [summary for summary in result.methods if any(summary.settings)]
    rows = [[html.escape(summary.method), html.escape(" · ".join(summary.settings))] for summary in chosen]
    return table(("method", "settings"), rows)
