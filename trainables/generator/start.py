"""The bundle that a training begins with (`--start`), looked at before anything is started."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import torch

from cluster.config import from_dict
from cluster.errors import InputError
from trainables.generator.bundles import read_task_bundle
from trainables.generator.config import TrainConfig
from trainables.generator.task import task_named


def check_start(folder: Path, config: TrainConfig) -> str:
    """SHA-256 of the bundle's weights. One that is missing, damaged, of another task, or whose network has another size
    than `network.*` asks for is refused with its path.
    """
    settings = read_task_bundle(folder, config.task).config["network"]
    wanted = config.network
    # Bundles of before have settings that are none any more, and lack others; neither changes the size.
    known = {field.name: settings[field.name] for field in fields(wanted) if field.name in settings}
    found = from_dict(type(wanted), known, "network.")
    if _sizes(replace(config, network=found)) != _sizes(config):
        pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in known]
        changes = ", ".join(f"network.{name} ({its} → {ours})" for name, its, ours in pairs if its != ours)
        raise InputError(f"--start {folder}: its network has another size than this run asks for: {changes}")
    return json.loads((folder / "config.json").read_text())["sha256"]


def _sizes(config: TrainConfig) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in task_named(config.task).network(config).state_dict().items()}
