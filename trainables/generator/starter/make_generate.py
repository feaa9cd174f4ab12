"""Train the starter weights of the clip generator from scratch, and measure them.

    python -m trainables.generator.starter.make_generate --corpus CORPUS --work WORK --out OUT

CORPUS is what `trainables.generator.starter.corpus` rendered. WORK keeps the memory, checkpoints and `stats.jsonl`,
so a run that broke off goes on where it was. OUT becomes the bundle.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from rich.progress import Progress

from cluster.config import override, to_dict
from cluster.storage import Storage
from trainables.generator.checkpoints import Checkpoints
from trainables.generator.generate.clip_maker import read_network, save_bundle
from trainables.generator.generate.config import GenerateTrainConfig
from trainables.generator.generate.memory import Label, Memory, learn
from trainables.generator.generate.network import Finisher
from trainables.generator.generate.task import TASK
from trainables.generator.starter.corpus import Corpus, CorpusClips
from trainables.generator.starter.training import LICENCES
from trainables.generator.train import train

SOURCES = ("garments", "turntables", "groceries", "sample")
MIX = {"garments": 0.78, "turntables": 0.22}
"""Shares of the groups among clips of no wished kind; the others are made when they are asked for."""
SETTINGS = ("steps=2400", "batch_size=6", "memory.learn=false", "adversarial.weight=0.1", "adversarial.start=0.25")


class LabelledCorpusClips(CorpusClips):
    """Clips of a corpus that know what they show."""

    def label(self, index: int) -> Label:
        row = self.corpus.rows[self.places[index]]
        return Label(kind=row["kind"].replace("_", " "), title=row["title"], group=row["source"])


class Lines:
    """`stats.jsonl`, a line a step."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a")

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step} | {k: float(f"{v:.5g}") for k, v in metrics.items()}) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def memory_of(corpus: Corpus, path: Path) -> Memory:
    """The memory of the training clips, learned once: a window of every sample product, every window of the rest."""
    if not path.is_file():
        places, seen = [], set()
        for place in corpus.where(*SOURCES, held_out=False):
            row = corpus.rows[place]
            if row["source"] != "sample" or row["product"] not in seen:
                places.append(place)
            seen.add(row["product"])
        torch.save(learn(LabelledCorpusClips(corpus, places)).tensors(), path)
    return Memory.from_tensors(torch.load(path, weights_only=True))


def make(corpus: Corpus, work: Path, out: Path, config: GenerateTrainConfig, start: Path | None = None) -> Finisher:
    """Train from scratch, or from the weights of `start`; write the bundle, return the average network."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    untrained = read_network(start) if start else Finisher(config.network)
    everything = memory_of(corpus, work / "memory.pt")
    kept = (config.memory.stills, config.memory.spins)
    untrained.memory = Memory.merged([Memory((), (), MIX), everything], *kept)
    save_bundle(untrained, work / "start", {"note": "memory and untrained weights"})
    clips = LabelledCorpusClips(corpus, corpus.where("garments", "turntables", "groceries", held_out=False))
    with Progress() as progress:
        task = progress.add_task("training", total=config.steps)
        result = train(
            config,
            clips,
            Fabric(accelerator="cpu", devices=1),
            sink=Lines(work / "stats.jsonl"),
            checkpoints=Checkpoints(Storage(str(work)), "checkpoints"),
            start=work / "start",
            on_step=lambda done, _: progress.update(task, completed=done),
        )
    save_bundle(result.network, out, card_of(result.network.memory, config))
    return result.network


def card_of(memory: Memory, config: GenerateTrainConfig) -> dict[str, Any]:
    """What a person should know of the weights; figures and curves come later, from `starter.card`."""
    counts = Counter(entry.group for entry in memory.entries)
    return {
        "model": TASK.model,
        "task": TASK.name,
        "trained_on": [f"{counts[source]} clips, {LICENCES[source]}" for source in SOURCES],
        "memory": {
            "note": "the bundle carries lossy pictures of the training clips it recombines, under the same licences",
            "kinds": memory.kinds(),
            "mix": memory.mix,
        },
        "held_out": "a tenth of the products and pictures, by a fixed hash of the name; never trained on",
        "settings": to_dict(config),
        "limits": TASK.limits,
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="bundle whose weights to begin with")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="one setting, e.g. steps=200")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    chosen = parse()
    torch.set_num_threads(1)
    config = override(GenerateTrainConfig(), [*SETTINGS, *chosen.settings])
    make(Corpus.open(chosen.corpus), chosen.work, chosen.out, config, chosen.start)
