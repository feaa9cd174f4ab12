"""One object owns finisher, judge, average and both optimisers; one method is one update.

Two kinds of sample a step: damaged pictures, whose answer is known (reconstruction, from the first step on), and
drafts, which only the judge can tell from pictures (adversarial, later).
Dims: N samples, C = 3 channels, H height, W width, Z noise channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor

from trainables.generator.adversarial import discriminator_loss, generator_loss, gradient_penalty
from trainables.generator.ema import Ema
from trainables.generator.features import FrozenFeatures
from trainables.generator.generate.config import GenerateTrainConfig
from trainables.generator.generate.damage import damaged
from trainables.generator.generate.draft import Drafter, Wish, with_rare_kinds_together
from trainables.generator.generate.judges import Judge
from trainables.generator.generate.layers import soften, to_tensors
from trainables.generator.generate.memory import Memory, fit, learn
from trainables.generator.generate.network import Finisher
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
    """One worker's share of a step, crops of pictures at the side of exemplars."""

    damaged_NCHW: Tensor
    damaged_matte_N1HW: Tensor
    answer_NCHW: Tensor
    draft_NCHW: Tensor
    draft_matte_N1HW: Tensor
    real_NCHW: Tensor
    """Frames of training clips, for the judge."""


class GenerateUpdates:
    """The networks and their updates; `state` and `load_state` hold everything a resumed run needs."""

    def __init__(
        self,
        config: GenerateTrainConfig,
        fabric: Fabric,
        start: tuple[dict[str, Tensor], Memory] | None = None,
    ) -> None:
        """`start` holds weights of a finisher of the same size, and its memory."""
        self.config, self.fabric = config, fabric
        torch.manual_seed(config.seed)
        finisher, judge = Finisher(config.network), Judge(config.judge)
        if start is not None:
            load_start(finisher, start[0])
            finisher.memory = start[1]
        optimizer_g = make_optimizer(finisher, config.optimizer, config.optimizer.learning_rate)
        optimizer_d = make_optimizer(judge, config.optimizer, config.optimizer.discriminator_learning_rate)
        self.ema = Ema(finisher.to(fabric.device), half_life=config.ema.half_life, warm_up=config.ema.warm_up)
        self.generator, self.optimizer_g = fabric.setup(finisher, optimizer_g)
        self.judge, self.optimizer_d = fabric.setup(judge, optimizer_d)
        self.features = FrozenFeatures().to(fabric.device)
        self.bank: _Bank | None = None
        self._learned = not config.memory.learn

    def batch(self, clips: ClipSource, draws: Sequence[Draw]) -> Batch:
        """Crops of damaged pictures, drafts and frames. The first call learns the clips and draws the drafts."""
        if not self._learned:
            self._remember(self._learn(clips))
        if self.bank is None:
            self.bank = _Bank(self._memory(), self.config.memory.drafts, self.config.seed)
            self.features.calibrate(self.bank.answers[:64].to(self.fabric.device).float() / 127.5 - 1)
        size, parts = self.config.frame_size, []
        for draw in draws:
            rng = draw.rng()
            one, other = rng.integers(0, self.config.memory.drafts, 2)
            clip = clips[draw.clip]
            frame = torch.tensor(fit(clip[rng.integers(0, len(clip), 1)][0])).permute(2, 0, 1)
            bank = self.bank
            damaged_part = _window(rng, size, bank.damaged[one], bank.damaged_mattes[one], bank.answers[one])
            draft_part = _window(rng, size, bank.drafts[other], bank.draft_mattes[other])
            parts.append((*damaged_part, *draft_part, *_window(rng, size, frame)))
        stacked = [torch.stack(column).float() for column in zip(*parts, strict=True)]
        scaled = [v / 255 if v.shape[1] == 1 else v / 127.5 - 1 for v in stacked]
        return Batch(*(value.to(self.fabric.device) for value in scaled))

    def step(self, step: int, batch: Batch) -> dict[str, float]:
        """One update of the judge (once it speaks) and of the finisher; `step` counts from 0."""
        config, progress = self.config, step / self.config.steps
        set_rate(self.optimizer_g, config.optimizer, config.optimizer.learning_rate, progress)
        set_rate(self.optimizer_d, config.optimizer, config.optimizer.discriminator_learning_rate, progress)
        adversarial = config.adversarial.weight > 0 and progress >= config.adversarial.start
        count = len(batch.damaged_NCHW)
        drafts, mattes = batch.damaged_NCHW, batch.damaged_matte_N1HW
        if adversarial:
            drafts, mattes = torch.cat([drafts, batch.draft_NCHW]), torch.cat([mattes, batch.draft_matte_N1HW])
        noise = torch.randn(len(drafts), config.network.noise, drafts.shape[2] // 2, drafts.shape[3] // 2)
        finished = self.generator(drafts, mattes, noise.to(drafts.device)).float()
        levels = self.features(finished)
        with torch.no_grad():
            answer_levels = self.features(batch.answer_NCHW)
        terms: dict[str, Tensor] = {}
        if adversarial:
            fake = [maps[count:] for maps in levels]
            with torch.no_grad():
                real = self.features(batch.real_NCHW)
            terms |= self._update_judge(real, fake, config.adversarial.gamma_at(progress))
        terms["pixels"] = F.l1_loss(finished[:count], batch.answer_NCHW)
        terms["perceptual"] = torch.stack(
            [F.l1_loss(maps[:count], answer) for maps, answer in zip(levels, answer_levels, strict=True)]
        ).mean()
        total = terms["pixels"] + config.loss.perceptual * terms["perceptual"]
        if adversarial:
            terms["keep"] = F.l1_loss(soften(finished[count:], 2), soften(batch.draft_NCHW, 2))
            terms["adversarial"] = self._judge_fakes(real, fake)
            total = total + config.loss.keep * terms["keep"] + config.adversarial.weight * terms["adversarial"]
        terms["total"] = total
        means = checked_means(self.fabric, terms, step, config.optimizer)
        self.optimizer_g.zero_grad()
        self.fabric.backward(total)
        norm = clipped_step(self.fabric, self.generator, self.optimizer_g, config.optimizer, step)
        self.ema.update(self.generator.module, step * config.batch_size, config.batch_size)
        return {f"loss/{name}": value for name, value in means.items()} | {
            "gradient_norm": norm,
            "learning_rate": self.optimizer_g.param_groups[0]["lr"],
        }

    def _update_judge(self, real: list[Tensor], fake: list[Tensor], gamma: float) -> dict[str, Tensor]:
        """One forward of real and fake side by side, then L_D with both penalties."""
        levels = [torch.cat([r, f.detach()]).requires_grad_() for r, f in zip(real, fake, strict=True)]
        logits = self.judge(levels)
        penalty = gradient_penalty(logits, levels)
        loss = discriminator_loss(*logits.chunk(2))
        self.optimizer_d.zero_grad()
        self.fabric.backward(loss + gamma * penalty)
        self.fabric.clip_gradients(
            self.judge, self.optimizer_d, max_norm=self.config.optimizer.clip_norm, error_if_nonfinite=False
        )
        self.optimizer_d.step()
        on_real, on_fake = logits.detach().chunk(2)
        return {"judge": loss.detach(), "penalty": penalty.detach(), "margin": (on_real - on_fake).mean()}

    def _judge_fakes(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        """L_G on a frozen judge, outside its DDP wrapper, whose gradient bookkeeping it must not touch here."""
        judge = self.judge.module
        judge.requires_grad_(False)
        on_fake = judge(fake)
        with torch.no_grad():
            on_real = judge(real)
        judge.requires_grad_(True)
        return generator_loss(on_real, on_fake)

    def _learn(self, clips: ClipSource) -> Memory:
        """What was known, and the clips of all workers."""
        own, parts = learn(clips), [None] * self.fabric.world_size
        if self.fabric.world_size > 1:
            torch.distributed.all_gather_object(parts, own.tensors())
            others = [Memory.from_tensors(tensors) for tensors in parts]
        else:
            others = [own]
        most = self.config.memory.stills, self.config.memory.spins
        return Memory.enlarged(self._memory(), with_rare_kinds_together(Memory.merged(others, *most)), *most)

    def _memory(self) -> Memory:
        return self.generator.module.memory

    def _remember(self, memory: Memory) -> None:
        self.generator.module.memory = self.ema.module.memory = memory
        self._learned = True

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.module.state_dict(),
            "judge": self.judge.module.state_dict(),
            "ema": self.ema.module.state_dict(),
            "memory": self._memory().tensors(),
            "optimizer_g": self.optimizer_g.optimizer.state_dict(),
            "optimizer_d": self.optimizer_d.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.generator.module.load_state_dict(state["generator"])
        self.judge.module.load_state_dict(state["judge"])
        self.ema.module.load_state_dict(state["ema"])
        self._remember(Memory.from_tensors(state["memory"]))
        self.optimizer_g.optimizer.load_state_dict(state["optimizer_g"])
        self.optimizer_d.optimizer.load_state_dict(state["optimizer_d"])

    def digest(self) -> str:
        """SHA-256 over finisher and judge; equal on all workers."""
        return weights_digest(self.generator.module, self.judge.module)


class _Bank:
    """Drafts and damaged pictures, drawn once, uint8 (N, C, H, W): a draft costs as much as a step."""

    def __init__(self, memory: Memory, count: int, seed: int) -> None:
        drafter = Drafter(memory)
        drafts, broken, answers = [], [], []
        for number in range(count):
            rng = np.random.default_rng((seed, 3, number))
            draft = drafter.draft(rng, drafter.choose(rng), Wish(), frames=1)
            drafts.append((draft.rgb_NCHW[0], draft.matte_N1HW[0]))
            picture, matte = to_tensors(*drafter.picture(rng))
            answers.append(picture[0])
            broken.append(tuple(value[0] for value in damaged(rng, picture, matte)))
        self.drafts, self.draft_mattes = _bytes(drafts)
        self.damaged, self.damaged_mattes = _bytes(broken)
        self.answers = ((torch.stack(answers) + 1) * 127.5).round().to(torch.uint8)


def _bytes(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    rgb, matte = (torch.stack(column) for column in zip(*pairs, strict=True))
    return ((rgb.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8), (matte * 255).round().to(torch.uint8)


def _window(rng: np.random.Generator, size: int, *maps: Tensor) -> tuple[Tensor, ...]:
    """The same square of maps (…, H, W) of one size, mirrored half the time; whole where they are no larger."""
    height, width = maps[0].shape[-2:]
    top, left = (int(rng.integers(0, max(side - size, 0) + 1)) for side in (height, width))
    cut = [value[..., top : top + size, left : left + size] for value in maps]
    return tuple(value.flip(-1) for value in cut) if rng.random() < 0.5 else tuple(cut)
