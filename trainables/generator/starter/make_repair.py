"""Train the starter weights of repair from scratch on a rendered corpus.

    python -m trainables.generator.starter.make_repair --corpus CORPUS --run FIRST --out FIRST-BUNDLE
    python -m trainables.generator.starter.make_repair --corpus CORPUS --run SECOND --out BUNDLE --start FIRST-BUNDLE

The second training goes on from the first one's weights and learns from second looks as well, at clips that those
mended. An interrupted run goes on where its newest checkpoint in its folder is. A tenth of the products is held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from trainables.generator.repair.config import RepairTrainConfig
from trainables.generator.starter.corpus import Corpus, CorpusClips
from trainables.generator.starter.training import starter_arguments, train_starter

TIMES = {"turntables": 12, "garments": 2, "sample": 2, "misc": 3, "groceries": 4}
"""How often a source's clips come up, each time with other damage; turntables are the hard ones."""
EVERY = {"turntables": 1, "garments": 4, "sample": 1, "misc": 4, "groceries": 4}
"""Every so many clips of a source: measuring motion takes longer than learning from it."""
USED = (
    "of garments, other clips and groceries every 4th clip; turntables come up twelve times, others two to four times,"
    " each time with other damage"
)
SETTINGS = (
    "steps=4000",
    "batch_size=8",
    "frame_size=64",
    "clip_frames=2",
    "damage.variants=1",
    "damage.memory=4096",
    "optimizer.learning_rate=0.002",
    "optimizer.final_share=0.02",
    "optimizer.beta1=0.9",
    "loss.structure_weight=0.2",
    "loss.activity_weight=0.1",
    "ema.half_life=600",
    "checkpoint_every=50",
    "sheet_every=100",
)
SECOND = (
    "steps=3600",
    "damage.variants=2",
    "damage.second_looks=1",
    "optimizer.learning_rate=0.001",
    "loss.structure_weight=1.5",
    "loss.activity_weight=0.3",
)
"""What is different in the second training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--start", type=Path, help="bundle of the first training, for the second one")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    corpus = Corpus.open(arguments.corpus)
    places = [
        place
        for source, times in TIMES.items()
        for place in corpus.where(source, held_out=False)[:: EVERY[source]] * times
    ]
    clips = CorpusClips(corpus, places)
    settings = (*SETTINGS, *SECOND) if arguments.start else SETTINGS
    train_starter(
        arguments, RepairTrainConfig, settings, corpus, tuple(TIMES), clips=clips, data=(USED,), start=arguments.start
    )


if __name__ == "__main__":
    main()
