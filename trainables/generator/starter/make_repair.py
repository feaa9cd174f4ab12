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

FIRST = {"turntables": (1, 8), "garments": (4, 1), "sample": (1, 1), "misc": (4, 2), "groceries": (4, 2)}
SECOND = {"turntables": (1, 3), "garments": (8, 1), "sample": (2, 1), "misc": (8, 1), "groceries": (4, 1)}
"""Of each source every so many clips, so many times, each time with other damage. Turntables are the hard ones, and
measuring motion takes longer than learning from it.
"""
SETTINGS = (
    "steps=4000",
    "batch_size=8",
    "frame_size=64",
    "clip_frames=2",
    "damage.variants=1",
    "damage.samples=2",
    "damage.memory=8192",
    "optimizer.learning_rate=0.002",
    "optimizer.final_share=0.02",
    "optimizer.beta1=0.9",
    "loss.structure_weight=1.5",
    "loss.activity_weight=0.1",
    "ema.half_life=600",
    "checkpoint_every=50",
    "sheet_every=100",
)
SECOND_SETTINGS = (
    "steps=2400",
    "damage.variants=2",
    "damage.second_looks=1",
    "damage.samples=4",
    "optimizer.learning_rate=0.001",
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
    taken = SECOND if arguments.start else FIRST
    places = [
        place
        for source, (every, times) in taken.items()
        for place in corpus.where(source, held_out=False)[::every] * times
    ]
    used = "; ".join(f"of {source} every {every}. clip {times} times" for source, (every, times) in taken.items())
    train_starter(
        arguments,
        RepairTrainConfig,
        (*SETTINGS, *SECOND_SETTINGS) if arguments.start else SETTINGS,
        corpus,
        tuple(taken),
        clips=CorpusClips(corpus, places),
        data=(f"{used}, each time with other damage",),
        start=arguments.start,
    )


if __name__ == "__main__":
    main()
