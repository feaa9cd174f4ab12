"""Restyling as a task of the shared training."""

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
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.restyle.evaluation import GATE, evaluate
from trainables.generator.restyle.looks import make_looks
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.presets import PRESETS, preset_codes
from trainables.generator.restyle.restyler import Restyler, save_bundle
from trainables.generator.restyle.updates import RestyleUpdates
from trainables.generator.task import GeneratorTask


class RestyleTask(GeneratorTask):
    name = "restyle"
    config_class = RestyleTrainConfig
    model = "clip → clip restyling for a style code: palette skip + style-modulated decoder"
    limits = (
        "Restyles clips of products; it neither mends nor invents them. Looks far from the presets and the references "
        "it was trained on are followed in palette more than in texture. Not made for faces, and not for judging "
        "colour."
    )
    progress_terms = ("style", "content")

    def updates(
        self, config: RestyleTrainConfig, fabric: Fabric, styles: Sequence[tuple[str, np.ndarray]], start: Path | None
    ) -> RestyleUpdates:
        first = Restyler.from_bundle(start).network.state_dict() if start else None
        return RestyleUpdates(config, make_looks(config.looks, config.seed, styles), fabric, first)

    def network(self, config: RestyleTrainConfig) -> RestyleNetwork:
        return RestyleNetwork(config.network)

    def save(self, network: nn.Module, config: RestyleTrainConfig, folder: Path, card: dict[str, Any]) -> None:
        save_bundle(network, config.network, folder, card)

    def evaluate(self, folder: Path, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
        return evaluate(Restyler.from_bundle(folder), dataset, product_ids)

    @property
    def gate(self) -> tuple[Criterion, ...]:
        return GATE

    def sheet(self, network: nn.Module, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:
        """A product a row: its middle frame as it came and in every preset."""
        restyler = Restyler(network, str(next(network.parameters()).device))
        codes = np.stack([preset_codes()[name] for name in PRESETS])
        rows = []
        for clip in clips:
            frame = clip[len(clip) // 2][None]
            rows.append([frame[0], *(restyled[0] for restyled in restyler.restyle([frame] * len(PRESETS), codes))])
        return contact_sheet(rows, list(names[: len(rows)]), ["source", *PRESETS], title=title)


TASK = RestyleTask()
