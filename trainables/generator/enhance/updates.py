"""One object owns generator, judge, average and optimisers; one method is one update.

Two stages, each with its own warm-up and decay: first the faithful part learns alone; then it takes its average's
weights and stands still, and the vivid part learns on as its copy. So a vivid training cannot harm the faithful
pictures.
Dims: B clips, C = 3 channels, T frames, H height, W width, N frames of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from trainables.generator.adversarial import discriminator_loss, generator_loss, gradient_penalty
from trainables.generator.ema import Ema
from trainables.generator.enhance import losses
from trainables.generator.enhance.config import EnhanceTrainConfig
from trainables.generator.enhance.degradation import degrade
from trainables.generator.enhance.evidence import evidence
from trainables.generator.enhance.judge import LEVELS, Judge
from trainables.generator.enhance.neighbours import merge_neighbours
from trainables.generator.enhance.network import MULTIPLE, EnhanceNetwork
from trainables.generator.features import FrozenFeatures
from trainables.generator.optimizer import (
    checked_means,
    clipped_step,
    load_start,
    make_optimizer,
    set_rate,
    weights_digest,
)
from trainables.generator.sampler import Draw
from trainables.generator.task import ClipSource


@dataclass(frozen=True)
class Batch:
    """One worker's share of a step."""

    evidence_NCHW: Tensor
    """Of B clips' frames one after the other, N = B·T."""
    clean_BCTHW: Tensor
    """In [-1, 1]."""
    scale_N: Tensor


class EnhanceUpdates:
    """The networks and their updates; `state` and `load_state` hold everything a resumed run needs."""

    def __init__(self, config: EnhanceTrainConfig, fabric: Fabric, start: dict[str, Tensor] | None = None) -> None:
        """`start` holds weights of a network of the same size to begin with."""
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        self.network, judge = EnhanceNetwork(config.network), Judge(config.judge)
        if start is not None:
            load_start(self.network, start)
        self.network.to(fabric.device)
        rates = config.optimizer
        self.ema = Ema(self.network, half_life=config.ema.half_life, warm_up=config.ema.warm_up)
        # Parts are set up one by one: in each stage every weight of the wrapped part gets a gradient, as DDP wants.
        self.faithful, self.optimizer_f = fabric.setup(
            self.network.faithful, make_optimizer(self.network.faithful, rates, rates.learning_rate)
        )
        self.vivid, self.optimizer_v = fabric.setup(
            self.network.vivid, make_optimizer(self.network.vivid, rates, rates.learning_rate)
        )
        self.judge, self.optimizer_d = fabric.setup(
            judge, make_optimizer(judge, rates, rates.discriminator_learning_rate)
        )
        self.features = FrozenFeatures().to(fabric.device)

    def step(self, step: int, batch: Batch) -> dict[str, float]:
        """One update of the faithful part, or of judge and vivid part; `step` counts from 0."""
        first = self.config.faithful_steps
        if step < first:
            return self._faithful_step(step, step / first, batch)
        if step == first:
            self._begin_vivid()
        return self._vivid_step(step, (step - first) / (self.config.steps - first), batch)

    def _begin_vivid(self) -> None:
        """The vivid part goes on from what the faithful one has learned, or from where the training was started."""
        if self.config.faithful_steps:
            self.network.load_state_dict(self.ema.module.state_dict())
            self.network.begin_vivid()
            self.ema.module.begin_vivid()

    def _faithful_step(self, step: int, progress: float, batch: Batch) -> dict[str, float]:
        rates, weights = self.config.optimizer, self.config.loss
        set_rate(self.optimizer_f, rates, rates.learning_rate, progress)
        enhanced_BCTHW = _clips(self.faithful(batch.evidence_NCHW, batch.scale_N), batch)
        terms = {
            "pixel": losses.log_error(enhanced_BCTHW, batch.clean_BCTHW),
            "structure": losses.structure_loss(enhanced_BCTHW, batch.clean_BCTHW),
            "temporal": losses.temporal_loss(enhanced_BCTHW, batch.clean_BCTHW),
            "source": losses.log_error(_clips(batch.evidence_NCHW[:, :3], batch), batch.clean_BCTHW),
        }
        terms["total"] = (
            terms["pixel"]
            + weights.structure_weight * terms["structure"]
            + weights.temporal_weight * terms["temporal"]
        )
        return self._update(self.faithful, self.optimizer_f, terms, step, step)

    def _vivid_step(self, step: int, progress: float, batch: Batch) -> dict[str, float]:
        config, rates, weights = self.config, self.config.optimizer, self.config.loss
        set_rate(self.optimizer_v, rates, rates.learning_rate, progress)
        set_rate(self.optimizer_d, rates, rates.discriminator_learning_rate, progress)
        enhanced_NCHW = self.vivid(batch.evidence_NCHW, batch.scale_N).float()
        enhanced_BCTHW = _clips(enhanced_NCHW, batch)
        fake = self.features(enhanced_NCHW)
        with torch.no_grad():
            real = self.features(batch.clean_BCTHW.transpose(1, 2).flatten(0, 1))
        terms: dict[str, Tensor] = {}
        adversarial = config.vivid.adversarial_weight > 0
        if adversarial:
            terms |= self._update_judge(real, fake)
        terms["pixel"] = losses.log_error(enhanced_BCTHW, batch.clean_BCTHW)
        terms["structure"] = losses.structure_loss(enhanced_BCTHW, batch.clean_BCTHW)
        terms["temporal"] = losses.temporal_loss(enhanced_BCTHW, batch.clean_BCTHW)
        terms["perceptual"] = losses.perceptual_loss(fake, real)
        total = (
            terms["pixel"]
            + weights.structure_weight * terms["structure"]
            + weights.temporal_weight * terms["temporal"]
            + weights.perceptual_weight * terms["perceptual"]
        )
        if adversarial:
            terms["adversarial"] = self._judge_fakes(real, fake)
            total = total + config.vivid.adversarial_weight * terms["adversarial"]
        terms["total"] = total
        return self._update(self.vivid, self.optimizer_v, terms, step, step - config.faithful_steps)

    def _update(
        self, part: Any, optimizer: Any, terms: dict[str, Tensor], step: int, step_of_stage: int
    ) -> dict[str, float]:
        """The average warms up anew in each stage, or the vivid part would drag its beginning along."""
        config = self.config
        means = checked_means(self.fabric, terms, step, config.optimizer)
        optimizer.zero_grad()
        self.fabric.backward(terms["total"])
        norm = clipped_step(self.fabric, part, optimizer, config.optimizer, step)
        self.ema.update(self.network, step_of_stage * config.batch_size, config.batch_size)
        return {f"loss/{name}": value for name, value in means.items()} | {
            "gradient_norm": norm,
            "learning_rate": optimizer.param_groups[0]["lr"],
        }

    def _update_judge(self, real: list[Tensor], fake: list[Tensor]) -> dict[str, Tensor]:
        """One forward of real and fake side by side, then L_D with both penalties."""
        levels = [torch.cat([real[i], fake[i].detach()]).float().requires_grad_() for i in LEVELS]
        logits = self.judge(levels)
        penalty = gradient_penalty(_per_frame(logits), levels)
        loss = torch.stack([discriminator_loss(*maps.chunk(2)) for maps in logits]).mean()
        self.optimizer_d.zero_grad()
        self.fabric.backward(loss + self.config.vivid.gamma * penalty)
        self.fabric.clip_gradients(
            self.judge, self.optimizer_d, max_norm=self.config.optimizer.clip_norm, error_if_nonfinite=False
        )
        self.optimizer_d.step()
        real_N, fake_N = _per_frame(logits).detach().chunk(2)
        return {"discriminator": loss.detach(), "penalty": penalty.detach(), "margin": (real_N - fake_N).mean()}

    def _judge_fakes(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """L_G on a frozen judge, outside its DDP wrapper, whose gradient bookkeeping it must not touch here."""
        judge = self.judge.module
        judge.requires_grad_(False)
        fake_logits = judge([fake[i] for i in LEVELS])
        with torch.no_grad():
            real_logits = judge([real[i] for i in LEVELS])
        judge.requires_grad_(True)
        return torch.stack([generator_loss(r, f) for r, f in zip(real_logits, fake_logits, strict=True)]).mean()

    def batch(self, clips: ClipSource, draws: Sequence[Draw]) -> Batch:
        """The drawn clips, each spoilt in its own way; a few windows in space and time of each."""
        pairs = [pair for draw in draws for pair in self._pairs(clips[draw.clip], draw.rng())]
        evidences, clean, scales = zip(*pairs, strict=True)
        device = self.fabric.device
        return Batch(
            torch.cat(evidences).to(device),
            torch.stack(clean).to(device),
            torch.tensor(scales, device=device).repeat_interleave(self.config.clip_frames),
        )

    def _pairs(self, frames_THWC: np.ndarray, rng: np.random.Generator) -> list[tuple[Tensor, Tensor, int]]:
        """Windows of one clip: evidence (T, 10, S, S), clean (3, T, S, S) in [-1, 1], scale. The whole clip is spoilt
        and searched for motion: a frame's damage depends on those before it.
        """
        config = self.config
        clean_THWC = _turned(frames_THWC, config.frame_size, rng)
        how = config.degradation.draw(rng)
        spoilt = degrade(clean_THWC, how, rng)
        merged, weight = merge_neighbours(spoilt)
        pairs = []
        for _ in range(config.windows):
            first = int(rng.integers(0, max(len(spoilt) - config.clip_frames, 0) + 1))
            kept = np.minimum(np.arange(first, first + config.clip_frames), len(spoilt) - 1)
            size, scale = config.frame_size, how.scale
            top, left = (
                int(rng.integers(0, (side - size) // MULTIPLE + 1)) * MULTIPLE for side in clean_THWC.shape[1:3]
            )
            window = (kept, slice(top // scale, (top + size) // scale), slice(left // scale, (left + size) // scale))
            seen = evidence(spoilt[window], merged[window], weight[window], scale)
            clean = clean_THWC[kept, top : top + size, left : left + size]
            pairs.append((seen, torch.from_numpy(clean).permute(3, 0, 1, 2).float() / 127.5 - 1, scale))
        return pairs

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.network.state_dict(),
            "discriminator": self.judge.module.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer_f": self.optimizer_f.optimizer.state_dict(),
            "optimizer_v": self.optimizer_v.optimizer.state_dict(),
            "optimizer_d": self.optimizer_d.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["generator"])
        self.judge.module.load_state_dict(state["discriminator"])
        self.ema.module.load_state_dict(state["ema"])
        for name in ("optimizer_f", "optimizer_v", "optimizer_d"):
            getattr(self, name).optimizer.load_state_dict(state[name])

    def digest(self) -> str:
        """SHA-256 over network and judge; equal on all workers."""
        return weights_digest(self.network, self.judge.module)


def _turned(frames_THWC: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The clip, mirrored, on its side, backwards by chance; sides are multiples of 8 and at least `size`."""
    if rng.random() < 0.5:
        frames_THWC = frames_THWC[:, :, ::-1]
    if rng.random() < 0.25:
        frames_THWC = frames_THWC.transpose(0, 2, 1, 3)
    if rng.random() < 0.5:
        frames_THWC = frames_THWC[::-1]
    short = [(0, max(size - side, 0)) for side in frames_THWC.shape[1:3]]
    if any(amount for _, amount in short):
        frames_THWC = np.pad(frames_THWC, ((0, 0), *short, (0, 0)), mode="symmetric")
    height, width = (side - side % MULTIPLE for side in frames_THWC.shape[1:3])
    return np.ascontiguousarray(frames_THWC[:, :height, :width])


def _clips(frames_NCHW: Tensor, batch: Batch) -> Tensor:
    return frames_NCHW.float().unflatten(0, (-1, batch.clean_BCTHW.shape[2])).transpose(1, 2)


def _per_frame(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack([maps.mean((1, 2)) for maps in logits]).mean(0)
