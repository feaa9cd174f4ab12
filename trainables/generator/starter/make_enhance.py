"""Train the starter weights of enhancement from scratch on a rendered corpus.

    python -m trainables.generator.starter.make_enhance --corpus CORPUS --run FIRST --out FIRST-BUNDLE
    python -m trainables.generator.starter.make_enhance --corpus CORPUS --run SECOND --out BUNDLE --start FIRST-BUNDLE

The second training leaves the faithful part as it is and trains the vivid part on, with more weight on what is seen. An
interrupted run goes on where its newest checkpoint in its folder is. A tenth of the products is held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trainables.generator.enhance.config import EnhanceTrainConfig
from trainables.generator.starter.corpus import Corpus, CorpusClips
from trainables.generator.starter.training import starter_arguments, train_starter

TIMES = {"garments": 1, "turntables": 4, "groceries": 3, "sample": 1, "misc": 1}
"""How often a source's clips come up; photographs and turntables count more than rendered ones."""
SETTINGS = (
    "steps=6000",
    "vivid.start=0.6",
    "loss.structure_weight=25",
    "loss.perceptual_weight=100",
    "checkpoint_every=100",
    "sheet_every=500",
)
SECOND_SETTINGS = (
    "steps=4000",
    "vivid.start=0",
    "vivid.adversarial_weight=0.6",
    "loss.structure_weight=10",
    "loss.perceptual_weight=300",
)
"""What is different in the second training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--start", type=Path, help="bundle of the first training, for the second one")
    arguments = parser.parse_args()
    corpus = Corpus.open(arguments.corpus)
    places = [place for source, times in TIMES.items() for place in corpus.where(source, held_out=False) * times]
    clips = CorpusClips(corpus, places)
    train_starter(
        arguments,
        EnhanceTrainConfig,
        (*SETTINGS, *SECOND_SETTINGS) if arguments.start else SETTINGS,
        corpus,
        tuple(TIMES),
        clips=clips,
        start=arguments.start,
    )


if __name__ == "__main__":
    main()
