"""What a generator task brings to the shared training: its config, updates, bundle, measures and contact sheet."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image
from torch import nn

from cluster.errors import InputError
from trainables.data.dataset import Dataset
from trainables.gate import Criterion
from trainables.generator.config import TrainConfig
from trainables.generator.ema import Ema
from trainables.generator.sampler import Draw

if TYPE_CHECKING:
    from lightning.fabric import Fabric

TASKS = ("restyle", "repair", "enhance", "generate")
PRODUCTS = 6
"""Held-out products measured after a training and by the gate."""


class ClipSource(Protocol):
    """A worker's shard of clips, read by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 (T, H, W, 3)."""
        ...


class Updates(Protocol):
    """The networks of a training and their updates: one object owns generator, judges, average and optimisers."""

    ema: Ema

    def batch(self, clips: ClipSource, draws: Sequence[Draw]) -> Any:
        """One worker's share of a step, on the device; a function of clips and draws alone."""
        ...

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """One update, counted from 0; returns terms averaged over all workers. Raises `TrainingDiverged` on all
        workers together.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs; the average under `ema`."""
        ...

    def load_state(self, state: dict[str, Any]) -> None: ...

    def digest(self) -> str:
        """SHA-256 over all trained weights; equal on all workers."""
        ...


class GeneratorTask(ABC):
    """One of the tasks; its module `trainables.generator.<name>.task` holds it as `TASK`."""

    name: str
    config_class: type[TrainConfig]
    model: str
    """One line for the card."""
    limits: str
    """What the model cannot do, for the card."""
    progress_terms: tuple[str, ...]
    """Loss terms worth showing while it trains, without `loss/`; there from the first step on."""
    least_held_out: int = 1
    """Held-out products that measuring needs."""

    @abstractmethod
    def updates(
        self, config: TrainConfig, fabric: Fabric, styles: Sequence[tuple[str, np.ndarray]], start: Path | None
    ) -> Updates:
        """Networks at their first step, from the weights of the bundle `start` where there is one; `styles` are named
        pictures uint8 (H, W, 3) to learn from.
        """

    @abstractmethod
    def network(self, config: TrainConfig) -> nn.Module:
        """The served network of a config, before its weights are loaded."""

    @abstractmethod
    def save(self, network: nn.Module, config: TrainConfig, folder: Path, card: dict[str, Any]) -> None:
        """Write the average network as a bundle."""

    @abstractmethod
    def evaluate(self, folder: Path, dataset: Dataset, product_ids: Sequence[str]) -> dict[str, float]:
        """Measures of a bundle on products it never saw; `score` is one number for sweeps, lower is better."""

    @property
    @abstractmethod
    def gate(self) -> Sequence[Criterion]:
        """What a challenger must meet before it is promoted."""

    @abstractmethod
    def sheet(self, network: nn.Module, clips: Sequence[np.ndarray], names: Sequence[str], title: str) -> Image.Image:
        """Contact sheet of held-out clips (T, H, W, 3), a product a row."""


def task_named(name: str) -> GeneratorTask:
    """The task by name; an unknown one is refused with the names there are."""
    if name not in TASKS:
        raise InputError(f"task {name!r} is none of {', '.join(TASKS)}")
    return importlib.import_module(f"trainables.generator.{name}.task").TASK


def model_name(task: str) -> str:
    """What the registry calls models of a task; `generator` alone restyles."""
    return "generator" if task == "restyle" else f"generator-{task}"


def task_of_model(name: str) -> GeneratorTask:
    """The task of a registered model by its name."""
    return task_named(name.removeprefix("generator-") if name != "generator" else "restyle")
