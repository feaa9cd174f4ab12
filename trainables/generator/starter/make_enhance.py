"""Train the starter weights of enhancement from scratch on a rendered corpus.

    python -m trainables.generator.starter.make_enhance --corpus CORPUS --run RUN --out BUNDLE

An interrupted run goes on where its newest checkpoint in RUN is. A tenth of the products is held out.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--start", type=Path, help="bundle whose weights a fresh run begins with")
    arguments = parser.parse_args()
    corpus = Corpus.open(arguments.corpus)
    places = [place for source, times in TIMES.items() for place in corpus.where(source, held_out=False) * times]
    clips = CorpusClips(corpus, places)
    train_starter(
        arguments, EnhanceTrainConfig, SETTINGS, corpus, tuple(TIMES), clips=clips, start=arguments.start
    )


if __name__ == "__main__":
    main()
