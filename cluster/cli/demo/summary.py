"""The demo's result as JSON and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.cli.demo.chain import Outcome

LOSSES = ("style", "content", "temporal", "palette", "adversarial", "total")
"""What the table shows of the training losses; the JSON has them all."""


def summarise(outcome: Outcome) -> dict[str, Any]:
    """Everything the table shows, and what is too long for it."""
    dataset = outcome.shop.dataset
    events = dataset.arrow("events", ["viewer_id"])
    return {
        "data": {
            "name": dataset.name,
            "statement": outcome.shop.statement,
            "products": dataset.count("products"),
            "clips": len(dataset.clip_products()),
            "viewers": events["viewer_id"].to_pandas().nunique(),
            "events": events.num_rows,
        },
        "recommender": {"run": outcome.recommender.run_name, "metrics": outcome.recommender.metrics},
        "starter": outcome.starter.reference,
        "generator": {"run": outcome.generator.run_name, "metrics": outcome.generator.metrics},
        "sweep": {
            "trials": [
                {"trial": trial.name, "status": trial.status, "objective": trial.objective, "settings": trial.settings}
                for trial in outcome.sweep.trials
            ],
            "best": outcome.sweep.best_settings,
            "config": str(outcome.sweep.best_config_path),
        },
        "models": {
            name: {
                "version": promotion.challenger.reference,
                "promoted": promotion.decision.passed,
                "gate": list(promotion.decision.reasons),
            }
            for name, promotion in outcome.promotions.items()
        },
        "viewers": {viewer.raw_id: viewer.weights for viewer in outcome.viewers},
        "http": {
            "statuses": outcome.answers.statuses,
            "feed_latency_ms": outcome.answers.feed_latency_ms,
            "looks": outcome.answers.looks,
            "slate_changed_after_click": outcome.answers.slate_changed_after_click,
        },
        "clips": {"count": outcome.answers.clips, "folder": str(outcome.folder / "clips")},
        "contact_sheet": str(outcome.answers.sheet),
        "seconds": {**outcome.steps.seconds, "total": outcome.steps.total_seconds},
    }


def rows(summary: dict[str, Any]) -> list[tuple[str, Any]]:
    """The lines of the table."""
    data, http = summary["data"], summary["http"]
    losses = summary["generator"]["metrics"]
    finished = sum(trial["status"] == "finished" for trial in summary["sweep"]["trials"])
    return [
        ("data", data["statement"]),
        ("products · clips", f"{data['products']} · {data['clips']}"),
        ("viewers · events", f"{data['viewers']:,} · {data['events']:,}"),
        ("recommender", _beside_popularity(summary["recommender"]["metrics"])),
        ("starter weights", summary["starter"]),
        ("generator steps", int(losses["steps"])),
        ("generator losses", _values({f"loss/{name}": losses[f"loss/{name}"] for name in LOSSES})),
        ("generator, held out", _values({k: v for k, v in losses.items() if k.startswith("heldout/")})),
        (
            "sweep",
            f"{len(summary['sweep']['trials'])} trials, {finished} finished; best {_values(summary['sweep']['best'])}",
        ),
        *(
            (name, f"{model['version']}, {'promoted to champion' if model['promoted'] else 'refused by the gate'}")
            for name, model in summary["models"].items()
        ),
        ("HTTP", "\n".join(f"{route} ×{count}" for route, count in http["statuses"].items())),
        ("feed latency", ", ".join(f"{ms:.0f} ms" for ms in http["feed_latency_ms"])),
        ("looks", ", ".join(f"viewer {viewer}: {look}" for viewer, look in http["looks"].items())),
        ("slate after a click", "changed" if http["slate_changed_after_click"] else "unchanged"),
        ("clips", f"{summary['clips']['count']} in {summary['clips']['folder']}"),
        ("contact sheet", summary["contact_sheet"]),
        ("time", f"{summary['seconds']['total']:.0f} s"),
    ]


def _beside_popularity(metrics: dict[str, float]) -> str:
    names = {"NDCG@10": "ndcg_at_10", "Recall@10": "recall_at_10"}
    return ", ".join(f"{k} {metrics[v]:.4f} (popularity {metrics[f'popularity_{v}']:.4f})" for k, v in names.items())


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{name.split('/')[-1]} {value:.4g}" for name, value in values.items())
