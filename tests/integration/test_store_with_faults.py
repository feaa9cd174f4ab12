"""Datasets, trainings and models on an S3 store that is slow, says 500 and 503, and goes away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster import storage as storage_module
from cluster.config import override
from cluster.errors import StorageError
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.generator_tiny import TINY
from tests.s3 import s3_server
from tests.tiny_shop import make_tiny_shop
from trainables.generator.job import run_training
from trainables.runs.folder import RunFolder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

STEPS = 12


@pytest.fixture
def proxy(settings, tmp_path, monkeypatch) -> Iterator[FaultProxy]:
    """A proxy in front of an S3 server; the storage root is a bucket behind it."""
    with s3_server() as environment, fault_proxy(environment["AWS_ENDPOINT_URL"]) as proxy:
        for name, value in {
            **environment,
            "AWS_ENDPOINT_URL": proxy.url,
            "SHOPREEL_HOME": "s3://shop/home",
            "SHOPREEL_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "AWS_MAX_ATTEMPTS": "10",  # of MLflow's client, as docs/cluster.md says
            "AWS_RETRY_MODE": "standard",
        }.items():
            monkeypatch.setenv(name, value)
        yield proxy


def test_the_chain_on_a_store_that_fails_and_is_slow(proxy):
    """One request in five is answered with 500 or 503, some of them after they were carried out; bodies pass at
    4 MB/s, and every answer takes 5 ms more: the dataset, the training and the model arrive whole all the same.
    """
    proxy.failing, proxy.bytes_per_s, proxy.latency_s = 0.2, 4e6, 0.005
    settings = Settings.load()
    storage = Storage(settings.storage_root)
    dataset = make_tiny_shop(storage, products=9, viewers=0)
    assert len(dataset.clip_products()) == 9

    config = override(TINY, [f"steps={STEPS}"])
    trained = run_training(settings, "tiny", "r", config, workers=1, use_ray=False)

    folder = RunFolder(storage, "r")
    assert [line["step"] for line in folder.stats()] == list(range(1, STEPS + 1))
    assert folder.checkpoints.newest()["step"] == STEPS
    bundle = Registry(settings).fetch(trained.version)
    for name in ("model.safetensors", "config.json", "card.json"):
        assert (bundle / name).read_bytes() == storage.read_bytes(folder.path(f"bundle/{name}"))
    faults = {status: count for status, count in proxy.answers.items() if status < 0}
    assert set(faults) == {-500, -503}
    assert sum(faults.values()) > 0.1 * proxy.answers.total()


def test_a_store_that_stays_away_is_named(proxy, monkeypatch):
    """Where it does not come back, the error says which file of which store could not be read or written."""
    monkeypatch.setattr(storage_module, "S3_ATTEMPTS", 2)
    storage = Storage(Settings.load().storage_root)
    storage.write_json("a/b.json", {"n": 1})
    proxy.down = True
    for act, what in (
        (lambda: storage.read_bytes("a/b.json"), "read"),
        (lambda: storage.write_json("a/b.json", {}), "write"),
        (lambda: storage.exists("a/b.json"), "look for"),
        (lambda: storage.delete("a/b.json"), "delete"),
        (lambda: storage.list("a"), "list"),
    ):
        with pytest.raises(StorageError, match=f"cannot {what} s3://shop/home/a.*see that it answers"):
            act()
    proxy.down = False
    assert storage.read_json("a/b.json") == {"n": 1}
