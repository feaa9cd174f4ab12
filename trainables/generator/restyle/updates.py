"""One object owns generator, judges, average and both optimisers; one method is one update.

Dims: B clips, C = 3 channels, T frames, H height, W width, S style code, N frames of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.data.style_code import CENTRE, SCALE
from trainables.generator.adversarial import discriminator_loss, generator_loss, gradient_penalty
from trainables.generator.ema import Ema
from trainables.generator.features import FrozenFeatures, moments
from trainables.generator.optimizer import (
    checked_means,
    clipped_step,
    load_start,
    make_optimizer,
    set_rate,
    weights_digest,
)
from trainables.generator.restyle import losses
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.restyle.discriminators import FRAME_LEVELS, SPARSE_FRAMES, Discriminator, luma_changes
from trainables.generator.restyle.looks import Look, LookBank
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.palette import Oklab
from trainables.generator.sampler import Draw, crop, sample_frames
from trainables.generator.task import ClipSource

CONTENT_LEVELS = (2, 3)
TEXTURED = slice(0, None, 2)
"""Frames of a clip that the texture loss sees."""
JUDGED = (0, -1)
"""Frames of a clip that the frame judge sees: the first and the last."""


@dataclass(frozen=True)
class Batch:
    """One worker's share of a step."""

    clip_BCTHW: Tensor
    gaps_BT: Tensor
    """Frames between neighbours, (B, T − 1)."""
    looks: list[int]
    code_BS: Tensor
    real_NCHW: Tensor
    """Pictures of each clip's look, one for each judged frame."""

    def split(self, parts: int) -> list[Batch]:
        """The clips in at most `parts` parts of nearly equal size."""
        edges = sorted({round(part * len(self.looks) / parts) for part in range(parts + 1)})
        return [
            Batch(
                self.clip_BCTHW[a:b],
                self.gaps_BT[a:b],
                self.looks[a:b],
                self.code_BS[a:b],
                self.real_NCHW[a * len(JUDGED) : b * len(JUDGED)],
            )
            for a, b in itertools.pairwise(edges)
        ]


class RestyleUpdates:
    """The networks and their updates; `state` and `load_state` hold everything a resumed run needs."""

    def __init__(
        self, config: RestyleTrainConfig, looks: list[Look], fabric: Fabric, start: dict[str, Tensor] | None = None
    ) -> None:
        """`start` holds weights of a network of the same size to begin with."""
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        generator, discriminator = RestyleNetwork(config.network), Discriminator(config.discriminator)
        if start is not None:
            load_start(generator, start)
        optimizer_g = make_optimizer(generator, config.optimizer, config.optimizer.learning_rate)
        optimizer_d = make_optimizer(discriminator, config.optimizer, config.optimizer.discriminator_learning_rate)
        self.ema = Ema(generator.to(fabric.device), half_life=config.ema.half_life, warm_up=config.ema.warm_up)
        self.generator, self.optimizer_g = fabric.setup(generator, optimizer_g)
        self.discriminator, self.optimizer_d = fabric.setup(discriminator, optimizer_d)
        self.features = FrozenFeatures().to(fabric.device)
        self.oklab = Oklab().to(fabric.device)
        self.bank = LookBank(
            looks, self.features, frame_size=config.frame_size, crops=config.looks.crops, device=fabric.device
        )
        self.centre_S, self.scale_S = (torch.from_numpy(v).to(fabric.device) for v in (CENTRE, SCALE))

    def step(self, step: int, batch: Batch) -> dict[str, float]:
        """One update of the judges (once they speak) and of the generator; `step` counts from 0.

        Returns the terms' means over all workers.
        """
        config, progress = self.config, step / self.config.steps
        set_rate(self.optimizer_g, config.optimizer, config.optimizer.learning_rate, progress)
        set_rate(self.optimizer_d, config.optimizer, config.optimizer.discriminator_learning_rate, progress)
        adversarial = config.adversarial.weight > 0 and progress >= config.adversarial.start
        self.optimizer_g.zero_grad()
        self.optimizer_d.zero_grad()
        terms: dict[str, Tensor] = {}
        parts = batch.split(config.accumulate)
        for number, part in enumerate(parts):
            waiting = number + 1 < len(parts)
            with (
                self.fabric.no_backward_sync(self.generator, enabled=waiting),
                self.fabric.no_backward_sync(self.discriminator, enabled=waiting),
            ):
                share = len(part.looks) / len(batch.looks)
                for name, value in self._add_gradients(part, share, progress if adversarial else None).items():
                    terms[name] = terms.get(name, 0) + share * value.detach()
        means = checked_means(self.fabric, terms, step, config.optimizer)
        if adversarial:
            clip_norm = config.optimizer.clip_norm
            self.fabric.clip_gradients(
                self.discriminator, self.optimizer_d, max_norm=clip_norm, error_if_nonfinite=False
            )
            self.optimizer_d.step()
        norm = clipped_step(self.fabric, self.generator, self.optimizer_g, config.optimizer, step)
        self.ema.update(self.generator.module, step * config.batch_size, config.batch_size)
        return {f"loss/{name}": value for name, value in means.items()} | {
            "gradient_norm": norm,
            "learning_rate": self.optimizer_g.param_groups[0]["lr"],
        }

    def _add_gradients(self, batch: Batch, share: float, adversarial: float | None) -> dict[str, Tensor]:
        """Gradients of both sides for a part of the batch, scaled by its share; `adversarial` is the progress once the
        judges speak. They judge with the weights they had before the step.
        """
        config = self.config
        clips, frames = batch.clip_BCTHW.shape[0], batch.clip_BCTHW.shape[2]
        fake_BCTHW = self._kept(self.generator, batch.clip_BCTHW, batch.code_BS).float()
        fake_NCHW, source_NCHW = _frames(fake_BCTHW), _frames(batch.clip_BCTHW)
        fake_levels = self._kept(self.features, fake_NCHW)
        with torch.no_grad():
            source_levels = self.features(source_NCHW)

        terms: dict[str, Tensor] = {}
        target = [level[batch.looks] for level in self.bank.statistics]
        terms["style"] = losses.style_loss([moments(maps, clips) for maps in fake_levels], target)
        bare_NCHW = losses.colour_free(_frames(fake_BCTHW[:, :, TEXTURED]), clips)
        texture = [level[batch.looks] for level in self.bank.texture_statistics]
        bare_levels = self._kept(self.features, bare_NCHW)
        terms["texture"] = losses.style_loss([moments(maps, clips) for maps in bare_levels], texture)
        content_N = losses.content_loss(
            [fake_levels[i] for i in CONTENT_LEVELS], [source_levels[i] for i in CONTENT_LEVELS]
        )
        edges_N = losses.edge_loss(fake_NCHW, source_NCHW)
        temporal_B = losses.temporal_loss(fake_BCTHW, batch.clip_BCTHW)
        terms |= {"content": content_N.mean(), "edges": edges_N.mean(), "temporal": temporal_B.mean()}
        keep_B = self._preset_weights(batch.looks)
        keep_N = keep_B.repeat_interleave(frames)
        lab_BCN = self.oklab.from_rgb(fake_BCTHW[..., ::2, ::2].reshape(clips, 3, -1))
        terms["palette"] = losses.palette_loss(lab_BCN, batch.code_BS, self.centre_S, self.scale_S)
        weights = config.loss
        total = (
            terms["style"]
            + weights.texture_weight * terms["texture"]
            + weights.content_weight * ((keep_N * content_N).mean() + weights.edge_weight * (keep_N * edges_N).mean())
            + weights.temporal_weight * (keep_B * temporal_B).mean()
            + weights.palette_weight * terms["palette"]
            + losses.range_loss(fake_BCTHW)
        )
        if adversarial is not None:
            judged = torch.tensor(
                [clip * frames + frame % frames for clip in range(clips) for frame in JUDGED], device=self.fabric.device
            )
            with torch.no_grad():
                real_levels = self.features(batch.real_NCHW)
            evidence = _Evidence(
                real=[real_levels[level] for level in FRAME_LEVELS],
                fake=[fake_levels[level][judged] for level in FRAME_LEVELS],
                real_motion=luma_changes(_sparse(batch.clip_BCTHW).roll(1, 0)),
                fake_motion=luma_changes(_sparse(fake_BCTHW)),
                real_gaps=_sparse_gaps(batch.gaps_BT).roll(1, 0),
                fake_gaps=_sparse_gaps(batch.gaps_BT),
                code_BS=batch.code_BS,
            )
            terms |= self._judge(evidence, share, config.adversarial.gamma_at(adversarial))
            terms["adversarial"] = self._judge_fakes(evidence)
            total = total + config.adversarial.weight * terms["adversarial"]
        terms["total"] = total
        self.fabric.backward(share * total)
        return terms

    def _preset_weights(self, looks: Sequence[int]) -> Tensor:
        """How many times as much as usual must stay of each clip, (B,)."""
        of_preset = [self.bank.of_preset[look] for look in looks]
        return torch.tensor([self.config.loss.preset_keep if it else 1.0 for it in of_preset]).to(self.fabric.device)

    def _kept(self, module: Any, *inputs: Tensor) -> Any:
        """The module's output; its inner activations are thrown away and computed again where the config says so."""
        if self.config.checkpoint_activations:
            return checkpoint(module, *inputs, use_reentrant=False)
        return module(*inputs)

    def _judge(self, evidence: _Evidence, share: float, gamma: float) -> dict[str, Tensor]:
        """Gradients of L_D with both penalties: one forward of real and fake side by side."""
        levels = [
            torch.cat([r, f.detach()]).requires_grad_() for r, f in zip(evidence.real, evidence.fake, strict=True)
        ]
        motion = torch.cat([evidence.real_motion, evidence.fake_motion.detach()]).requires_grad_()
        frame_code = evidence.frame_code.repeat(2, 1)
        gaps, code = torch.cat([evidence.real_gaps, evidence.fake_gaps]), evidence.code_BS.repeat(2, 1)
        frame_logits, motion_logits = self.discriminator(levels, frame_code, motion, gaps, code)
        penalty = gradient_penalty(frame_logits, levels) + gradient_penalty(motion_logits, [motion])
        frame_loss, motion_loss = (discriminator_loss(*logits.chunk(2)) for logits in (frame_logits, motion_logits))
        self.fabric.backward(share * (frame_loss + motion_loss + gamma * penalty))
        real, fake = frame_logits.detach().chunk(2)
        return {
            "discriminator_frames": frame_loss,
            "discriminator_motion": motion_loss,
            "penalty": penalty,
            "frame_margin": (real - fake).mean(),
        }

    def _judge_fakes(self, evidence: _Evidence) -> Tensor:
        """L_G on frozen judges, outside their DDP wrapper, whose gradient bookkeeping they must not touch here."""
        judge: nn.Module = self.discriminator.module
        judge.requires_grad_(False)
        frame_code = evidence.frame_code
        fake_frame, fake_motion = judge(
            evidence.fake, frame_code, evidence.fake_motion, evidence.fake_gaps, evidence.code_BS
        )
        with torch.no_grad():
            real_frame, real_motion = judge(
                evidence.real, frame_code, evidence.real_motion, evidence.real_gaps, evidence.code_BS
            )
        judge.requires_grad_(True)
        return generator_loss(real_frame, fake_frame) + generator_loss(real_motion, fake_motion)

    def batch(self, clips: ClipSource, draws: Sequence[Draw]) -> Batch:
        """Crops of the drawn clips, each with a look and pictures of it."""
        config, device = self.config, self.fabric.device
        rngs = [draw.rng() for draw in draws]
        cut, gaps = [], []
        for draw, rng in zip(draws, rngs, strict=True):
            frames_THWC, gap = sample_frames(clips[draw.clip], config.clip_frames, rng)
            cut.append(crop(frames_THWC, config.frame_size, rng))
            gaps.append(torch.from_numpy(gap))
        looks, code_BS, real_NCHW = self._draw_looks(rngs)
        return Batch(torch.stack(cut).to(device), torch.stack(gaps).to(device), looks, code_BS, real_NCHW)

    def _draw_looks(self, rngs: Iterable[np.random.Generator]) -> tuple[list[int], Tensor, Tensor]:
        """A look for every sample: indices, codes (B, S), real pictures (B·judged, 3, H, W)."""
        indices, real = [], []
        for rng in rngs:
            look = self.bank.draw(rng, self.config.looks)
            indices.append(look)
            real += [self.bank.real(look, rng) for _ in JUDGED]
        return indices, self.bank.codes[indices], torch.cat(real).to(self.fabric.device)

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.module.state_dict(),
            "discriminator": self.discriminator.module.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer_g": self.optimizer_g.optimizer.state_dict(),
            "optimizer_d": self.optimizer_d.optimizer.state_dict(),
        }

    def digest(self) -> str:
        """SHA-256 over generator and judges; equal on all workers."""
        return weights_digest(self.generator.module, self.discriminator.module)

    def load_state(self, state: dict[str, Any]) -> None:
        self.generator.module.load_state_dict(state["generator"])
        self.discriminator.module.load_state_dict(state["discriminator"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer_g.optimizer.load_state_dict(state["optimizer_g"])
        self.optimizer_d.optimizer.load_state_dict(state["optimizer_d"])


@dataclass(frozen=True)
class _Evidence:
    """What the judges see of a batch, real and fake in pairs."""

    real: list[Tensor]
    fake: list[Tensor]
    real_motion: Tensor
    fake_motion: Tensor
    real_gaps: Tensor
    fake_gaps: Tensor
    code_BS: Tensor

    @property
    def frame_code(self) -> Tensor:
        return self.code_BS.repeat_interleave(len(JUDGED), 0)


def _frames(clip_BCTHW: Tensor) -> Tensor:
    return clip_BCTHW.transpose(1, 2).flatten(0, 1)


def _sparse(clip_BCTHW: Tensor) -> Tensor:
    return clip_BCTHW[:, :, :SPARSE_FRAMES]


def _sparse_gaps(gaps_BT: Tensor) -> Tensor:
    return gaps_BT[:, : SPARSE_FRAMES - 1]
