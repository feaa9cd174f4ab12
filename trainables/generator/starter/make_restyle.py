"""Train the starter weights of restyling from scratch on a rendered corpus and a folder of style pictures.

    python -m trainables.generator.starter.make_restyle --corpus CORPUS --styles STYLES --run RUN --out BUNDLE

An interrupted run goes on where its newest checkpoint in RUN is. A tenth of clips and of pictures is held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from trainables.bundle import write_bundle
from trainables.generator.bundles import read_task_bundle
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.restyle.looks import read_styles
from trainables.generator.starter.corpus import Corpus, is_held_out
from trainables.generator.starter.training import starter_arguments, train_starter

SOURCES = ("garments", "turntables", "groceries", "sample")
SETTINGS = (
    "steps=1000",
    "batch_size=4",
    "frame_size=96",
    "optimizer.learning_rate=0.002",
    "optimizer.final_share=0.05",
    "ema.half_life=800",
    "looks.variants=1",
    "looks.picture_share=0.6",
)
FINISH = (
    *SETTINGS,
    "steps=1180",
    "optimizer.learning_rate=0.006",
    "loss.content_weight=0.05",
    "loss.texture_weight=1.6",
)
"""The last steps lean towards texture, at what the cosine leaves of a higher rate."""
FINISH_SHARE = 0.75
"""How far the shipped weights lie from the first stage's end to the last one's: all the way costs edges."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--styles", type=Path, required=True, help="folder of pictures")
    arguments = parser.parse_args()
    styles = [(name, picture) for name, picture in read_styles(arguments.styles) if not is_held_out(name)]
    corpus = Corpus.open(arguments.corpus)
    data = [
        "six procedural presets, this project's own",
        f"{len(styles)} public-domain paintings, prints and textiles (artists dead before 1956)",
    ]
    ends = []
    for settings in (SETTINGS, FINISH):
        train_starter(arguments, RestyleTrainConfig, settings, corpus, SOURCES, styles=styles, data=data)
        ends.append(read_task_bundle(arguments.out, "restyle"))
    tensors = between(ends[0].tensors, ends[1].tensors, FINISH_SHARE)
    write_bundle(arguments.out, kind="generator", tensors=tensors, config=ends[1].config, card=ends[1].card)


def between(first: dict[str, np.ndarray], last: dict[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    """Weights on the line between two ends of one training (Wortsman et al. 2022, model soups)."""
    return {
        name: ((1 - share) * first[name].astype(np.float32) + share * last[name].astype(np.float32)).astype(np.float16)
        for name in first
    }


if __name__ == "__main__":
    main()
