"""`product_features` by Ray Data: all modalities, products without a clip, a second build that reads nothing again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cluster.cli.features import app
from cluster.errors import InputError
from cluster.storage import Storage
from tests.tiny_shop import make_tiny_shop
from trainables.data.dataset import Dataset
from trainables.recommender.features.extract import Extractor, Footage
from trainables.recommender.features.pipeline import FeatureReport, build_features
from trainables.recommender.features.table import read_modalities

pytestmark = pytest.mark.usefixtures("ray_local")


def test_features_are_built_once_and_again_only_where_something_changed(storage: Storage) -> None:
    dataset = make_tiny_shop(storage, products=10, viewers=0)
    dataset.append("products", pa.table({"product_id": ["bare"], "title": ["red lamp"], "category": ["lamp"]}), "more")
    steps: list[tuple[int, int]] = []
    report = build_features(dataset, lambda done, total: steps.append((done, total)))
    assert report == FeatureReport(products=11, made=11, current=0, without_clip=1)
    assert steps[0] == (0, 11)
    assert steps[-1] == (11, 11)

    ids = [f"p{i:02d}" for i in range(10)] + ["bare"]
    found = read_modalities(dataset, ids)
    assert sorted(found) == ["duration", "frames", "motion", "style", "text"]
    clip = dataset.clip("p03")
    alone = Extractor().footage([Footage(frames_THWC=clip.frames_THWC, fps=clip.fps, style_code=clip.style_code)])[0]
    for name in ("frames", "style", "motion", "duration"):
        np.testing.assert_allclose(found[name][3], alone[name], atol=1e-4)
        assert np.isnan(found[name][-1]).all()
    assert np.isfinite(found["text"]).all()

    dataset.append("products", pa.table({"product_id": ["new"], "title": ["hat"], "category": ["hat"]}), "more")
    assert build_features(dataset) == FeatureReport(products=12, made=1, current=11, without_clip=1)
    assert build_features(dataset) == FeatureReport(products=12, made=0, current=12, without_clip=0)


def test_the_command_says_what_it_did_and_what_is_missing(storage: Storage) -> None:
    make_tiny_shop(storage, "shop", products=3, viewers=0)
    result = CliRunner().invoke(app, ["build", "--data", "shop"])
    assert result.exit_code == 0, result.output
    assert "3 of 3 products made (0 without a clip), 0 up to date" in result.stderr
    with pytest.raises(InputError, match="has no products"):
        build_features(Dataset.create(storage, "empty"))
