"""Generating as a task of the shared training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.fabric import Fabric
from PIL import Image
from torch import nn

from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.generate.clip_maker import ClipMaker, read_network, save_bundle
from trainables.generator.generate.config import GenerateTrainConfig
from trainables.generator.generate.evaluation import GATE, LEAST_PRODUCTS, evaluate
from trainables.generator.generate.network import Finisher
from trainables.generator.generate.updates import GenerateUpdates
from trainables.generator.task import GeneratorTask

SHEET_CLIPS = 6
SHEET_FRAMES = 6


class GenerateTask(GeneratorTask):
    name = "generate"
    config_class = GenerateTrainConfig
    model = "noise, kind and colour → clip: recombined exemplars, finished by an adversarially trained network, moved"
    limits = (
        "Recombines what it remembers of its training clips: shapes, surfaces and backdrops far from them cannot come "
        "out, lettering is bent and mirrored, products with parts (straps, handles, pairs of shoes) may melt into each "
        "other. No product it shows exists; never offer one for sale."
    )
    progress_terms = ("pixels", "perceptual")
    least_held_out = LEAST_PRODUCTS

    def updates(
        self, config: GenerateTrainConfig, fabric: Fabric, styles: Sequence[tuple[str, np.ndarray]], start: Path | None
    ) -> GenerateUpdates:
        """`styles` are not looked at: looks are laid on afterwards, by restyling."""
        first = None
        if start is not None:
            network = read_network(start)
            first = (network.state_dict(), network.memory)
        return GenerateUpdates(config, fabric, first)

    def network(self, config: GenerateTrainConfig) -> Finisher:
        return Finisher(config.network)

    def save(self, network: nn.Module, config: GenerateTrainConfig, folder: Path, card: dict[str, Any]) -> None:  # noqa: ARG002
        save_bundle(network, folder, card)

    def evaluate(self, folder: Path, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
        return evaluate(ClipMaker.from_bundle(folder), dataset, product_ids)

    @property
    def gate(self) -> tuple[Criterion, ...]:
        return GATE

    def sheet(self, network: nn.Module, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:  # noqa: ARG002
        """A generated clip a row, over time."""
        made = ClipMaker(network, str(next(network.parameters()).device)).make(SHEET_CLIPS, seed=0, frames=16)
        picked = np.linspace(0, 15, SHEET_FRAMES).round().astype(int)
        return contact_sheet([list(clip[picked]) for clip in made], title=title)


TASK = GenerateTask()
