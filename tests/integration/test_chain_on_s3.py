"""The chain with its stores elsewhere: datasets, checkpoints and models on S3, MLflow in PostgreSQL."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.registry import Registry
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from tests.s3 import s3_server
from tests.tiny_shop import make_tiny_shop
from trainables.runs.folder import RunFolder

pytestmark = pytest.mark.faults

TINY = (
    "batch_size=2", "frame_size=32", "network.widths=[16,16,16]", "network.blocks=1", "discriminator.width=8",
    "looks.references=1", "looks.variants=0", "looks.crops=1", "checkpoint_every=2", "sheet_every=4",
)  # fmt: skip


@pytest.fixture
def elsewhere(settings, monkeypatch, database_url_postgresql) -> Iterator[Settings]:
    """Two settings changed: the home is a bucket, the tracking URI a PostgreSQL server."""
    with s3_server() as environment:
        for name, value in {
            **environment,
            "SHOPREEL_HOME": "s3://shop/home",
            "SHOPREEL_TRACKING_URI": database_url_postgresql,
            "SHOPREEL_PSEUDONYM_KEY": "ab" * 32,
        }.items():
            monkeypatch.setenv(name, value)
        elsewhere = Settings.load()
        # Started here: workers get the environment that Ray was started in.
        with ray_session(elsewhere, num_cpus=2):
            yield elsewhere


def run(*arguments: str) -> str:
    """A command, which must succeed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result.output


def test_training_sweeping_and_scoring_on_s3_and_postgresql(elsewhere, tmp_path):
    """The commands are those of one machine; everything they leave is in the bucket and in the database."""
    storage = Storage(elsewhere.storage_root)
    make_tiny_shop(storage, products=9)
    settings = [part for setting in TINY for part in ("--set", setting)]

    run("train", "recommender", "--data", "tiny", "--no-ray")
    run("train", "generator", "--data", "tiny", "--run", "g", "--workers", "1", "--set", "steps=4", *settings)
    run("tune", "generator", "--data", "tiny", "--name", "s", "--trials", "2", "--steps", "4", *settings)

    assert RunFolder(storage, "g").checkpoints.newest()["step"] == 4
    assert {"best.yaml", "journal.json", "report.html", "sweep.json"} <= set(storage.list("sweeps/s"))
    registry = Registry(elsewhere)
    version = registry.resolve("generator@challenger")
    assert (registry.fetch(version) / "model.safetensors").is_file()

    viewers = tmp_path / "viewers.csv"
    with viewers.open("w", newline="") as file:
        csv.writer(file).writerows([["user_id"], ["nobody yet"]])
    slates = tmp_path / "slates.parquet"
    wanted = ("--viewers", str(viewers), "--k", "3", "--out", str(slates))
    run("slates", "--model", "recommender/1", "--data", "tiny", *wanted)
    assert pq.read_table(slates)["rank"].to_pylist() == [1, 2, 3]
