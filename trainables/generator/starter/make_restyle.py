"""Train the starter weights of restyling from scratch on a rendered corpus and a folder of style pictures.

    python -m trainables.generator.starter.make_restyle --corpus CORPUS --styles STYLES --run RUN --out BUNDLE

An interrupted run goes on where its newest checkpoint in RUN is. A tenth of clips and of pictures is held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.restyle.looks import read_styles
from trainables.generator.starter.corpus import Corpus, is_held_out
from trainables.generator.starter.training import starter_arguments, train_starter

SOURCES = ("garments", "turntables", "groceries", "sample")
SETTINGS = (
    "steps=2400",
    "batch_size=4",
    "frame_size=96",
    "optimizer.learning_rate=0.002",
    "optimizer.warm_up=0.07",
    "optimizer.final_share=0.45",
    "ema.half_life=800",
    "looks.variants=1",
    "looks.picture_share=0.6",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    starter_arguments(parser)
    parser.add_argument("--styles", type=Path, required=True, help="folder of pictures")
    arguments = parser.parse_args()
    styles = [(name, picture) for name, picture in read_styles(arguments.styles) if not is_held_out(name)]
    data = [
        "six procedural presets, this project's own",
        f"{len(styles)} public-domain paintings, prints and textiles (artists dead before 1956)",
    ]
    corpus = Corpus.open(arguments.corpus)
    train_starter(arguments, RestyleTrainConfig, SETTINGS, corpus, SOURCES, styles=styles, data=data)


if __name__ == "__main__":
    main()
