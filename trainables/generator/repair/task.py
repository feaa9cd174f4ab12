"""The task "repair" as the shared training sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.fabric import Fabric
from PIL import Image
from torch import nn

from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.repair.config import RepairTrainConfig
from trainables.generator.repair.evaluation import GATE, evaluate_dataset, sheet
from trainables.generator.repair.network import RepairNetwork
from trainables.generator.repair.repairer import Repairer, save_bundle
from trainables.generator.repair.updates import RepairUpdates
from trainables.generator.task import GeneratorTask


class RepairTask(GeneratorTask):
    name = "repair"
    config_class = RepairTrainConfig
    model = "damaged clip + mask → mended clip: candidates along camera motion and flow, moved and weighed by a U-Net"
    limits = (
        "Mends what other frames of the clip show. What no frame shows (the middle of a logo over a resting product) "
        "is filled smoothly, without invented detail. Two or more frames in a row that are lost from a fast turn come "
        "back with ragged contours, and so does what a hole hides of a turning product for many frames. Not made for "
        "faces."
    )
    progress_terms = ("hole", "fidelity")

    def updates(
        self, config: RepairTrainConfig, fabric: Fabric, styles: Sequence[tuple[str, np.ndarray]], start: Path | None
    ) -> RepairUpdates:
        before = Repairer.from_bundle(start, str(fabric.device)) if start else None
        return RepairUpdates(config, fabric, before)

    def network(self, config: RepairTrainConfig) -> RepairNetwork:
        return RepairNetwork(config.network)

    def save(self, network: nn.Module, config: RepairTrainConfig, folder: Path, card: dict[str, Any]) -> None:
        save_bundle(network, config.network, folder, card)

    def evaluate(self, folder: Path, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
        return evaluate_dataset(Repairer.from_bundle(folder), dataset, product_ids)

    @property
    def gate(self) -> tuple[Criterion, ...]:
        return GATE

    def sheet(self, network: nn.Module, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:
        """A product and damage a row: damaged, mask, mended, clean."""
        return sheet(Repairer(network, str(next(network.parameters()).device)), clips, names, title)


TASK = RepairTask()
