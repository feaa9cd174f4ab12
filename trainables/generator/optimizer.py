"""Where a training begins, its optimisers, and their rate over its course."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from cluster.errors import InputError
from trainables.generator.config import OptimizerConfig
from trainables.generator.errors import TrainingDiverged


def load_start(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Begin with the weights of a bundle; another size of network is refused."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"--start: the bundle's network has another size than network.* asks for: {error}") from error


def make_optimizer(module: nn.Module, config: OptimizerConfig, rate: float) -> torch.optim.Optimizer:
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return kind(module.parameters(), lr=rate, betas=(config.beta1, config.beta2), weight_decay=config.weight_decay)


def set_rate(optimizer: Any, config: OptimizerConfig, peak: float, progress: float) -> None:
    """Linear warm-up, then a cosine from `peak` to its final share; `progress` is the share of the steps done."""
    rise = min(1.0, (progress + 1e-3) / config.warm_up) if config.warm_up > 0 else 1.0
    fall = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = peak * rise * fall


def weights_digest(*modules: nn.Module) -> str:
    """SHA-256 over all weights and buffers, in order."""
    digest = hashlib.sha256()
    for module in modules:
        for value in module.state_dict().values():
            digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def checked_means(fabric: Fabric, terms: dict[str, Tensor], step: int, config: OptimizerConfig) -> dict[str, float]:
    """Means over workers; every worker sees the same numbers, so all of them stop together at one that is no number."""
    values = fabric.all_reduce(torch.stack([value.detach().float() for value in terms.values()]), reduce_op="mean")
    means = dict(zip(terms, values.tolist(), strict=True))
    for name, value in means.items():
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"step {step}: loss term {name!r} is {value}; lower optimizer.learning_rate"
                f" ({config.learning_rate:g}) or adversarial.weight"
            )
    return means


def clipped_step(fabric: Fabric, module: Any, optimizer: Any, config: OptimizerConfig, step: int) -> float:
    """Scale the gradients to the configured norm, update, return the norm they had; one that is no number stops."""
    norm = float(fabric.clip_gradients(module, optimizer, max_norm=config.clip_norm, error_if_nonfinite=False))
    if not math.isfinite(norm):
        raise TrainingDiverged(f"step {step}: the generator's gradient norm is {norm}; lower optimizer.learning_rate")
    optimizer.step()
    return norm
