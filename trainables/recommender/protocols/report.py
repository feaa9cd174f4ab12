"""An evaluation on paper: `evaluation.json`, and `report.html`, one self-contained page with tables and plots."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

from trainables.recommender.protocols.measure import ACCURACY
from trainables.recommender.protocols.result import Result, Summary

COLUMNS = (*ACCURACY, "coverage", "novelty", "intra_list_similarity")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem }
th, td { padding: .35rem .6rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr.ours { background: #eef6ee; font-weight: 600 }
thead { border-bottom: 2px solid #444 } small { color: #666; font-weight: 400 } img { max-width: 100% }
"""


def write_report(result: Result, folder: Path) -> None:
    """Write both files into `folder`, which is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    (folder / "report.html").write_text(page(result), encoding="utf-8")


def page(result: Result) -> str:
    """The whole page; nothing in it is loaded from elsewhere."""
    title = f"Recommender, protocol {result.protocol}"
    facts = f"{result.viewers:,} viewers asked, {result.seeds} seed{'s' * (result.seeds > 1)}, measures at {result.k}"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in result.notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{facts}; intervals are 95 %, bootstrapped over viewers.</p>{notes}"
        f'<img alt="NDCG and recall of every method with intervals" src="{plot(result)}">'
        f"<h2>Methods</h2>{_methods(result)}<h2>{html.escape(result.ours)} less …</h2>{_leads(result)}"
        f"<h2>What validation chose</h2>{_settings(result)}</html>\n"
    )


def plot(result: Result) -> str:
    """Recall and NDCG of every method with their intervals, as a data URI (SVG)."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.45 * len(result.methods) + 1.2), layout="constrained")
    FigureCanvasSVG(figure)
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
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode()


def cell(summary: Summary, name: str) -> str:
    """A measure as people read it, with its interval where it has one."""
    if name not in summary.intervals:
        return f"{summary.means[name]:.3f}"
    low, high = summary.intervals[name]
    return f"{summary.means[name]:.4f} ({low:.3f}…{high:.3f})"


def _methods(result: Result) -> str:
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("method", *COLUMNS, "seconds"))
    rows = []
    for summary in result.methods:
        cells = "".join(f"<td>{cell(summary, name)}</td>" for name in COLUMNS)
        ours = ' class="ours"' if summary.method == result.ours else ""
        rows.append(f"<tr{ours}><td>{html.escape(summary.method)}</td>{cells}<td>{summary.seconds:.1f}</td></tr>")
    return f"<table><thead><tr>{head}</tr></thead>{''.join(rows)}</table>"


def _leads(result: Result) -> str:
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("method", *ACCURACY))
    rows = []
    for lead in result.leads:
        cells = "".join(
            f"<td>{lead.differences[name]:+.4f} <small>{lead.intervals[name][0]:+.4f}…"
            f"{lead.intervals[name][1]:+.4f}</small></td>"
            for name in ACCURACY
        )
        rows.append(f"<tr><td>{html.escape(lead.method)}</td>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead>{''.join(rows)}</table>"


def _settings(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(summary.method)}</td><td>{html.escape(' · '.join(summary.settings))}</td></tr>"
        for summary in result.methods
        if any(summary.settings)
    )
    return f"<table>{rows}</table>"
