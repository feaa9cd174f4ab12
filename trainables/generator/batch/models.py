"""Which weights a batch command works with: the packaged ones, a registered version, or a bundle folder."""

from __future__ import annotations

import filecmp
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import InputError
from trainables.generator.task import model_name

STARTER = "starter"


@dataclass(frozen=True)
class ChosenModel:
    """A bundle on this machine."""

    folder: Path
    reference: str
    """What provenance calls it: `generator/starter`, `generator-repair/3`, or the folder's name."""


def choose_model(task: str, reference: str, tracking_uri: str | None = None) -> ChosenModel:
    """`starter`, `generator@ALIAS`, `generator/VERSION`, or the folder of a bundle.

    `generator` stands for the task's own registered model: for repair, `generator@champion` is
    `generator-repair@champion`. MLflow is only asked for a registered version.
    """
    name = model_name(task)
    if reference == STARTER:
        from trainables.generator.starter import starter_bundle

        return ChosenModel(starter_bundle(task), f"{name}/{STARTER}")
    if (Path(reference) / "config.json").is_file():
        return ChosenModel(Path(reference), f"{name}/{Path(reference).resolve().name}")
    model, mark, version = reference.partition("@" if "@" in reference else "/")
    if not version or model not in ("generator", name):
        raise InputError(f"model {reference!r} is none of starter, {name}@ALIAS, {name}/VERSION or a bundle folder")
    from cluster.registry import Registry
    from cluster.settings import Settings

    registry = Registry(Settings.load(tracking_uri=tracking_uri))
    found = registry.resolve(f"{name}{mark}{version}")
    return ChosenModel(registry.fetch(found), found.reference)


def choose_trainings(task: str, references: Sequence[str], tracking_uri: str | None = None) -> dict[str, Path]:
    """Folders of several models by a name for each: its `reference`, or as much of its path's end as tells folders of
    one name apart. Refuses two with the same weights: they are one training, and would deviate by nothing.
    """
    chosen = [choose_model(task, reference, tracking_uri) for reference in references]
    for (first, one), (second, other) in itertools.combinations(zip(references, chosen, strict=True), 2):
        weights = [model.folder / "model.safetensors" for model in (one, other)]
        if all(path.is_file() for path in weights) and filecmp.cmp(*weights, shallow=False):
            raise InputError(f"models {first} and {second} have the same weights; name trainings with different seeds")
    named: dict[str, Path] = {}
    for model in chosen:
        alike = [other.folder.resolve().parts for other in chosen if other.reference == model.reference]
        depth = 1
        while len({parts[-depth:] for parts in alike}) < len({*alike}):
            depth += 1
        end = "/".join(model.folder.resolve().parts[-depth:])
        named[model.reference if len(alike) == 1 else end] = model.folder
    return named


def choose_device(name: str) -> str:
    """`auto` takes the GPU where there is one; `cuda` without one is refused."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but PyTorch finds no GPU here; use auto or cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
