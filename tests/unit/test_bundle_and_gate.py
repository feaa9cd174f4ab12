"""Bundles refuse what is damaged or foreign; the gate says why."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import InputError, NotFoundError
from trainables.bundle import read_bundle, write_bundle
from trainables.gate import Criterion, decide


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "bundle"
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_bundle(target, kind="generator", tensors=tensors, config={"width": 3}, card={"data": "sample"})
    return target


def test_a_bundle_comes_back_as_written(folder: Path) -> None:
    bundle = read_bundle(folder, kind="generator")
    np.testing.assert_array_equal(bundle.tensors["w"], [[0, 1, 2], [3, 4, 5]])
    assert (bundle.config, bundle.card) == ({"width": 3}, {"data": "sample"})


def test_a_flipped_byte_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="does not match its checksum"):
        read_bundle(folder, kind="generator")


def test_a_truncated_bundle_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"bundle .* damaged"):
        read_bundle(folder, kind="generator")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        read_bundle(folder, kind="generator")


def test_text_that_is_no_json_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="config.json is not JSON"):
        read_bundle(folder, kind="generator")


@pytest.mark.parametrize("config", [None, []])
def test_a_bundle_without_settings_is_refused(folder: Path, config: list | None) -> None:
    header = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**header, "config": config}))
    with pytest.raises(InputError, match="has no object `config`"):
        read_bundle(folder, kind="generator")


def test_another_kind_and_a_newer_format_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="is a 'generator' model, not a recommender"):
        read_bundle(folder, kind="recommender")
    header = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**header, "format_version": 99}))
    with pytest.raises(InputError, match="format version 99"):
        read_bundle(folder, kind="generator")
    with pytest.raises(NotFoundError, match="no bundle at"):
        read_bundle(folder / "none", kind="generator")


NDCG = Criterion(metric="ndcg", higher_is_better=True, tolerance=0.02)
FLICKER = Criterion(metric="flicker", higher_is_better=False, bound=1.5)


@pytest.mark.parametrize(
    ("challenger", "champion", "passed"),
    [
        pytest.param({"ndcg": 0.30, "flicker": 1.0}, {"ndcg": 0.25, "flicker": 1.2}, True, id="better"),
        pytest.param({"ndcg": 0.297, "flicker": 1.0}, {"ndcg": 0.30, "flicker": 1.0}, True, id="within-tolerance"),
        pytest.param({"ndcg": 0.29, "flicker": 1.0}, {"ndcg": 0.30, "flicker": 1.0}, False, id="worse"),
        pytest.param({"ndcg": 0.40, "flicker": 1.6}, {"ndcg": 0.30, "flicker": 1.7}, False, id="misses-the-bound"),
        pytest.param({"ndcg": 0.10, "flicker": 1.0}, None, True, id="first-model"),
        pytest.param({"ndcg": 0.10, "flicker": 1.6}, None, False, id="first-model-misses-the-bound"),
        pytest.param({"ndcg": math.nan, "flicker": 1.0}, None, False, id="not-a-number"),
        pytest.param({"flicker": 1.0}, None, False, id="not-measured"),
    ],
)
def test_gate(challenger: dict[str, float], champion: dict[str, float] | None, passed: bool) -> None:
    decision = decide([NDCG, FLICKER], challenger, champion)
    assert decision.passed is passed
    assert len(decision.reasons) == 2
    assert all(reason.startswith(("pass", "FAIL")) for reason in decision.reasons)
