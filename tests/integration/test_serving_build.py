"""What is wrong with arguments, models or data is said before anything is deployed."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.errors import InputError, NotFoundError
from cluster.registry import Registry
from cluster.settings import Settings
from serving.app import build
from serving.args import AppArgs
from serving.run import serve_app
from tests.e2e.tiny_models import make_shop, register_generator
from tests.e2e.tiny_shop import NAME


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("build"))})
    make_shop(made)
    return made


def arguments(settings: Settings, **fields: Any) -> dict[str, Any]:
    return {**AppArgs.for_settings(settings, NAME).model_dump(), **fields}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        pytest.param({"generator": "generator@nobody"}, NotFoundError, "no alias 'nobody'", id="unknown-alias"),
        pytest.param({"generator": "generator/99"}, NotFoundError, "no version 99", id="unknown-version"),
        pytest.param({"recommender": "ranker@champion"}, NotFoundError, "ranker", id="unknown-model"),
        pytest.param({"recommender": "generator@champion"}, InputError, "not a recommender", id="model-of-other-kind"),
        pytest.param({"generator": "champion"}, InputError, "generator@champion", id="no-reference"),
        pytest.param({"data": "nothing"}, NotFoundError, "dataset 'nothing'", id="unknown-dataset"),
        pytest.param({"colour": "red"}, InputError, "colour", id="unknown-argument"),
        pytest.param({"data": ""}, InputError, "data", id="empty-argument"),
        pytest.param(
            {"generator_replicas": {"min_replicas": 3, "max_replicas": 2}},
            InputError,
            "max_replicas",
            id="min-above-max",
        ),
        pytest.param(
            {"generator_replicas": {"max_batch_size": 32}}, InputError, "max_ongoing_requests", id="batch-above-ongoing"
        ),
    ],
)
def test_wrong_argument_is_named_before_deploy(
    settings: Settings, fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(arguments(settings, **fields))
    assert not ray.is_initialized()


def test_aliases_become_versions_once(settings: Settings) -> None:
    """A promotion after the build does not change what the built application serves."""
    application = build(arguments(settings))
    versions = application._bound_deployment.init_args[1]
    assert {name: version.reference for name, version in versions.items()} == {
        "generator": "generator/1",
        "recommender": "recommender/1",
    }


def test_damaged_bundle_is_refused_and_nothing_is_deployed(settings: Settings) -> None:
    """The only copy is damaged: the error names the version and the file; the version beside it still builds."""
    version = register_generator(settings, seed=1)
    shutil.rmtree(Path(settings.storage_root) / "bundles" / "generator" / str(version.version), ignore_errors=True)
    stored = list(Path(settings.storage_root).glob(f"artifacts/**/{version.run_id}/**/model.safetensors"))
    assert stored
    for file in stored:
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{version.reference} is damaged.*model.safetensors"):
        build(arguments(settings, generator=version.reference))
    assert not ray.is_initialized()
    assert not (Path(settings.storage_root) / "bundles" / "generator" / str(version.version)).exists()
    build(arguments(settings))


def test_damaged_local_copy_is_fetched_again(settings: Settings) -> None:
    registry = Registry(settings)
    folder = registry.fetch(registry.resolve("generator/1"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text("{}")
    build(arguments(settings))
    assert json.loads((folder / "config.json").read_text()) == config


def test_port_in_use_is_named_before_anything_starts(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="--port"), serve_app(arguments(settings), port=taken.getsockname()[1]):
            pass
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        pytest.param("::1", "--host ::1 is an IPv6 address.*give 127.0.0.1", id="ipv6"),
        pytest.param("::", "--host :: is an IPv6 address.*0.0.0.0", id="ipv6-everywhere"),
        pytest.param("no-such-host.invalid", "--host no-such-host.invalid.*address of this machine", id="unknown"),
        pytest.param("192.0.2.1", r"cannot listen on 192.0.2.1:8000.*another --host", id="of-another-machine"),
    ],
)
def test_address_that_cannot_be_listened_on_is_named_before_anything_starts(
    settings: Settings, host: str, message: str
) -> None:
    with pytest.raises(InputError, match=message), serve_app(arguments(settings), host=host):
        pass
    assert not ray.is_initialized()
