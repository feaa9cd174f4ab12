"""Losses of the ranker's network. Dims: B batch, Q quantiles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pinball_loss(said_BQ: Tensor, seen_B: Tensor, quantiles: tuple[float, ...]) -> Tensor:
    """Mean over batch and quantiles of max(q · e, (q − 1) · e), e = seen − said; at q = ½ half the absolute error."""
    error_BQ = seen_B.unsqueeze(1) - said_BQ
    q = torch.tensor(quantiles, dtype=said_BQ.dtype)
    return torch.maximum(q * error_BQ, (q - 1) * error_BQ).mean()


def conversion_loss(click_logit_B: Tensor, purchase_logit_B: Tensor, bought_B: Tensor) -> Tensor:
    """Log-loss of p(click) · p(purchase | click) against purchases over all impressions (ESMM)."""
    log_chance_B = F.logsigmoid(click_logit_B) + F.logsigmoid(purchase_logit_B)
    chance_B = log_chance_B.exp().clamp(max=1 - 1e-6)
    return -(bought_B * log_chance_B + (1 - bought_B) * torch.log1p(-chance_B)).mean()
