"""One object owns the repairing network, its average and its optimiser; one method is one update.

Dims: B samples, F frames of a sample, K candidates, C = 3 channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.fabric import Fabric

from cluster.errors import InputError
from trainables.generator.ema import Ema
from trainables.generator.optimizer import (
    checked_means,
    clipped_step,
    load_start,
    make_optimizer,
    set_rate,
    weights_digest,
)
from trainables.generator.repair import losses
from trainables.generator.repair.config import RepairTrainConfig
from trainables.generator.repair.network import RepairNetwork
from trainables.generator.repair.repairer import Repairer
from trainables.generator.repair.samples import Batch, SampleStore, augmented
from trainables.generator.sampler import Draw
from trainables.generator.task import ClipSource


class RepairUpdates:
    """The network and its updates; `state` and `load_state` hold everything a resumed run needs."""

    def __init__(self, config: RepairTrainConfig, fabric: Fabric, start: Repairer | None = None) -> None:
        """`start` has a network of the same size to begin with; it mends what is looked at a second time."""
        if config.damage.second_looks and start is None:
            raise InputError(
                f"damage.second_looks is {config.damage.second_looks}: name the bundle that looks first (--start), or"
                " set it to 0"
            )
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        network = RepairNetwork(config.network)
        if start is not None:
            load_start(network, start.network.state_dict())
        optimizer = make_optimizer(network, config.optimizer, config.optimizer.learning_rate)
        self.ema = Ema(network.to(fabric.device), half_life=config.ema.half_life, warm_up=config.ema.warm_up)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.store = SampleStore(
            seed=config.seed,
            frames=config.clip_frames,
            size=config.frame_size,
            memory=config.damage.memory,
            samples=config.damage.samples,
            before=start,
            second_looks=config.damage.second_looks,
        )

    def batch(self, clips: ClipSource, draws: Sequence[Draw]) -> Batch:
        """Damaged cuts of the drawn clips with their candidates."""
        parts = []
        for draw in draws:
            rng = draw.rng()
            variant = int(rng.integers(self.config.damage.variants))
            samples = self.store.get(clips, draw.clip, variant)
            parts.append(augmented(samples[rng.integers(len(samples))], self.config.frame_size, rng))
        return Batch(*(torch.stack(items).to(self.fabric.device) for items in zip(*parts, strict=True)))

    def step(self, step: int, batch: Batch) -> dict[str, float]:
        """One update; `step` counts from 0. Returns the terms' means over all workers."""
        config = self.config
        set_rate(self.optimizer, config.optimizer, config.optimizer.learning_rate, step / config.steps)
        flat = (value.flatten(0, 1) for value in vars(batch).values())
        mended = self.network(*flat).float().unflatten(0, batch.clean_BFCHW.shape[:2])
        compared = mended, batch.clean_BFCHW, batch.mask_BF1HW
        terms = {
            "hole": losses.hole_loss(*compared),
            "fidelity": losses.fidelity_loss(*compared),
            "temporal": losses.temporal_loss(*compared),
            "detail": losses.detail_loss(*compared),
            "structure": losses.structure_loss(*compared),
            "activity": losses.activity_loss(*compared),
        }
        weights = config.loss
        terms["total"] = (
            terms["hole"]
            + weights.fidelity_weight * terms["fidelity"]
            + weights.temporal_weight * terms["temporal"]
            + weights.detail_weight * terms["detail"]
            + weights.structure_weight * terms["structure"]
            + weights.activity_weight * terms["activity"]
        )
        means = checked_means(self.fabric, terms, step, config.optimizer)
        self.optimizer.zero_grad()
        self.fabric.backward(terms["total"])
        norm = clipped_step(self.fabric, self.network, self.optimizer, config.optimizer, step)
        self.ema.update(self.network.module, step * config.batch_size, config.batch_size)
        return {f"loss/{name}": value for name, value in means.items()} | {
            "gradient_norm": norm,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.module.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": self.optimizer.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.module.load_state_dict(state["network"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.optimizer.load_state_dict(state["optimizer"])

    def digest(self) -> str:
        """SHA-256 over the network; equal on all workers."""
        return weights_digest(self.network.module)
