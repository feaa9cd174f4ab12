"""The model registry: bundles as MLflow model versions with the aliases `champion` and `challenger`.

What shopreel knows of a version (metrics, data lineage, checksums of its files) is kept in tags of the version, so any
MLflow 3 server will do. A reference names a version: `generator@champion`, `generator@challenger` or `generator/3`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cluster.errors import InputError, NotFoundError, ShopreelError, StorageError
from cluster.mlflow_store import connect, exclusive, failures
from cluster.settings import Settings
from cluster.storage import Storage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

CHAMPION, CHALLENGER = "champion", "challenger"
BUNDLE_FILES = ("config.json", "model.safetensors")
_REFERENCE = re.compile(r"(?P<name>[\w.-]+)(?:@(?P<alias>[\w.-]+)|/(?P<version>\d+))")


class PromotionRefusedError(ShopreelError):
    """The gate says no; the champion stays."""

    exit_code = 6


class Decision(Protocol):
    """What the gate decided, see `trainables.gate.GateDecision`."""

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ModelVersion:
    """One registered bundle."""

    name: str
    version: int
    run_id: str
    """MLflow run that trained it."""
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    lineage: dict[str, str]
    """`data_name`, `data_hash`, `code_version`."""
    created_at: datetime
    """UTC."""
    checksums: dict[str, str]
    """SHA-256 of every file of the bundle by its path inside it; empty where something else registered the version."""
    gate: tuple[str, ...] = ()
    """The gate's lines when this version was promoted."""

    @property
    def reference(self) -> str:
        return f"{self.name}/{self.version}"


class Registry:
    """Model versions of one installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: MlflowClient | None = None

    def register(
        self,
        name: str,
        bundle_dir: Path,
        *,
        run_id: str,
        metrics: Mapping[str, float],
        lineage: Mapping[str, str],
    ) -> ModelVersion:
        """Keep a bundle with its run and make it the next version; the alias `challenger` moves to it.

        What a command that was broken off had registered already is that version still, and no second one.
        """
        checksums = _checksums(bundle_dir)
        if missing := [file for file in BUNDLE_FILES if file not in checksums]:
            raise InputError(f"{bundle_dir} is not a bundle: {', '.join(missing)} missing")
        tags = {"metrics": dict(metrics), "lineage": dict(lineage), "checksums": checksums}
        with self._answering() as client:
            try:
                client.log_artifacts(run_id, str(bundle_dir), _artifact_path(checksums))
            except OSError as error:
                if isinstance(error, failures()):
                    raise
                fix = "free space, then run the same command"
                raise StorageError(f"cannot keep {bundle_dir} with run {run_id}: {error}; {fix}") from error
            with exclusive(self._settings.tracking_uri):
                known = (v for v in self.versions(name) if (v.run_id, v.checksums) == (run_id, checksums))
                number = next((str(version.version) for version in known), None)
                if number is None:
                    self._ensure_model(client, name)
                    number = client.create_model_version(
                        name,
                        source=f"runs:/{run_id}/{_artifact_path(checksums)}",
                        run_id=run_id,
                        tags={key: json.dumps(value, sort_keys=True) for key, value in tags.items()},
                    ).version
                if self._aliases(name).get(CHAMPION) != int(number):
                    client.set_registered_model_alias(name, CHALLENGER, number)
        return self.resolve(f"{name}/{number}")

    def resolve(self, reference: str, only: str | None = None) -> ModelVersion:
        """The version a reference names. An alias may move; the version that is returned never does.

        `only`: the one model that will do; InputError for a reference to another.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise InputError(f"{reference!r} names no model; write it as generator@champion or generator/3")
        name, alias, number = match.group("name", "alias", "version")
        if only is not None and name != only:
            raise InputError(f"{reference} is no {only}; give {only}@champion or {only}/N")
        aliases = self._aliases(name)
        if alias is not None and alias not in aliases:
            raise NotFoundError(f"{name} has no alias {alias!r}; {self._existing(name, aliases)}")
        wanted = int(number) if number else aliases[alias]
        version = next((version for version in self.versions(name) if version.version == wanted), None)
        if version is None:
            raise NotFoundError(f"{name} has no version {number}; {self._existing(name, aliases)}")
        return version

    def versions(self, name: str) -> list[ModelVersion]:
        """Every version of a model, oldest first; empty for a model that is not registered."""
        found: list[MlflowVersion] = []
        with self._answering() as client:
            page = None
            while page is None or page.token:
                page = client.search_model_versions(f"name = '{name}'", page_token=page.token if page else None)
                found += page
        by_version: dict[int, list[str]] = {}
        for alias, number in (self._aliases(name) if found else {}).items():
            by_version.setdefault(number, []).append(alias)
        versions = [_model_version(entry, by_version.get(int(entry.version), [])) for entry in found]
        return sorted(versions, key=lambda version: version.version)

    def names(self) -> list[str]:
        """Registered models, sorted."""
        with self._answering() as client:
            return sorted(model.name for model in client.search_registered_models())

    def fetch(self, version: ModelVersion) -> Path:
        """Folder of this machine with the bundle, every file checked against the checksum taken at registration.

        Kept at `bundles/NAME/VERSION` below the storage root (below the user's cache folder where the root is remote).
        """
        if not version.checksums:
            raise InputError(f"{version.reference} has no checksums: train it with shopreel")
        folder = self._cache_root() / version.name / str(version.version)
        if _is_copy(folder, version.checksums):
            return folder
        draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
        try:
            draft.mkdir(parents=True)
            path = _artifact_path(version.checksums)
            with self._answering() as client:
                downloaded = Path(client.download_artifacts(version.run_id, path, str(draft)))
            self._verify(version, downloaded)
            _replace(downloaded, folder, version.checksums)
        except OSError as error:
            fix = "free space or set SHOPREEL_HOME"
            raise StorageError(f"cannot keep {version.reference} in {folder}: {error}; {fix}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder

    def promote(self, version: ModelVersion, decision: Decision) -> None:
        """Make it the champion, remembering the one before. PromotionRefusedError where the gate said no."""
        if not decision.passed:
            reasons = "; ".join(decision.reasons)
            raise PromotionRefusedError(f"{version.reference} is not promoted, the champion stays: {reasons}")
        with self._answering() as client, exclusive(self._settings.tracking_uri):
            aliases = self._aliases(version.name)
            previous = aliases.get(CHAMPION)
            client.set_model_version_tag(version.name, str(version.version), "gate", json.dumps(decision.reasons))
            if aliases.get(CHALLENGER) == version.version:
                client.delete_registered_model_alias(version.name, CHALLENGER)
            if previous == version.version:
                return
            if previous is not None:
                self._remember(client, version.name, [*self._earlier(client, version.name, previous), previous])
            client.set_registered_model_alias(version.name, CHAMPION, str(version.version))

    def rollback(self, name: str) -> ModelVersion:
        """Make the champion before this one the champion again; may be repeated as far back as promotions go."""
        with self._answering() as client, exclusive(self._settings.tracking_uri):
            aliases = self._aliases(name)
            kept = {version.version for version in self.versions(name)}
            history = [number for number in self._earlier(client, name, aliases.get(CHAMPION)) if number in kept]
            if not history:
                raise NotFoundError(f"{name} has no earlier champion to go back to; {self._existing(name, aliases)}")
            client.set_registered_model_alias(name, CHAMPION, str(history[-1]))
            self._remember(client, name, history[:-1])
        return self.resolve(f"{name}/{history[-1]}")

    @contextmanager
    def _answering(self) -> Iterator[MlflowClient]:
        """The client; what MLflow refuses or fails to answer becomes a StorageError."""
        if self._connection is None:
            self._connection = connect(self._settings.tracking_uri)
        try:
            yield self._connection
        except failures() as error:
            raise StorageError(
                f"the model registry at {self._settings.tracking_uri} failed: {error}; when it answers again, run the "
                "same command"
            ) from error

    def _aliases(self, name: str) -> dict[str, int]:
        with self._answering() as client:
            from mlflow.exceptions import MlflowException

            try:
                model = client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                known = ", ".join(self.names()) or "none yet"
                fix = "train one with `shopreel train`"
                raise NotFoundError(f"no model {name!r} is registered (there are: {known}); {fix}") from error
        return {alias: int(number) for alias, number in model.aliases.items()}

    def _existing(self, name: str, aliases: Mapping[str, int]) -> str:
        numbers = ", ".join(str(version.version) for version in self.versions(name)) or "none"
        named = ", ".join(f"{alias} → {number}" for alias, number in sorted(aliases.items())) or "none"
        return f"versions: {numbers}; aliases: {named}"

    @staticmethod
    def _ensure_model(client: MlflowClient, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @staticmethod
    def _earlier(client: MlflowClient, name: str, champion: int | None) -> list[int]:
        """Earlier champions, the latest last; without the champion itself, which a promotion or rollback that was
        broken off may have left at the end.
        """
        history = json.loads(client.get_registered_model(name).tags.get("champion_history", "[]"))
        while history and history[-1] == champion:
            history.pop()
        return history

    @staticmethod
    def _remember(client: MlflowClient, name: str, history: list[int]) -> None:
        client.set_registered_model_tag(name, "champion_history", json.dumps(history))

    def _cache_root(self) -> Path:
        storage = Storage(self._settings.storage_root)
        if storage.is_local:
            return Path(storage.path("bundles"))
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shopreel" / "bundles"

    @staticmethod
    def _verify(version: ModelVersion, folder: Path) -> None:
        found = _checksums(folder)
        wrong = [file for file, digest in version.checksums.items() if found.get(file) != digest]
        if wrong:
            raise InputError(
                f"{version.reference} is damaged in the store: {', '.join(sorted(wrong))} of run {version.run_id} "
                "does not match the checksum taken at registration; train and register it again"
            )


def _model_version(entry: MlflowVersion, aliases: list[str]) -> ModelVersion:
    def tag(key: str, default: Any) -> Any:
        return json.loads(entry.tags[key]) if key in entry.tags else default

    return ModelVersion(
        name=entry.name,
        version=int(entry.version),
        run_id=entry.run_id,
        aliases=tuple(sorted(aliases)),
        metrics=tag("metrics", {}),
        lineage=tag("lineage", {}),
        created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        checksums=tag("checksums", {}),
        gate=tuple(tag("gate", ())),
    )


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _artifact_path(checksums: Mapping[str, str]) -> str:
    """Where a bundle lies among its run's files: by content, so that a run may register several."""
    return f"bundle/{hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()[:12]}"


def _is_copy(folder: Path, checksums: Mapping[str, str]) -> bool:
    """Whether a folder holds these files and no others; another process may take it away meanwhile."""
    try:
        return folder.is_dir() and _checksums(folder) == checksums
    except FileNotFoundError:
        return False


def _replace(source: Path, target: Path, checksums: Mapping[str, str]) -> None:
    """Rename a folder into place. Of several processes one wins, whose copy others may be reading already; a stale or
    damaged copy gives way.
    """
    if _is_copy(target, checksums):
        return
    stale = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):  # there is none, or another process has just taken it away
        target.rename(stale)
        shutil.rmtree(stale)
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
