"""Enhancement as the shared training and the commands see it."""

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
from trainables.generator.enhance.config import EnhanceTrainConfig
from trainables.generator.enhance.enhancer import Enhancer, save_bundle
from trainables.generator.enhance.evaluation import GATE, evaluate, sheet
from trainables.generator.enhance.network import EnhanceNetwork
from trainables.generator.enhance.updates import EnhanceUpdates
from trainables.generator.task import GeneratorTask


class EnhanceTask(GeneratorTask):
    name = "enhance"
    config_class = EnhanceTrainConfig
    model = "clip → cleaner, sharper clip, ×1 or ×2: averages along the motion, a U-Net on a bicubic skip for each mode"
    limits = (
        "Made for small product clips spoilt by blur, noise and H.264 or JPEG compression. Print and lettering that "
        "the upload has lost do not come back, and fabric stays smoother than it was; the vivid mode sharpens contours "
        "more than texture. A clip that was good to begin with loses a little detail. Not made for faces, documents or "
        "evidence."
    )
    progress_terms = ("pixel",)

    def updates(
        self, config: EnhanceTrainConfig, fabric: Fabric, styles: Sequence[tuple[str, np.ndarray]], start: Path | None
    ) -> EnhanceUpdates:
        """Looks play no part: `styles` is not used."""
        first = Enhancer.from_bundle(start).network.state_dict() if start else None
        return EnhanceUpdates(config, fabric, first)

    def network(self, config: EnhanceTrainConfig) -> EnhanceNetwork:
        return EnhanceNetwork(config.network)

    def save(self, network: nn.Module, config: EnhanceTrainConfig, folder: Path, card: dict[str, Any]) -> None:
        save_bundle(network, config.network, folder, card)

    def evaluate(self, folder: Path, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
        return evaluate(Enhancer.from_bundle(folder), dataset, product_ids)

    @property
    def gate(self) -> tuple[Criterion, ...]:
        return GATE

    def sheet(self, network: nn.Module, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:
        """A product a row: uploaded, bicubic, faithful, vivid, clean."""
        return sheet(Enhancer(network, str(next(network.parameters()).device)), clips, names, title)


TASK = EnhanceTask()
