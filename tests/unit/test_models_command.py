"""`shopreel models` on a real registry. Models are judged by a number in their card: the answer is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cluster.cli import models
from cluster.errors import NotFoundError
from cluster.registry import PromotionRefusedError, Registry
from cluster.tracking import TrackedRun
from trainables import promotion
from trainables.bundle import write_bundle
from trainables.data.dataset import Dataset
from trainables.gate import Criterion


@pytest.fixture
def shopreel(settings, storage, monkeypatch):
    """Run `shopreel models …` in process; three versions of falling quality are registered, none is champion."""
    Dataset.create(storage, "shop")

    def evaluate(folder: Path, dataset: Dataset) -> dict[str, float]:
        return {"quality": json.loads((folder / "card.json").read_text())["quality"]}

    criteria = (Criterion(metric="quality", higher_is_better=True),)
    monkeypatch.setattr(promotion, "_judge_of", lambda name: (evaluate, criteria))
    lineage = {"data_name": "shop", "data_hash": "abc", "code_version": "1"}
    with TrackedRun(settings, "run", kind="generator", params={}, lineage=lineage) as run:
        for quality in (3.0, 2.0, 4.0):
            bundle = Path(settings.storage_root) / "trained" / str(quality)
            card = {"quality": quality}
            write_bundle(bundle, kind="generator", tensors={"w": np.ones(2)}, config={}, card=card)
            Registry(settings).register(
                "generator", bundle, run_id=run.run_id, metrics={"heldout/content_ssim": quality}, lineage=lineage
            )

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(models.app, list(arguments), env={"COLUMNS": "160"}, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    return call


def test_promote_refuse_promote_and_roll_back(shopreel, settings):
    """The gate's lines are printed; a worse challenger leaves the champion; rollback brings the earlier one back."""
    assert "pass  quality: challenger 3, no champion" in shopreel("promote", "generator/1")
    with pytest.raises(PromotionRefusedError, match="generator/2 is not promoted; the champion stays: generator/1"):
        shopreel("promote", "generator/2")
    assert Registry(settings).resolve("generator@champion").version == 1
    said = shopreel("promote", "generator@challenger", "--data", "shop")
    assert "challenger 4 against champion 3" in said
    assert "champion: generator/3" in said
    assert "quality: challenger 4" in shopreel("show", "generator@champion")
    assert "champion: generator/1" in shopreel("rollback", "generator")
    assert Registry(settings).resolve("generator@champion").version == 1


def test_list_and_show_name_versions_aliases_metrics_and_lineage(shopreel):
    listed = shopreel("list")
    assert all(text in listed for text in ("generator/1", "generator/3", "challenger", "shop", "content_ssim 4"))
    shown = shopreel("show", "generator/2")
    assert all(text in shown for text in ("generator/2", "data_hash", "abc", "model.safetensors", "content_ssim"))


def test_an_unknown_model_or_dataset_is_an_error_that_names_it(shopreel):
    with pytest.raises(NotFoundError, match="no alias 'champion'"):
        shopreel("show", "generator@champion")
    with pytest.raises(NotFoundError, match="no model 'painter'"):
        shopreel("rollback", "painter")
    with pytest.raises(NotFoundError, match="dataset 'winter' does not exist"):
        shopreel("promote", "generator/1", "--data", "winter")


def test_an_empty_registry_says_how_to_train(settings):
    assert "no models yet" in CliRunner().invoke(models.app, ["list"], catch_exceptions=False).output
