"""The packaged weights as a version of the registry, so that a shop's own training has something to beat."""

from __future__ import annotations

import json

from cluster.registry import ModelVersion, Registry
from cluster.settings import Settings
from cluster.tracking import TrackedRun, code_version
from trainables.generator.starter import starter_bundle
from trainables.generator.task import model_name


def register_starter(settings: Settings, task: str) -> ModelVersion:
    """The version that holds the packaged bundle of a task; registered as challenger where it is not there yet."""
    bundle, registry, name = starter_bundle(task), Registry(settings), model_name(task)
    digest = json.loads((bundle / "config.json").read_text())["sha256"]
    for version in registry.versions(name):
        if version.lineage.get("starter_sha256") == digest:
            return version
    lineage = {"data_name": "starter", "starter_sha256": digest, "code_version": code_version()}
    card = json.loads((bundle / "card.json").read_text())
    with TrackedRun(settings, f"starter-{task}", kind="generator", params=card["settings"], lineage=lineage) as run:
        return registry.register(name, bundle, run_id=run.run_id, metrics={}, lineage=lineage)
