"""One object owns generator, judge, average and optimisers; one method is one update.

Two stages, each with its own warm-up and decay: first the faithful part learns alone; then it takes its average's
weights, stands still, and the vivid part learns on top of it. So a vivid training cannot harm the faithful pictures.
Dims: B clips, C = 3 channels, T frames, H height, W width, N frames of a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor

from trainables.generator.adversarial import discriminator_loss, generator_loss, gradient_penalty
from trainables.generator.ema import Ema
from trainables.generator.enhance import losses
from trainables.generator.enhance.config import EnhanceTrainConfig
from trainables.generator.enhance.degradation import degrade
from trainables.generator.enhance.judge import LEVELS, Judge
from trainables.generator.enhance.network import EnhanceNetwork
from trainables.generator.features import FrozenFeatures
from trainables.generator.optimizer import checked_means, clipped_step, load_start, make_optimizer, set_rate
from trainables.generator.sampler import Draw
from trainables.generator.task import ClipSource

JUDGED_FRAMES = 2
"""Neighbouring frames of each clip, from its middle, that perceptual loss and judge look at."""


@dataclass(frozen=True)
class Batch:
    """One worker's share of a step."""

    spoilt_BCTHW: Tensor
    """In [-1, 1], at the clean clip's size."""
    clean_BCTHW: Tensor
    scale_B: Tensor


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
            self.network.load_state_dict(self.ema.module.state_dict())
        return self._vivid_step(step, (step - first) / (self.config.steps - first), batch)

    def _faithful_step(self, step: int, progress: float, batch: Batch) -> dict[str, float]:
        rates, weights = self.config.optimizer, self.config.loss
        set_rate(self.optimizer_f, rates, rates.learning_rate, progress)
        spoilt_NCHW, scale_N, frames = _frames(batch)
        enhanced_NCHW, _ = self.faithful(spoilt_NCHW, scale_N, frames)
        enhanced_BCTHW = enhanced_NCHW.float().unflatten(0, (-1, frames)).transpose(1, 2)
        terms = {
            "pixel": losses.charbonnier(enhanced_BCTHW, batch.clean_BCTHW, weights.softness),
            "temporal": losses.temporal_loss(enhanced_BCTHW, batch.clean_BCTHW, weights.softness),
            "squared": F.mse_loss(enhanced_BCTHW.detach(), batch.clean_BCTHW),
            "squared_source": F.mse_loss(batch.spoilt_BCTHW, batch.clean_BCTHW),
        }
        terms["total"] = terms["pixel"] + weights.temporal_weight * terms["temporal"]
        return self._update(self.faithful, self.optimizer_f, terms, step)

    def _vivid_step(self, step: int, progress: float, batch: Batch) -> dict[str, float]:
        config, rates, weights = self.config, self.config.optimizer, self.config.loss
        set_rate(self.optimizer_v, rates, rates.learning_rate, progress)
        set_rate(self.optimizer_d, rates, rates.discriminator_learning_rate, progress)
        spoilt_NCHW, scale_N, frames = _frames(batch)
        with torch.no_grad():
            faithful_NCHW, features_NCHW = self.network.faithful(spoilt_NCHW, scale_N, frames)
        enhanced_NCHW = faithful_NCHW.float() + self.vivid(features_NCHW, frames).float()
        enhanced_BCTHW = enhanced_NCHW.unflatten(0, (-1, frames)).transpose(1, 2)
        fake = self.features(_judged(enhanced_BCTHW))
        with torch.no_grad():
            real = self.features(_judged(batch.clean_BCTHW))
        terms: dict[str, Tensor] = {}
        adversarial = config.vivid.adversarial_weight > 0
        if adversarial:
            terms |= self._update_judge(real, fake)
        terms["pixel"] = losses.charbonnier(enhanced_BCTHW, batch.clean_BCTHW, weights.softness)
        terms["temporal"] = losses.temporal_loss(enhanced_BCTHW, batch.clean_BCTHW, weights.softness)
        terms["perceptual"] = losses.perceptual_loss(fake, real)
        total = (
            terms["pixel"]
            + weights.temporal_weight * terms["temporal"]
            + weights.perceptual_weight * terms["perceptual"]
        )
        if adversarial:
            terms["adversarial"] = self._judge_fakes(real, fake)
            total = total + config.vivid.adversarial_weight * terms["adversarial"]
        terms["total"] = total
        return self._update(self.vivid, self.optimizer_v, terms, step)

    def _update(self, part: Any, optimizer: Any, terms: dict[str, Tensor], step: int) -> dict[str, float]:
        config = self.config
        means = checked_means(self.fabric, terms, step, config.optimizer)
        optimizer.zero_grad()
        self.fabric.backward(terms["total"])
        norm = clipped_step(self.fabric, part, optimizer, config.optimizer, step)
        self.ema.update(self.network, step * config.batch_size, config.batch_size)
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
        """Crops of the drawn clips, each spoilt in its own way and brought back to its size."""
        pairs = [self._pair(clips[draw.clip], draw.rng()) for draw in draws]
        spoilt, clean, scales = zip(*pairs, strict=True)
        device = self.fabric.device
        return Batch(torch.stack(spoilt).to(device), torch.stack(clean).to(device), torch.tensor(scales, device=device))

    def _pair(self, frames_THWC: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, int]:
        """Spoilt and clean (3, T, S, S) in [-1, 1] and the scale. All frames are compressed, some are kept: a frame's
        damage depends on those before it.
        """
        config = self.config
        cut = _cut(frames_THWC, config.frame_size, rng)
        how = config.degradation.draw(rng)
        first = int(rng.integers(0, max(len(cut) - config.clip_frames, 0) + 1))
        kept = np.minimum(np.arange(first, first + config.clip_frames), len(cut) - 1)
        spoilt = _tensor(degrade(cut, how, rng)[kept])
        clean = _tensor(cut[kept])
        return upscale(spoilt, how.scale).transpose(0, 1), clean.transpose(0, 1), how.scale

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
        digest = hashlib.sha256()
        for module in (self.network, self.judge.module):
            for value in module.state_dict().values():
                digest.update(value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()


def upscale(frames_TCHW: Tensor, scale: int) -> Tensor:
    """Bicubic, where the network's correction begins; scale 1 gives the frames themselves."""
    if scale == 1:
        return frames_TCHW
    return F.interpolate(frames_TCHW, scale_factor=scale, mode="bicubic", align_corners=False).clamp(-1, 1)


def _cut(frames_THWC: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of the clip, the same in every frame, turned and mirrored; small clips are mirrored at their border."""
    short = [max(size - side, 0) for side in frames_THWC.shape[1:3]]
    if any(short):
        frames_THWC = np.pad(frames_THWC, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    top, left = (int(rng.integers(0, side - size + 1)) for side in frames_THWC.shape[1:3])
    cut = frames_THWC[:, top : top + size, left : left + size]
    if rng.random() < 0.5:
        cut = cut[:, :, ::-1]
    if rng.random() < 0.25:
        cut = cut.transpose(0, 2, 1, 3)
    return np.ascontiguousarray(cut[::-1] if rng.random() < 0.5 else cut)


def _tensor(frames_THWC: np.ndarray) -> Tensor:
    return torch.from_numpy(frames_THWC).permute(0, 3, 1, 2).float() / 127.5 - 1


def _frames(batch: Batch) -> tuple[Tensor, Tensor, int]:
    frames = batch.spoilt_BCTHW.shape[2]
    return batch.spoilt_BCTHW.transpose(1, 2).flatten(0, 1), batch.scale_B.repeat_interleave(frames), frames


def _judged(clip_BCTHW: Tensor) -> Tensor:
    first = max((clip_BCTHW.shape[2] - JUDGED_FRAMES) // 2, 0)
    return clip_BCTHW[:, :, first : first + JUDGED_FRAMES].transpose(1, 2).flatten(0, 1)


def _per_frame(logits: Sequence[Tensor]) -> Tensor:
    return torch.stack([maps.mean((1, 2)) for maps in logits]).mean(0)
