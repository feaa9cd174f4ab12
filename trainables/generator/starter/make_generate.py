"""Train the starter weights of the clip generator from scratch.

    python -m trainables.generator.starter.make_generate --corpus CORPUS --run RUN --out BUNDLE

CORPUS is what `trainables.generator.starter.corpus` rendered. RUN keeps the memory, checkpoints and losses,
so a run that broke off goes on where it was. BUNDLE is written.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch

from cluster.config import override
from trainables.generator.generate.clip_maker import read_network, save_bundle
from trainables.generator.generate.config import GenerateTrainConfig
from trainables.generator.generate.memory import Label, Memory, learn
from trainables.generator.generate.network import Finisher
from trainables.generator.starter.corpus import Corpus, CorpusClips
from trainables.generator.starter.training import LICENCES, starter_arguments, train_starter

SOURCES = ("garments", "turntables", "groceries", "sample")
MIX = {"garments": 0.78, "turntables": 0.22}
"""Shares of the groups among clips of no wished kind; the others are made when they are asked for."""
SETTINGS = ("steps=2400", "batch_size=6", "memory.learn=false", "adversarial.weight=0.1", "adversarial.start=0.25")


class LabelledCorpusClips(CorpusClips):
    """Clips of a corpus that know what they show."""

    def label(self, index: int) -> Label:
        row = self.corpus.rows[self.places[index]]
        return Label(kind=row["kind"].replace("_", " "), title=row["title"], group=row["source"])


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


def begin(corpus: Corpus, run: Path, config: GenerateTrainConfig, start: Path | None) -> Memory:
    """Write `RUN/start`, the bundle a training begins with: the memory, and untrained weights or those of `start`."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = read_network(start) if start else Finisher(config.network)
    everything = memory_of(corpus, run / "memory.pt")
    kept = (config.memory.stills, config.memory.spins)
    network.memory = Memory.merged([Memory((), (), MIX), everything], *kept)
    save_bundle(network, run / "start", {"note": "memory and first weights"})
    return network.memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--start", type=Path, help="bundle whose weights to begin with")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus.open(arguments.corpus)
    memory = begin(
        corpus, arguments.run, override(GenerateTrainConfig(), [*SETTINGS, *arguments.settings]), arguments.start
    )
    counts = Counter(entry.group for entry in memory.entries)
    more = {
        "trained_on": [f"{counts[source]} clips, {LICENCES[source]}" for source in SOURCES],
        "memory": {
            "note": "the bundle carries lossy pictures of the training clips it recombines, under the same licences",
            "kinds": memory.kinds(),
            "mix": memory.mix,
        },
    }
    train_starter(
        arguments,
        GenerateTrainConfig,
        SETTINGS,
        corpus,
        SOURCES,
        clips=LabelledCorpusClips(corpus, corpus.where("garments", "turntables", "groceries", held_out=False)),
        start=arguments.run / "start",
        more=more,
    )


if __name__ == "__main__":
    main()
