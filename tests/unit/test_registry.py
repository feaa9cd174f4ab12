"""The registry on a real MLflow SQLite store: versions, aliases, verified downloads, promotion and rollback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import EndpointConnectionError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cluster.errors import InputError, NotFoundError, StorageError
from cluster.mlflow_store import connect
from cluster.registry import PromotionRefusedError, Registry
from cluster.settings import Settings
from cluster.tracking import TrackedRun
from trainables.bundle import read_bundle, write_bundle
from trainables.gate import GateDecision

LINEAGE = {"data_name": "shop", "data_hash": "abc", "code_version": "1"}
YES = GateDecision(True, ("pass  loss: better",))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store: making its tables takes seconds, copying them none."""
    root = tmp_path_factory.mktemp("template")
    connect(settings_at(root).tracking_uri)
    return root / "mlflow.db"


@pytest.fixture
def settings(tmp_path, template) -> Settings:
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    return settings_at(tmp_path)


def settings_at(root: Path) -> Settings:
    return Settings.load({"SHOPREEL_HOME": str(root)})


def bundle_at(folder: Path, value: float = 1.0) -> Path:
    tensors = {"w": np.full(8, value, np.float32)}
    write_bundle(folder, kind="generator", tensors=tensors, config={}, card={"value": value})
    return folder


def register(settings: Settings, tmp_path: Path, value: float = 1.0, name: str = "generator"):
    bundle = bundle_at(tmp_path / "trained" / str(value), value)
    with TrackedRun(settings, "run", kind="generator", params={}, lineage=LINEAGE) as run:
        metrics = {"style_distance": value, "psnr": 20.0}
        return Registry(settings).register(name, bundle, run_id=run.run_id, metrics=metrics, lineage=LINEAGE)


def test_a_registered_bundle_is_the_challenger_and_comes_back_whole(settings, tmp_path):
    version = register(settings, tmp_path, 3.0)

    again = Registry(settings).resolve("generator@challenger")
    assert again == version
    assert (again.reference, again.aliases) == ("generator/1", ("challenger",))
    assert again.metrics == {"style_distance": 3.0, "psnr": 20.0}
    assert again.lineage == LINEAGE
    folder = Registry(settings).fetch(again)
    assert folder == tmp_path / "bundles" / "generator" / "1"
    assert read_bundle(folder, kind="generator").tensors["w"].tolist() == [3.0] * 8


def test_nothing_of_mlflow_lands_outside_the_storage_root(settings, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    register(settings, tmp_path)
    assert list(elsewhere.iterdir()) == []


def test_the_challenger_alias_moves_to_the_newest_version(settings, tmp_path):
    register(settings, tmp_path, 1.0)
    register(settings, tmp_path, 2.0)
    registry = Registry(settings)
    assert [version.version for version in registry.versions("generator")] == [1, 2]
    assert [version.aliases for version in registry.versions("generator")] == [(), ("challenger",)]
    assert registry.names() == ["generator"]


def test_a_command_that_is_broken_off_while_it_registers_makes_one_version(settings, tmp_path, monkeypatch):
    """The same command again moves the alias, to the version that is there; a promoted one is no challenger again."""
    first, second = (bundle_at(tmp_path / name, value) for name, value in (("first", 1.0), ("second", 2.0)))
    registry = Registry(settings)
    with TrackedRun(settings, "run", kind="generator", params={}, lineage=LINEAGE) as run:
        kept = {"run_id": run.run_id, "metrics": {}, "lineage": LINEAGE}

        def broken(*_):
            raise MlflowException("connection reset")

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_registered_model_alias", broken)
            with pytest.raises(StorageError, match="connection reset.*run the same command"):
                registry.register("generator", first, **kept)
        assert registry.register("generator", first, **kept).reference == "generator/1"
        assert registry.resolve("generator@challenger").version == 1
        registry.promote(registry.resolve("generator/1"), YES)
        assert registry.register("generator", first, **kept).aliases == ("champion",)
        assert registry.register("generator", second, **kept).reference == "generator/2"
    assert [version.version for version in registry.versions("generator")] == [1, 2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(EndpointConnectionError(endpoint_url="http://s3"), "Could not connect .*http://s3", id="s3-away"),
        pytest.param(S3UploadFailedError("Failed to upload model.safetensors"), "model.safetensors", id="s3-refuses"),
        pytest.param(OSError(28, "No space left on device"), "No space left on device.*free space", id="full-disk"),
    ],
)
def test_files_that_cannot_be_kept_are_one_line(settings, tmp_path, monkeypatch, error, said):
    """A picture of the run costs a warning; a bundle that is not kept is no version."""

    def failing(*_, **__):
        raise error

    monkeypatch.setattr(MlflowClient, "log_artifacts", failing)
    monkeypatch.setattr(MlflowClient, "log_image", failing)
    with TrackedRun(settings, "run", kind="generator", params={}, lineage={}) as run:
        run.log_image("sheet", None)
        with pytest.raises(StorageError, match=f"{said}.*run the same command"):
            Registry(settings).register(
                "generator", bundle_at(tmp_path / "b"), run_id=run.run_id, metrics={}, lineage={}
            )
    assert Registry(settings).names() == []


def test_promotion_moves_the_champion_and_rollback_walks_back(settings, tmp_path):
    registry = Registry(settings)
    for value in (1.0, 2.0, 3.0):
        registry.promote(register(settings, tmp_path, value), YES)
    champion = registry.resolve("generator@champion")
    assert (champion.version, champion.gate) == (3, YES.reasons)
    with pytest.raises(NotFoundError, match="no alias 'challenger'.*champion → 3"):
        registry.resolve("generator@challenger")

    assert registry.rollback("generator").version == 2
    assert registry.rollback("generator").version == 1
    assert registry.resolve("generator@champion").version == 1
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback("generator")


def test_a_rollback_goes_back_also_after_a_promotion_that_was_broken_off(settings, tmp_path, monkeypatch):
    registry = Registry(settings)
    for value in (1.0, 2.0):
        registry.promote(register(settings, tmp_path, value), YES)
    third = register(settings, tmp_path, 3.0)

    def broken(*_):
        raise MlflowException("connection reset")

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(StorageError, match="connection reset"):
            patch.setattr(MlflowClient, "set_registered_model_alias", broken)
            registry.promote(third, YES)
    assert registry.resolve("generator@champion").version == 2
    assert registry.rollback("generator").version == 1
    registry.promote(third, YES)
    assert registry.rollback("generator").version == 1


def test_promoting_the_champion_again_adds_nothing_to_its_history(settings, tmp_path):
    registry = Registry(settings)
    version = register(settings, tmp_path)
    registry.promote(version, YES)
    registry.promote(version, YES)
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback("generator")


def test_a_refused_challenger_leaves_the_champion(settings, tmp_path):
    registry = Registry(settings)
    registry.promote(register(settings, tmp_path, 1.0), YES)
    worse = register(settings, tmp_path, 2.0)
    with pytest.raises(PromotionRefusedError, match="FAIL  psnr"):
        registry.promote(worse, GateDecision(False, ("FAIL  psnr: worse",)))
    assert registry.resolve("generator@champion").version == 1
    assert registry.resolve("generator@challenger").version == 2


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        pytest.param("generator@champion", NotFoundError, "no alias 'champion'; versions: 1; alias", id="alias"),
        pytest.param("generator/7", NotFoundError, "no version 7; versions: 1", id="version"),
        pytest.param("painter@champion", NotFoundError, "no model 'painter'.*there are: generator", id="model"),
        pytest.param("generator", InputError, "write it as generator@champion", id="no alias"),
        pytest.param("generator/latest", InputError, "write it as", id="no number"),
    ],
)
def test_an_unknown_reference_says_what_exists(settings, tmp_path, reference, error, message):
    register(settings, tmp_path)
    with pytest.raises(error, match=message):
        Registry(settings).resolve(reference)


def test_an_empty_registry_says_so(settings):
    with pytest.raises(NotFoundError, match="there are: none yet"):
        Registry(settings).resolve("generator@champion")
    assert Registry(settings).versions("generator") == []


def test_a_damaged_local_copy_is_fetched_again(settings, tmp_path):
    version = register(settings, tmp_path, 4.0)
    folder = Registry(settings).fetch(version)
    (folder / "config.json").write_text("{}")
    assert read_bundle(Registry(settings).fetch(version), kind="generator").tensors["w"][0] == 4.0
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("damaged", [False, True])
def test_of_two_that_fetch_at_once_the_first_copy_stays(settings, tmp_path, monkeypatch, damaged):
    """A replica may be reading it already."""
    version = register(settings, tmp_path, 4.0)
    if damaged:
        (Registry(settings).fetch(version) / "model.safetensors").write_bytes(b"broken")
    verify, first = Registry._verify, []

    def made(folder):
        status = (folder / "model.safetensors").stat()
        return status.st_ino, status.st_mtime_ns

    def verify_later(version, folder):
        monkeypatch.setattr(Registry, "_verify", staticmethod(verify))
        first.append(made(Registry(settings).fetch(version)))
        verify(version, folder)

    monkeypatch.setattr(Registry, "_verify", staticmethod(verify_later))
    folder = Registry(settings).fetch(version)
    assert made(folder) == first[0]
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_a_damaged_bundle_in_the_store_is_refused_and_leaves_nothing(settings, tmp_path):
    version = register(settings, tmp_path)
    (stored,) = (tmp_path / "artifacts").rglob("model.safetensors")
    stored.write_bytes(stored.read_bytes()[:-4])
    with pytest.raises(InputError, match="generator/1 is damaged in the store: model.safetensors"):
        Registry(settings).fetch(version)
    assert list((tmp_path / "bundles" / "generator").iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_registered(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a bundle: config.json, model.safetensors missing"):
        Registry(settings).register("generator", tmp_path / "empty", run_id="x", metrics={}, lineage={})


REGISTER = """
import json, sys
from pathlib import Path
from cluster.mlflow_store import connect
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.tracking import TrackedRun
settings = Settings.load({"SHOPREEL_HOME": sys.argv[1]})
numbers = []
for _ in range(2):
    with TrackedRun(settings, "run", kind="generator", params={"a": 1}, lineage={}) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        registry = Registry(settings)
        version = registry.register("generator", Path(sys.argv[2]), run_id=run.run_id, metrics={}, lineage={})
        numbers.append(version.version)
print(json.dumps(numbers))
"""


def test_two_processes_on_a_new_store_register_every_version_once(tmp_path):
    """The store does not exist yet: both processes make it, then both register at the same time."""
    bundle = bundle_at(tmp_path / "trained")
    command = [sys.executable, "-c", REGISTER, str(tmp_path), str(bundle)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    numbers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert sorted(numbers[0] + numbers[1]) == [1, 2, 3, 4]
    assert [version.version for version in Registry(settings_at(tmp_path)).versions("generator")] == [1, 2, 3, 4]


@pytest.mark.parametrize("content", [b"no database at all, " * 99, None], ids=["other-file", "folder"])
def test_a_store_that_cannot_be_opened_is_named_at_once(settings, content):
    """MLflow itself tries for two minutes."""
    file = Path(settings.tracking_uri.removeprefix("sqlite:///"))
    file.unlink(missing_ok=True)
    file.mkdir(parents=True) if content is None else file.write_bytes(content)
    with pytest.raises(StorageError, match="cannot open the tracking store"):
        Registry(settings).resolve("generator/1")
