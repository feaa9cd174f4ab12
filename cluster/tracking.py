"""Runs in MLflow: the experiment, one run as a context manager, the version of the code.

Files of runs go below the storage root, or where a tracking server keeps them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from cluster.errors import NotFoundError, StorageError, without_password
from cluster.metric_sink import MlflowSink
from cluster.mlflow_store import connect, exclusive, failures
from cluster.settings import Settings
from cluster.storage import Storage

if TYPE_CHECKING:
    from mlflow.entities import Run
    from PIL.Image import Image

__all__ = ["MlflowSink", "TrackedRun", "code_version", "ensure_experiment"]

EXPERIMENT = "shopreel"
PARAMS_A_CALL = 100  # MLflow's own limit

log = logging.getLogger(__name__)


def ensure_experiment(settings: Settings, name: str = EXPERIMENT) -> str:
    """Make the experiment where it is missing and return its id. Call it once in the driver, never in workers.

    Its files go to `artifacts/` below the storage root; a tracking server decides on its own.
    """
    client = connect(settings.tracking_uri)
    from mlflow.exceptions import MlflowException

    served = settings.tracking_uri.startswith(("http://", "https://"))
    try:
        with exclusive(settings.tracking_uri):
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                return client.create_experiment(name, artifact_location=None if served else _artifact_root(settings))
            return experiment.experiment_id
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS":  # another driver was faster
            return client.get_experiment_by_name(name).experiment_id
        raise _no_answer(settings, error) from error


class TrackedRun:
    """One MLflow run, open inside a `with` block of the driver.

    Ends FINISHED, KILLED when it is told to stop, or FAILED with the reason in the tag `failure`. Given `run_id`, that
    run goes on.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        *,
        kind: Literal["generator", "recommender", "sweep"],
        parent_run_id: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, Any],
        lineage: Mapping[str, str],
    ) -> None:
        self.run_id = run_id or ""
        self._settings = settings
        self._name = name
        self._params = flatten(params)
        self._tags = {"kind": kind, "mlflow.source.name": "shopreel", **lineage}
        if parent_run_id:
            self._tags["mlflow.parentRunId"] = parent_run_id

    def __enter__(self) -> Self:
        """StorageError where MLflow is away: a run that nobody can find later does not begin."""
        from mlflow.exceptions import MlflowException

        experiment_id = ensure_experiment(self._settings)
        self._client = connect(self._settings.tracking_uri)
        try:
            self._open(experiment_id)
        except MlflowException as error:
            raise _no_answer(self._settings, error) from error
        self._sink = MlflowSink(self._settings.tracking_uri, self.run_id)
        return self

    def _open(self, experiment_id: str) -> None:
        if self.run_id:
            run = self._existing()
            self._client.update_run(self.run_id, status="RUNNING")
            if "failure" in run.data.tags:  # of an end that is none any more
                self._client.delete_tag(self.run_id, "failure")
            known = run.data.params
        else:
            run = self._client.create_run(experiment_id, run_name=self._name)
            self.run_id, known = run.info.run_id, {}
        self._log_params({key: value for key, value in self._params.items() if key not in known})
        for key, value in self._tags.items():
            self._client.set_tag(self.run_id, key, value)

    def _existing(self) -> Run:
        """The run that goes on. NotFoundError where this store does not have it."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(self.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            run = None
        if run is None or run.info.lifecycle_stage != "active":
            state, uri = "deleted" if run else "unknown", self._settings.tracking_uri
            raise NotFoundError(
                f"run {self._name!r} goes on as MLflow run {self.run_id}, which is {state} at {uri}; restore it, give"
                " the --tracking-uri it began with, or give this one another --run name"
            )
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()
        with self._forgiving("end the run"):
            if kind is None:
                self._client.set_terminated(self.run_id, "FINISHED")
            elif issubclass(kind, (KeyboardInterrupt, SystemExit)):
                self._client.set_terminated(self.run_id, "KILLED")
            else:
                self._client.set_tag(self.run_id, "failure", f"{kind.__name__}: {error}"[:5000])
                self._client.set_terminated(self.run_id, "FAILED")

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Points of metric curves; buffered, see `MlflowSink`."""
        self._sink.log(step, dict(values))

    def log_image(self, name: str, image: Image) -> None:
        """A picture of the run, kept as `NAME.png`."""
        with self._forgiving(f"keep the image {name}"):
            self._client.log_image(self.run_id, image, artifact_file=f"{name}.png")

    def log_folder(self, path: Path, artifact_path: str) -> None:
        """Everything in a folder, kept under `artifact_path` of the run."""
        with self._forgiving(f"keep the folder {path}"):
            self._client.log_artifacts(self.run_id, str(path), artifact_path)

    def set_tag(self, key: str, value: str) -> None:
        with self._forgiving(f"set the tag {key}"):
            self._client.set_tag(self.run_id, key, value)

    def _log_params(self, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, value) for key, value in params.items()]
        for start in range(0, len(entries), PARAMS_A_CALL):
            self._client.log_batch(self.run_id, params=entries[start : start + PARAMS_A_CALL])

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Notes of a run are worth less than the run: an unreachable store is a warning."""
        try:
            yield
        except (*failures(), OSError) as error:
            log.warning("MLflow at %s could not %s: %s", without_password(self._settings.tracking_uri), what, error)


def _no_answer(settings: Settings, error: Exception) -> StorageError:
    fix = "start it or change --tracking-uri"
    return StorageError(f"no answer from MLflow at {settings.tracking_uri}: {error}; {fix}")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text, as MLflow keeps them."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


@functools.lru_cache(maxsize=1)
def code_version() -> str:
    """`SHOPREEL_CODE_VERSION`, else the git commit (`+dirty` with uncommitted changes), else the package version."""
    if given := os.environ.get("SHOPREEL_CODE_VERSION"):
        return given
    folder = Path(__file__).resolve().parent
    # An installed package may lie inside a stranger's repository, which does not track it.
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is not None:
        commit = _git(folder, "rev-parse", "HEAD")
        if commit:
            return f"{commit}+dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit
    return importlib.metadata.version("shopreel")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _artifact_root(settings: Settings) -> str:
    storage = Storage(settings.storage_root)
    return Path(storage.path("artifacts")).as_uri() if storage.is_local else storage.uri("artifacts")
