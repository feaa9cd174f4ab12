"""The adversarial objective, whole: relativistic pairing with exact zero-centred penalties (R3GAN, arXiv 2501.05441).

L_D = softplus(−(D(r) − D(f))) + γ/2·(‖∇_r D‖² + ‖∇_f D‖²),  L_G = softplus(−(D(f) − D(r))).
The penalties are taken where the trainable part begins: for the frame judge that is its frozen features (a penalty on
pixels would mostly measure the frozen trunk, which cannot answer), for the motion judge the luma changes. Always fp32.
Dims: B samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """When and how strongly the judges speak."""

    weight: float = 0.15
    """Weight of the adversarial loss in the generator's sum, ≥ 0; 0 trains without judges."""
    start: float = 0.3
    """Share of the steps trained on reconstruction and style alone, 0…1."""
    gamma: float = 1.0
    """Weight of R1 and R2 at the first adversarial step, ≥ 0."""
    gamma_end: float = 0.1
    """The same at the last step, ≥ 0; falls geometrically between (linearly where one of them is 0)."""

    def __post_init__(self) -> None:
        for name in ("weight", "gamma", "gamma_end"):
            if getattr(self, name) < 0:
                raise ValueError(f"adversarial.{name} is {getattr(self, name)}; set it to 0 (off) or above")
        if not 0 <= self.start <= 1:
            raise ValueError(f"adversarial.start is {self.start}; set it between 0 and 1")

    def gamma_at(self, progress: float) -> float:
        """γ for a share of the training done, 0…1."""
        share = min(max((progress - self.start) / max(1 - self.start, 1e-9), 0.0), 1.0)
        if min(self.gamma, self.gamma_end) > 0:
            return self.gamma * (self.gamma_end / self.gamma) ** share
        return self.gamma + share * (self.gamma_end - self.gamma)


def discriminator_loss(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """softplus(−(D(r) − D(f))), mean over pairs."""
    return F.softplus(fake_B - real_B).mean()


def generator_loss(real_B: Tensor, fake_B: Tensor) -> Tensor:
    """softplus(−(D(f) − D(r))), mean over pairs."""
    return F.softplus(real_B - fake_B).mean()


def gradient_penalty(logits_B: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """Mean over samples of ‖∂D/∂input‖², summed over inputs. With as many real as fake samples side by side in the
    batch this is (R1 + R2)/2, so γ times it is the penalty of L_D.
    """
    gradients = torch.autograd.grad(logits_B.sum(), inputs, create_graph=True)
    squares = [gradient.float().square().flatten(1).sum(1) for gradient in gradients]
    return torch.stack(squares).sum(0).mean()
