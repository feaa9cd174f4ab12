"""Find the bounds of the gate, and report what it refuses.

    python -m trainables.generator.usability.calibrate --corpus CORPUS --styles STYLES --restyle BUNDLE --out REPORT

Planted bad clips and good ones (restyled by the bundles over presets and pictures, and mild filters) are measured. From
clips that are not held out come the bounds: each lies a third of the way from the worst good clip (the outer .2 %) to
the middle of the bad clips beyond it. On held-out clips the gate, as its config stands, is reported by kind.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from trainables.data.style_code import style_code
from trainables.generator.restyle.looks import read_styles
from trainables.generator.restyle.presets import preset_codes
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter.corpus import Corpus, is_held_out
from trainables.generator.usability import motion, pixels
from trainables.generator.usability.gate import BOUNDS_ALONE, BOUNDS_WITH_SOURCE, Bound, UsabilityGate
from trainables.generator.usability.planted import BAD, BAD_ALONE, GOOD, NEED_MOTION, Case, fitted

SOURCES = ("garments", "turntables", "sample")
STRENGTHS = (0.5, 0.8, 1.0, 1.0)
LOOKS = 3
PLANTS = 5
"""Bad clips made from each restyled clip and from the source."""
OUTER = 0.002
TOWARDS_BAD = 1 / 3


@dataclass(frozen=True)
class Row:
    """One clip measured."""

    kind: str
    bad: bool
    source: str
    measures: dict[str, float]
    alone: dict[str, float]
    """Measures without a source."""


def measured(
    corpus: Corpus,
    styles: Sequence[np.ndarray],
    restylers: Sequence[Restyler],
    count: int,
    *,
    held_out: bool,
    seed: int,
) -> Iterator[Row]:
    """Good and bad clips of `count` products, as many of each source as there are."""
    rng, gate = np.random.default_rng(seed), UsabilityGate()
    plain = UsabilityGate()
    plain._safety = None
    by_source = {source: corpus.where(source, held_out=held_out) for source in SOURCES}
    share = -(-count // len(SOURCES))
    drawn = [rng.choice(found, min(share, len(found)), replace=False) for found in by_source.values()]
    places = sorted(np.concatenate(drawn))
    for place in track(places, "held out" if held_out else "calibrating"):
        source = corpus.rows[place]["source"]
        clip, other = (
            np.array(corpus.clips[place]),
            np.array(corpus.clips[_other(corpus, by_source[source], place, rng)]),
        )
        moves = motion.changes(clip).mean()
        kinds = [kind for kind in BAD if moves >= NEED_MOTION.get(kind, 0)]
        picture = styles[rng.integers(len(styles))]
        painting = fitted(picture, *clip.shape[1:3])
        case = Case(clip, clip, other, painting)
        for kind, plant in GOOD.items():
            yield _row(gate, kind, False, source, plant(case, rng), clip)
        for kind in rng.choice(kinds, PLANTS, replace=False):
            yield _row(plain, kind, True, source, BAD[kind](case, rng), clip)
        for restyler in restylers:
            for look, code in _looks(picture, rng):
                strength = float(rng.choice(STRENGTHS))
                restyled, restyled_other = restyler.restyle([clip, other], np.stack([code, code]), strength)
                case = Case(restyled, clip, restyled_other, painting)
                yield _row(gate, look, False, source, restyled, clip)
                for kind in rng.choice(kinds, PLANTS, replace=False):
                    yield _row(plain, kind, True, source, BAD[kind](case, rng), clip)


def bound_for(bound: Bound, rows: Sequence[Row], *, alone: bool) -> float | None:
    """Where the bound belongs by these rows; None where a measure is missing or no bad clip is beyond the good."""
    sign = -1.0 if bound.least else 1.0
    good, bad = (
        np.array([
            sign * measures[bound.measure]
            for row in rows
            if row.bad == wanted and bound.measure in (measures := row.alone if alone else row.measures)
        ])
        for wanted in (False, True)
    )  # fmt: skip
    if not len(good):
        return None
    edge = np.quantile(good, 1 - OUTER)
    beyond = bad[bad > edge] if len(bad) else bad
    return None if not len(beyond) else float(sign * (edge + TOWARDS_BAD * (np.median(beyond) - edge)))


def report(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Share refused by kind, with a source and alone; in the last line of the bad ones alone counts only the kinds
    that can be told without a source.
    """
    gate, table = UsabilityGate(), {}
    for bad in (False, True):
        for kind in sorted({row.kind for row in rows if row.bad == bad}):
            ours = [row for row in rows if row.bad == bad and row.kind == kind]
            table[f"{'bad' if bad else 'good'}, {kind}"] = {
                "clips": len(ours),
                "refused": float(np.mean([bool(gate.reasons(row.measures)) for row in ours])),
                "refused_alone": float(np.mean([bool(gate.reasons(row.alone, alone=True)) for row in ours])),
            }
        ours = [row for row in rows if row.bad == bad]
        ours_alone = [row for row in ours if not bad or row.kind in BAD_ALONE]
        table["bad" if bad else "good"] = {
            "clips": len(ours),
            "refused": float(np.mean([bool(gate.reasons(row.measures)) for row in ours])),
            "refused_alone": float(np.mean([bool(gate.reasons(row.alone, alone=True)) for row in ours_alone])),
        }
    return table


def _row(gate: UsabilityGate, kind: str, bad: bool, source: str, clip: np.ndarray, original: np.ndarray) -> Row:
    measures = gate.measures(clip, original)
    alone = {
        "contrast": measures["contrast"],
        "at_the_ends": pixels.at_the_ends(clip),
        "restlessness": motion.restlessness(pixels.luma(clip)),
    }
    return Row(kind, bad, source, measures, alone)


def _looks(picture: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    codes = preset_codes()
    for name in rng.choice(list(codes), LOOKS - 1, replace=False):
        yield f"restyled, {name}", codes[name]
    yield "restyled, picture", style_code(picture)


def _other(corpus: Corpus, places: Sequence[int], place: int, rng: np.random.Generator) -> int:
    """A clip of another product of the same source."""
    return rng.choice([other for other in places if corpus.rows[other]["product"] != corpus.rows[place]["product"]])


def _print(title: str, rows: Sequence[Row], table: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}")
    for kind, line in table.items():
        print(f"{kind:38s}{line['clips']:6d}{line['refused']:9.1%}{line['refused_alone']:9.1%}")
    faults = [reason for row in rows if not row.bad for reason in UsabilityGate().reasons(row.measures)]
    print(
        "good ones refused for:",
        {name: sum(f.startswith(name) for f in faults) for name in {f.split(":")[0] for f in faults}},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--restyle", type=Path, action="append", required=True, help="bundle that restyles; repeatable")
    parser.add_argument("--clips", type=int, default=60, help="products of each half")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON with bounds and report")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Corpus.open(arguments.corpus)
    restylers = [Restyler.from_bundle(folder) for folder in arguments.restyle]
    halves = {}
    for held_out in (False, True):
        styles = [picture for name, picture in read_styles(arguments.styles) if is_held_out(name) == held_out]
        halves[held_out] = list(
            measured(corpus, styles, restylers, arguments.clips, held_out=held_out, seed=arguments.seed + held_out)
        )
    bounds = {bound.measure: bound_for(bound, halves[False], alone=False) for bound in BOUNDS_WITH_SOURCE}
    bounds |= {b.measure: bound_for(b, halves[False], alone=True) for b in BOUNDS_ALONE if b.measure not in bounds}
    for name, value in bounds.items():
        print(
            f"{name:16s} {'—' if value is None else f'{value:.3f}'} (config {getattr(UsabilityGate().config, name):g})"
        )
    tables = {name: report(halves[held_out]) for name, held_out in (("calibration", False), ("held out", True))}
    for name, held_out in (("calibration", False), ("held out", True)):
        _print(name, halves[held_out], tables[name])
    arguments.out.write_text(json.dumps({"bounds": bounds, **tables}, indent=2) + "\n")


if __name__ == "__main__":
    main()
