"""A multi-gate mixture of experts (MMoE, Ma et al., KDD 2018) over the features, with a head for each target.

Heads: click and long view (logits), watch time as log(1 + seconds) at three quantiles; the quantile head is fed the
bucket of length, so that it learns a distribution of its own for each (conditional quantile estimation, CQE). Where
the log has purchases, a conversion head learns click × purchase (ESMM, Ma et al., SIGIR 2018).
Dims: B batch, D features, E experts, H hidden, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.losses import conversion_loss, pinball_loss
from trainables.recommender.ranking.units import LENGTHS

QUANTILES = (0.25, 0.5, 0.75)
EXPERTS, HIDDEN, HEAD, EMBEDDING = 4, 64, 32, 8
BATCH = 1024
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
CLIP_DEVIATIONS = 4.0


class MixtureOfExperts(nn.Module):
    """Features (B, D), surface (B,) and length bucket (B,) → dict of click (B,), long_view (B,), watch (B, Q)."""

    def __init__(self, features: int, surfaces: int, targets: tuple[str, ...]) -> None:
        super().__init__()
        self.surface = nn.Embedding(surfaces, EMBEDDING)
        self.length = nn.Embedding(LENGTHS, EMBEDDING)
        width = features + 2 * EMBEDDING
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Dropout(0.1), nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(0.2)) for _ in range(EXPERTS)
        )
        self.gates = nn.ModuleDict({name: nn.Linear(width, EXPERTS) for name in targets})
        self.heads = nn.ModuleDict({name: _head(len(QUANTILES) if name == "watch" else 1) for name in targets})

    def forward(self, features_BD: Tensor, surface_B: Tensor, length_B: Tensor) -> dict[str, Tensor]:
        length_BH = self.length(length_B)
        input_BD = torch.cat([features_BD, self.surface(surface_B), length_BH], dim=1)
        experts_BEH = torch.stack([expert(input_BD) for expert in self.experts], dim=1)
        found = {}
        for name, head in self.heads.items():
            gate_BE = self.gates[name](input_BD).softmax(dim=1)
            mixed_BH = (gate_BE.unsqueeze(2) * experts_BEH).sum(dim=1)
            value = head(torch.cat([mixed_BH, length_BH], dim=1))
            found[name] = value if name == "watch" else value.squeeze(1)
        return found


def _head(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(HIDDEN + EMBEDDING, HEAD), nn.ReLU(), nn.Linear(HEAD, outputs))


class Network:
    """The mixture with the scaling of its input."""

    def __init__(
        self, module: MixtureOfExperts, mean_D: np.ndarray, scale_D: np.ndarray, places: tuple[int, int]
    ) -> None:
        self.module = module.eval()
        self.mean_D, self.scale_D = mean_D, scale_D
        self.places = places
        """Columns of the surface and of the bucket of length."""

    def inputs(self, values_ND: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled features, missing ones at their mean; surface and bucket of length as indices."""
        scaled = np.nan_to_num((values_ND - self.mean_D) / self.scale_D)
        scaled = np.clip(scaled, -CLIP_DEVIATIONS, CLIP_DEVIATIONS).astype(np.float32)
        surface, length = (torch.from_numpy(values_ND[:, place].astype(np.int64)) for place in self.places)
        return torch.from_numpy(scaled), surface, length

    def predict(self, values_ND: np.ndarray) -> dict[str, np.ndarray]:
        """Logits of click and long view, and the median of log(1 + watch seconds), (N,) each."""
        found: dict[str, list[np.ndarray]] = {}
        with torch.no_grad():
            for start in range(0, max(len(values_ND), 1), 16 * BATCH):
                for name, value in self.module(*self.inputs(values_ND[start : start + 16 * BATCH])).items():
                    median = value[:, QUANTILES.index(0.5)] if name == "watch" else value
                    found.setdefault(name, []).append(median.numpy().astype(np.float64))
        return {name: np.concatenate(parts) for name, parts in found.items()}


def fit_network(
    values_ND: np.ndarray,
    targets: dict[str, np.ndarray],
    places: tuple[int, int],
    surfaces: int,
    config: RankerConfig,
    on_epoch: Callable[[int], None] = lambda done: None,
) -> Network:
    """Train with a plain loop; the same seed gives the same network. `targets` are click, long_view, watch
    (log(1 + seconds)) and, where there are any, purchase."""
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        mean_D = np.nan_to_num(np.nanmean(values_ND, axis=0))
        scale_D = np.nan_to_num(np.nanstd(values_ND, axis=0))
        scale_D[scale_D < 1e-6] = 1.0
        module = MixtureOfExperts(values_ND.shape[1], surfaces, tuple(targets))
        network = Network(module, mean_D, scale_D, places)
        steps = config.network_epochs * -(-len(values_ND) // BATCH)
        optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE * 2, total_steps=steps + 1)
        trained, optimizer = fabric.setup(module, optimizer)
        trained.train()
        wanted = {name: torch.from_numpy(values.astype(np.float32)) for name, values in targets.items()}
        for epoch in range(config.network_epochs):
            for rows in torch.randperm(len(values_ND)).split(BATCH):
                said = trained(*network.inputs(values_ND[rows.numpy()]))
                loss = _loss(said, {name: values[rows] for name, values in wanted.items()})
                optimizer.zero_grad()
                fabric.backward(loss)
                optimizer.step()
                schedule.step()
            on_epoch(epoch + 1)
        module.eval()
    return network


def _loss(said: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    loss = pinball_loss(said["watch"], wanted["watch"], QUANTILES)
    for name in ("click", "long_view"):
        loss = loss + F.binary_cross_entropy_with_logits(said[name], wanted[name])
    if "purchase" in wanted:
        loss = loss + conversion_loss(said["click"], said["purchase"], wanted["purchase"])
    return loss
