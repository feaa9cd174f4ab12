"""A bundle: a trained model at rest. `model.safetensors` + `config.json` + `card.json`, never a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from cluster.errors import InputError, NotFoundError

FORMAT_VERSION = 1
KINDS = ("generator", "recommender")


@dataclass(frozen=True)
class Bundle:
    """What a bundle folder holds, checked."""

    kind: str
    tensors: dict[str, np.ndarray]
    config: dict[str, Any]
    """What is needed to build the model again."""
    card: dict[str, Any]
    """What a person should know: data and lineage, settings, metrics, limits."""


def write_bundle(
    folder: Path, *, kind: str, tensors: Mapping[str, np.ndarray], config: dict[str, Any], card: dict[str, Any]
) -> None:
    """Write the three files; `config.json` is written last and carries the checksum, so half a bundle never loads."""
    if kind not in KINDS:
        raise ValueError(f"bundle kind is {kind!r}; use one of {', '.join(KINDS)}")
    folder.mkdir(parents=True, exist_ok=True)
    data = save_tensors({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    (folder / "model.safetensors").write_bytes(data)
    (folder / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    header = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "config": config,
    }
    (folder / "config.json").write_text(json.dumps(header, indent=2, sort_keys=True) + "\n")


def read_bundle(folder: Path, *, kind: str) -> Bundle:
    """Read and verify; a damaged, foreign or newer bundle is refused with its path."""
    if not folder.is_dir():
        raise NotFoundError(f"no bundle at {folder}")
    header = _read_json(folder / "config.json")
    if header.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"bundle {folder}: format version {header.get('format_version')!r}, this shopreel reads {FORMAT_VERSION}"
        )
    if header.get("kind") != kind:
        raise InputError(f"bundle {folder} is a {header.get('kind')!r} model, not a {kind}")
    try:
        data = (folder / "model.safetensors").read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"bundle {folder}: model.safetensors is missing") from error
    if not isinstance(header.get("config"), dict):
        raise InputError(f"bundle {folder}: config.json has no object `config`; it is damaged, fetch it again")
    if hashlib.sha256(data).hexdigest() != header.get("sha256"):
        raise InputError(
            f"bundle {folder}: model.safetensors does not match its checksum; it is damaged, fetch it again"
        )
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise InputError(f"bundle {folder}: model.safetensors cannot be read: {error}") from error
    return Bundle(kind=kind, tensors=tensors, config=header["config"], card=_read_json(folder / "card.json"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"bundle {path.parent}: {path.name} is missing") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"bundle {path.parent}: {path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"bundle {path.parent}: {path.name} must hold an object")
    return value
