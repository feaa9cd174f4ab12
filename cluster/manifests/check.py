"""Check manifests without a cluster: every problem of every file at once, each with its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from cluster.errors import InputError, ShopreelError
from cluster.manifests.models import API_VERSIONS, KINDS, RayUpCluster
from cluster.manifests.models.base import unknown_fields
from cluster.manifests.rules.clusters import check_cluster
from cluster.manifests.rules.dashboards import check_dashboard
from cluster.manifests.rules.dockerfiles import check_dockerfile
from cluster.manifests.rules.images import check_images
from cluster.manifests.rules.jobs import CommandError, check_job
from cluster.manifests.rules.parts import kind_of
from cluster.manifests.rules.ray_up import check_ray_up
from cluster.manifests.rules.references import check_references
from cluster.manifests.rules.services import check_service
from cluster.manifests.source import Document, Problem, UnreadableError, read_documents

SUFFIXES = (".yaml", ".yml")
DOCKERFILE = "Dockerfile"
_WORDS = {"missing": "is missing", "too_short": "is empty; it needs at least one item"}


class ManifestError(ShopreelError):
    """Manifests that would not work."""

    exit_code = 2


def read_manifests(paths: Iterable[Path]) -> tuple[dict[str, str], list[Path]]:
    """Texts of YAML files by name, folders searched, and the Dockerfiles among the paths.

    Raises InputError for a path that is not there, cannot be read or holds none of them.
    """
    texts, dockerfiles = {}, []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; render manifests with `shopreel manifests render --out {path}`")
        files = [file for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if _is_checked(file)]
        if not files:
            raise InputError(
                f"{path} holds nothing to check: manifests end in .yaml or .yml, or begin with {DOCKERFILE}"
            )
        for file in files:
            if file.name.startswith(DOCKERFILE):
                dockerfiles.append(file)
                continue
            try:
                texts[str(file)] = file.read_text()
            except UnicodeDecodeError as error:
                raise InputError(f"{file} is not text: {error}") from error
            except OSError as error:
                raise InputError(f"{file} cannot be read: {error.strerror}") from error
    return texts, dockerfiles


def _is_checked(file: Path) -> bool:
    return not file.is_dir() and (file.suffix in SUFFIXES or file.name.startswith(DOCKERFILE))


def check_manifests(
    texts: Mapping[str, str], command_error: CommandError, dockerfiles: Iterable[Path] = ()
) -> list[Problem]:
    """All problems of manifests (file name → YAML) that belong together, in the order of files and lines."""
    documents: list[Document] = []
    problems: set[Problem] = set()
    for file, text in texts.items():
        try:
            documents.extend(read_documents(file, text))
        except UnreadableError as error:
            problems.add(error.problem)
    for document in documents:
        problems.update(_schema(document))
        if isinstance(document.value, dict):
            for rule in (check_cluster, check_images, check_service, check_dashboard, check_ray_up):
                problems.update(rule(document))
            problems.update(check_job(document, command_error))
    problems.update(check_references([document for document in documents if isinstance(document.value, dict)]))
    for dockerfile in dockerfiles:
        problems.update(check_dockerfile(dockerfile))
    return sorted(problems)


def _schema(document: Document) -> Iterator[Problem]:
    """What the typed model of the document's kind says."""
    yield from document.twice()
    if not isinstance(document.value, dict):
        yield document.problem((), "must be a mapping")
        return
    if "cluster_name" in document.value:
        yield from _model(document, RayUpCluster)
        return
    kind = kind_of(document)
    if kind in KINDS:
        if document.value.get("apiVersion") not in (API_VERSIONS[kind], None):
            yield document.problem(("apiVersion",), f"is {document.value['apiVersion']}; write {API_VERSIONS[kind]}")
        yield from _model(document, KINDS[kind])
        return
    close = get_close_matches(str(kind), KINDS, n=1)
    yield document.problem(
        ("kind",), f"{kind} is not a kind that is checked; " + (f"did you mean {close[0]}?" if close else _kinds())
    )


def _kinds() -> str:
    return f"there are: {', '.join(sorted(KINDS))}"


def _model(document: Document, model: type[BaseModel]) -> Iterator[Problem]:
    for path, hint in unknown_fields(model, document.value):
        yield document.problem(path, f"unknown field; {hint}")
    try:
        model.model_validate(document.value)
    except ValidationError as error:
        for fault in error.errors():
            value, said = fault["input"], fault["msg"].removeprefix("Value error, ")
            told = fault["type"] in ("missing", "too_short", "value_error") or isinstance(value, (dict, list))
            given = "" if told else f"is {value!r}: "
            yield document.problem(fault["loc"], given + _WORDS.get(fault["type"], said[:1].lower() + said[1:]))
