"""Train the starter weights of enhancement from scratch on a rendered corpus, in three stages.

    python -m trainables.generator.starter.make_enhance --corpus CORPUS --run RUN-1 --out BUNDLE-1
    python -m trainables.generator.starter.make_enhance --corpus CORPUS --run RUN-2 --out BUNDLE-2 \\
        --stage second --start BUNDLE-1

and the third likewise. The first stage trains both parts; after it each is trained on alone while the other stands
still: the vivid one with more weight on what is seen, then the faithful one with more of what is badly spoilt. An
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
STAGES = {
    "first": (),
    "second": (
        "steps=4000",
        "vivid.start=0",
        "vivid.adversarial_weight=0.6",
        "loss.structure_weight=10",
        "loss.perceptual_weight=300",
    ),
    "third": ("steps=5000", "vivid.start=1", "optimizer.learning_rate=0.0006", "degradation.hard_share=0.75"),
}
"""What is different in each stage; all but the first go on from the bundle of the one before."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--stage", choices=tuple(STAGES), default="first")
    parser.add_argument("--start", type=Path, help="bundle of the stage before")
    arguments = parser.parse_args()
    if (arguments.start is None) != (arguments.stage == "first"):
        parser.error("--start goes with every stage but the first: the bundle of the stage before")
    corpus = Corpus.open(arguments.corpus)
    places = [place for source, times in TIMES.items() for place in corpus.where(source, held_out=False) * times]
    clips = CorpusClips(corpus, places)
    train_starter(
        arguments,
        EnhanceTrainConfig,
        (*SETTINGS, *STAGES[arguments.stage]),
        corpus,
        tuple(TIMES),
        clips=clips,
        start=arguments.start,
    )


if __name__ == "__main__":
    main()
