"""Promotion: measure challenger and champion on held-out data of one dataset, let the gate decide, move the alias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.registry import ModelVersion, Registry
from trainables.data.dataset import Dataset
from trainables.gate import Criterion, GateDecision, NotJudgedError, decide
from trainables.generator.split import split_products
from trainables.generator.task import PRODUCTS, task_of_model


@dataclass(frozen=True)
class Promotion:
    """What the gate saw and said."""

    challenger: ModelVersion
    champion: ModelVersion | None
    """The champion before; None where there was none."""
    decision: GateDecision


def promote(registry: Registry, challenger: ModelVersion, dataset: Dataset) -> Promotion:
    """Both models are measured now, by the same code on the same held-out rows; only a pass moves the alias.

    A recommender knows the products and viewers of one shop: where the champion was trained on another dataset there is
    nothing to compare with, and the reasons say so. So they do where these data cannot judge the champion; a challenger
    that they cannot judge raises NotJudgedError.
    """
    evaluate, criteria = _judge_of(challenger.name)
    champion = next((v for v in registry.versions(challenger.name) if "champion" in v.aliases), None)
    measured = evaluate(registry.fetch(challenger), dataset)
    incumbent, remarks = None, ()
    if champion is not None and champion.version != challenger.version:
        try:
            _check_comparable(champion, dataset)
            incumbent = evaluate(registry.fetch(champion), dataset)
        except NotJudgedError as error:
            remarks = (f"note  champion {champion.reference} cannot be compared here: {error}",)
    if measured.get("holdout_viewers") == 0:
        remarks += (f"note  nobody took to anything new in the newest tenth of {dataset.name!r}; import a longer log",)
    decision = decide(criteria, measured, incumbent)
    decision = replace(decision, reasons=remarks + decision.reasons)
    if decision.passed:
        registry.promote(challenger, decision)
    return Promotion(challenger, champion, decision)


def _check_comparable(champion: ModelVersion, dataset: Dataset) -> None:
    trained_on = champion.lineage.get("data_name")
    if champion.name == "recommender" and trained_on != dataset.name:
        raise NotJudgedError(f"it is of dataset {trained_on!r}")


def _judge_of(name: str) -> tuple[Callable[[Path, Dataset], dict[str, float]], Sequence[Criterion]]:
    if name == "recommender":
        from trainables.recommender import evaluation

        return evaluation.evaluate_bundle, evaluation.GATE
    task = task_of_model(name)

    def evaluate(folder: Path, dataset: Dataset) -> dict[str, float]:
        return task.evaluate(folder, dataset, split_products(dataset.clip_products())[1][:PRODUCTS])

    return evaluate, task.gate
