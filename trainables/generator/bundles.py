"""Generator bundles: a task's network at rest, and the clips its inference classes take.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from cluster.config import from_dict, to_dict
from cluster.errors import InputError
from trainables.bundle import Bundle, read_bundle, write_bundle

Network = TypeVar("Network", bound=nn.Module)
Upgrade = Callable[[dict[str, Any], Mapping[str, np.ndarray]], tuple[dict[str, Any], Mapping[str, np.ndarray]]]
SMALLEST = 16
"""Least side of a clip, pixels."""


def read_task_bundle(folder: Path | str, task: str) -> Bundle:
    """A generator bundle of that task; bundles from before there were tasks restyle."""
    bundle = read_bundle(Path(folder), kind="generator")
    found = bundle.config.get("task", "restyle")
    if found != task:
        raise InputError(f"bundle {folder} holds a model that does {found!r}, not {task!r}")
    if "network" not in bundle.config:
        raise InputError(
            f"bundle {folder}: config.json lacks the settings of its network; it is damaged, fetch it again"
        )
    return bundle


def read_network(
    folder: Path | str,
    task: str,
    network: Callable[[Any], Network],
    config_class: type,
    upgraded: Upgrade = lambda settings, tensors: (settings, tensors),
) -> Network:
    """The network of a bundle written by `save_network`; a damaged or foreign one is refused with its path.

    `upgraded` makes of the settings and weights of an older bundle what they are now.
    """
    bundle = read_task_bundle(folder, task)
    settings, tensors = upgraded(bundle.config["network"], bundle.tensors)
    built = network(from_dict(config_class, settings, "network."))
    load_weights(built, tensors, folder)
    return built


def load_weights(network: nn.Module, tensors: Mapping[str, np.ndarray], folder: Path | str) -> None:
    """Fill a network with a bundle's weights; those of another size, and those that are no numbers, are refused."""
    for name, value in tensors.items():
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise InputError(f"bundle {folder}: weights {name!r} are no finite floating-point numbers; train it again")
    try:
        network.load_state_dict({name: torch.from_numpy(value).float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise InputError(f"bundle {folder}: weights and config do not fit together: {error}") from error


def save_network(
    network: nn.Module,
    config: Any,
    task: str,
    folder: Path,
    card: dict[str, Any],
    *,
    beside: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write the average network as a bundle, weights in half precision; `beside` are further tensors, as they are."""
    tensors = {name: value.detach().cpu().half().numpy() for name, value in network.state_dict().items()}
    settings = {"task": task, "network": to_dict(config)}
    write_bundle(folder, kind="generator", tensors=tensors | dict(beside or {}), config=settings, card=card)


def check_clip(frames_THWC: np.ndarray, largest: int) -> None:
    """Refuse what is no uint8 (T, H, W, 3) with T ≥ 1 and sides of 16 to `largest` pixels."""
    shape = frames_THWC.shape
    if frames_THWC.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or not shape[0]:
        raise InputError(f"a clip must be uint8 (T, H, W, 3) with T ≥ 1, not {frames_THWC.dtype} {shape}")
    if not SMALLEST <= min(shape[1:3]) <= max(shape[1:3]) <= largest:
        raise InputError(f"a clip is {shape[1]} × {shape[2]} pixels; sides must be {SMALLEST} to {largest}")
