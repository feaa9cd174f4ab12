"""Impressions of KuaiRand's last three days: the ranker beside a tuned LightGBM, same split, same rows.

    python benchmarks/recommender_impressions.py --data DIR [--test-days 3] [--out FILE.json]

DIR holds KuaiRand's log, features and histories. Both models learn from the days before and score the later ones
knowing no outcome of theirs. The peer is LightGBM on the standard features: attributes, surface, length, hour, decayed
and plain counters of viewers, products, creators and categories; leaves and rounds are tuned on the newest training
days, a model for each target, watch time by L1. The ranker adds what came of the viewer's latest impressions and of the
same product, histories, exposures, the network, product intercepts and calibration; its trees are LightGBM's too.
Differences come with 95 % intervals of a paired bootstrap over viewers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.kuairand import import_kuairand
from trainables.metrics import impressions as measures
from trainables.recommender.ranking.boosting import fit_trees, rounds_of
from trainables.recommender.ranking.calibration import sigmoid
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.facts import FactEncoders
from trainables.recommender.ranking.features import FeatureTable, features, known_until, lagged
from trainables.recommender.ranking.log import Codes, Impressions, Outcomes, common_surfaces, read_log, viewer_codes
from trainables.recommender.ranking.past import Past
from trainables.recommender.ranking.ranker import Scores, Shown
from trainables.recommender.ranking.train import train_ranker
from trainables.recommender.train import TrainingData, read_training_data

DAY_MS = 86_400_000
BEIJING_MS = 8 * 3_600_000
LEAVES = (15, 31, 63)
BEYOND_STANDARD = ("watched:", "same_product:", "outcome_", "latest_", "sitting:", "shown", "since_")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--test-days", type=int, default=3)
    arguments.add_argument("--draws", type=int, default=200, help="Bootstrap draws.")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    config = RankerConfig(threads=options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        storage = Storage(scratch)
        import_kuairand(storage, "kuairand", options.data, Pseudonymiser(bytes(32)))
        data = read_training_data(Dataset.open(storage, "kuairand"))
    rows, outcomes, surface, cut_ms = later_rows(data, options.test_days)
    past = replace(data, events=data.events.filter(pa.array(data.events["at"].cast(pa.int64()).to_numpy() < cut_ms)))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("ranker", total=None)
        ranker = train_ranker(
            config,
            past,
            until_ms=cut_ms,
            on_progress=lambda _, done, total: progress.update(task, completed=done, total=total),
        )
    ours, theirs = ranker.score(past, rows), peer(past, rows, config)
    viewer = pd.factorize(rows.viewer_ids.to_pandas())[0]
    report = {"impressions": len(viewer), "viewers": int(viewer.max()) + 1, "surfaces": {}}
    places = {"all": np.ones(len(viewer), bool)} | {
        name: surface == name for name in pd.Series(surface).value_counts().index if (surface == name).sum() >= 1000
    }
    for name, chosen in places.items():
        report["surfaces"][name] = compare(
            viewer[chosen], outcomes.take(chosen), part(ours, chosen), part(theirs, chosen), options.draws
        )
    show(report)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


def later_rows(data: TrainingData, days: int) -> tuple[Shown, Outcomes, np.ndarray, int]:
    """The impressions of the last days of Beijing time, what came of them, and where the days begin."""
    shown = data.events.filter(pc.equal(data.events["event_type"], "impression"))
    newest = int(pc.max(shown["at"].cast(pa.int64())).as_py()) + BEIJING_MS
    cut_ms = (newest // DAY_MS - days + 1) * DAY_MS - BEIJING_MS
    surfaces = common_surfaces(data.events, 1)
    viewers = viewer_codes(data.events["viewer_id"])
    products = pa.array(data.products["product_id"])
    log = read_log(data.events, Codes(viewers, products, surfaces))
    chosen = log.impressions.at_ms_N >= cut_ms
    late = log.impressions.take(chosen)
    names = np.array([*surfaces, ""], dtype=object)[late.surface_N]
    rows = Shown(
        viewers.take(pa.array(late.viewer_N)), products.take(pa.array(late.product_N)).combine_chunks()
        if isinstance(products, pa.ChunkedArray) else products.take(pa.array(late.product_N)),
        late.at_ms_N, pa.array(names.tolist(), pa.string()), late.seconds_N,
    )  # fmt: skip
    return rows, log.outcomes.take(chosen), names, cut_ms


def peer(past: TrainingData, rows: Shown, config: RankerConfig) -> Scores:
    """A tuned LightGBM for each target, on the standard features."""
    surfaces = common_surfaces(past.events, 100)
    codes = Codes(
        viewer_codes(past.events["viewer_id"], rows.viewer_ids), pa.array(past.products["product_id"]), surfaces
    )
    log, facts = read_log(past.events, codes), FactEncoders.learn(past).facts(past, codes)
    known = Past(log, facts, config.half_life_days)
    shown = log.impressions
    moments = np.sort(shown.at_ms_N)
    table = standard(
        features(shown, lagged(shown.at_ms_N, config.longest_lag_days, np.random.default_rng(1)), known, facts, shown)
    )
    asked = Impressions(
        codes.viewer(rows.viewer_ids),
        codes.product(rows.product_ids),
        codes.surface(rows.surfaces),
        rows.at_ms,
        rows.seconds,
    )
    test = standard(features(asked, known_until(asked.at_ms_N, moments), known, facts, asked))
    newest = shown.at_ms_N >= np.quantile(shown.at_ms_N, 1 - config.validation_share)
    early, late = (FeatureTable(table.names, table.values_ND[side]) for side in (~newest, newest))
    said = []
    for objective, target in (
        ("binary", log.outcomes.click_N),
        ("binary", log.outcomes.long_view_N),
        ("l1", np.log1p(log.outcomes.watch_seconds_N)),
    ):
        tried = []
        for leaves in LEAVES:
            tuned = replace(config, leaves=leaves)
            booster = fit_trees(objective, early, target[~newest], tuned, rounds=600, watch=(late, target[newest]))
            tried.append((next(iter(booster.best_score["valid_0"].values())), leaves, rounds_of(booster)))
        _, leaves, rounds = min(tried)
        final = fit_trees(objective, table, target, replace(config, leaves=leaves), rounds=rounds)
        said.append(final.predict(test.values_ND, raw_score=True))
    return Scores(sigmoid(said[0]), sigmoid(said[1]), np.maximum(np.expm1(said[2]), 0.0))


def standard(table: FeatureTable) -> FeatureTable:
    kept = [place for place, name in enumerate(table.names) if not name.startswith(BEYOND_STANDARD)]
    return FeatureTable(tuple(table.names[place] for place in kept), table.values_ND[:, kept])


def part(scores: Scores, chosen: np.ndarray) -> Scores:
    return Scores(scores.click_N[chosen], scores.long_view_N[chosen], scores.watch_seconds_N[chosen])


def measured(viewer: np.ndarray, outcomes: Outcomes, scores: Scores) -> dict[str, float]:
    found = {}
    for name, happened, chance in (
        ("click", outcomes.click_N, scores.click_N),
        ("long_view", outcomes.long_view_N, scores.long_view_N),
    ):
        found[f"{name}_auc"] = measures.auc(happened, chance)
        found[f"{name}_gauc"] = measures.gauc(viewer, happened, chance)
        found[f"{name}_log_loss"] = measures.log_loss(happened, chance)
        found[f"{name}_ece"] = measures.expected_calibration_error(happened, chance)
    found["watch_mae"] = measures.mean_absolute_error(outcomes.watch_seconds_N, scores.watch_seconds_N)
    found["watch_xauc"] = measures.xauc(outcomes.watch_seconds_N, scores.watch_seconds_N)
    return found


def compare(viewer: np.ndarray, outcomes: Outcomes, ours: Scores, theirs: Scores, draws: int) -> dict[str, dict]:
    """Measure → ours, peer, and the interval of ours − peer over viewers drawn with replacement."""
    rng = np.random.default_rng(0)
    both = measured(viewer, outcomes, ours), measured(viewer, outcomes, theirs)
    order = np.argsort(viewer, kind="stable")
    _, start, count = np.unique(viewer[order], return_index=True, return_counts=True)
    differences: dict[str, list[float]] = {name: [] for name in both[0]}
    for _ in range(draws):
        drawn = rng.integers(0, len(start), len(start))
        rows = np.concatenate([order[start[one] : start[one] + count[one]] for one in drawn])
        again = np.repeat(np.arange(len(drawn)), count[drawn])  # a viewer drawn twice counts as two
        first, second = (measured(again, outcomes.take(rows), part(one, rows)) for one in (ours, theirs))
        for name in differences:
            differences[name].append(first[name] - second[name])
    return {
        name: {"ranker": both[0][name], "lightgbm": both[1][name],
               "difference_95": np.nanquantile(values, [0.025, 0.975]).tolist()}
        for name, values in differences.items()
    }  # fmt: skip


def show(report: dict) -> None:
    table = Table(title=f"{report['impressions']:,} impressions of {report['viewers']:,} viewers", title_justify="left")
    for column in ("surface", "measure", "LightGBM", "ranker", "difference, 95 %"):
        table.add_column(column, justify="left" if column in ("surface", "measure") else "right")
    for surface, lines in report["surfaces"].items():
        for name, line in lines.items():
            low, high = line["difference_95"]
            table.add_row(
                surface, name, f"{line['lightgbm']:.4f}", f"{line['ranker']:.4f}", f"{low:+.4f} … {high:+.4f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
