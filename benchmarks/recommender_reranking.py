"""What variety costs: KuaiRand's held-out tenth, slates of 20 out of 300 candidates, re-ranked at several settings.

One item-item model is trained on the first nine tenths of the log; each viewer's 300 best candidates are re-ranked.
Similarity is the mean cosine of content features (tags, creator, attributes) over the pairs of a slate.

    python -m benchmarks.recommender_reranking KUAIRAND_DIR [--viewers 1500]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from cluster.pseudonym import KEY_BYTES, Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.kuairand import import_kuairand
from trainables.data.style_code import CODE_DIM
from trainables.metrics import ranking
from trainables.recommender.evaluation import held_out_cases, training_boundary
from trainables.recommender.features.attributes import catalogue_blocks
from trainables.recommender.features.blocks import joined
from trainables.recommender.recommender import Recommender
from trainables.recommender.reranking.diversity import intra_list_similarity
from trainables.recommender.reranking.rerank import Candidates, RerankConfig, rerank
from trainables.recommender.reranking.rules import Rules
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.taste import DEFAULT_PRESET
from trainables.recommender.train import read_training_data, train

K, POOL = 20, 300
SETTINGS = {
    "by score alone": RerankConfig(diversity=0.0),
    **{f"{m} {d:g}": RerankConfig(method=m, diversity=d) for m in ("mmr", "dpp") for d in (0.02, 0.05, 0.1, 0.2)},
    "caps 4 a category": RerankConfig(diversity=0.0, most_of_category=4),
    "caps 4, 1 a creator, dpp 0.05": RerankConfig(diversity=0.05, most_of_category=4, most_of_creator=1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="KuaiRand's files")
    parser.add_argument("--viewers", type=int, default=1500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        import_kuairand(Storage(home), "log", arguments.folder, Pseudonymiser(bytes(KEY_BYTES)))
        data = read_training_data(Dataset.open(Storage(home), "log"))
    boundary = training_boundary(data.events)
    presets = {DEFAULT_PRESET: np.zeros(CODE_DIM, np.float32)}
    recommender = Recommender(train(RecommenderTrainConfig(), data, presets, until_ms=boundary))
    features = joined(catalogue_blocks(data.products))
    creators, categories = data.products["creator"].to_pylist(), data.products["category"].to_pylist()
    row_of = recommender.model.row_of
    cases = held_out_cases(data, boundary)
    cases = [cases[i] for i in np.linspace(0, len(cases) - 1, min(arguments.viewers, len(cases))).astype(int)]
    pools = []
    for case in cases:
        retrieved = recommender.retrieve(case.history, POOL, boundary)
        rows = [row_of[candidate.product_id] for candidate in retrieved]
        pool = Candidates(
            product_ids=[candidate.product_id for candidate in retrieved],
            scores=np.array([candidate.score for candidate in retrieved]),
            features_CD=features[rows],
            categories=[categories[row] for row in rows],
            creators=[creators[row] for row in rows],
        )
        pools.append((case, pool))
    print(f"{len(pools)} viewers, {POOL} candidates each, slates of {K}")
    print("setting                          NDCG@20  of plain  similarity  of plain  categories  coverage  ms a slate")
    plain: tuple[float, float] | None = None
    for name, config in SETTINGS.items():
        gains, similar, kinds, slates = [], [], [], []
        started = time.process_time()
        for _, pool in pools:
            slates.append(rerank(pool, K, rules=Rules(), config=config, now_ms=boundary))
        milliseconds = (time.process_time() - started) / len(pools) * 1000
        for (case, pool), slate in zip(pools, slates, strict=True):
            gains.append(ranking.ndcg([place.product_id for place in slate.places], case.relevant, K))
            chosen = [place.candidate for place in slate.places]
            similar.append(intra_list_similarity(pool.features_CD[chosen]))
            kinds.append(len({pool.categories[i] for i in chosen}))
        covered = len({place.product_id for slate in slates for place in slate.places}) / len(row_of)
        gain, alike = float(np.mean(gains)), float(np.mean(similar))
        plain = plain or (gain, alike)
        print(
            f"{name:32} {gain:.4f}   {gain / plain[0]:6.1%}   {alike:8.4f}   {alike / plain[1]:6.1%}   "
            f"{np.mean(kinds):8.1f}   {covered:7.3f}   {milliseconds:8.2f}"
        )


if __name__ == "__main__":
    main()
