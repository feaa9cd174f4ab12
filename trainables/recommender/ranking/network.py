"""Multi-gate mixtures of experts (MMoE, Ma et al., KDD 2018) over the features and over what attention finds in the
viewer's latest events, with a head for each target; the mean of a few of them, trained alike from other seeds.

Heads: click and long view (logits), watch time as log(1 + seconds) at three quantiles and as its rank among all (logit
of 0…1); the heads are fed the bucket of length, so that they learn a distribution of their own for each (conditional
quantile estimation, CQE). Where the log has purchases, a conversion head learns click × purchase (ESMM, Ma et al.,
SIGIR 2018).
Dims: N rows, B batch, D features, E experts, H hidden, Q quantiles, n products, V directions of product vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.recommender.ranking.attention import OUTPUT, Attention, Seen
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.features import Asked
from trainables.recommender.ranking.losses import conversion_loss, pinball_loss
from trainables.recommender.ranking.units import LENGTHS

QUANTILES = (0.25, 0.5, 0.75)
EXPERTS, HIDDEN, HEAD, EMBEDDING = 4, 64, 32, 8
BATCH, STEPS_AN_EPOCH = 1024, 10
"""Rows a step; fewer where the log is so small that an epoch would have fewer steps than that."""
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
CLIP_DEVIATIONS = 4.0


@dataclass(frozen=True)
class Inputs:
    """A batch: scaled features (B, D), surface and bucket of length (B,), and what attention looks at, if anything."""

    features_BD: Tensor
    surface_B: Tensor
    length_B: Tensor
    seen: Seen | None

    def double(self) -> Inputs:
        """The same in double precision."""
        seen = None if self.seen is None else self.seen.double()
        return replace(self, features_BD=self.features_BD.double(), seen=seen)


class MixtureOfExperts(nn.Module):
    """A batch → dict of click, long_view, rank, purchase (B,), watch (B, Q); without `directions` no attention."""

    def __init__(self, features: int, surfaces: int, targets: tuple[str, ...], directions: int = 0) -> None:
        super().__init__()
        self.surface = nn.Embedding(surfaces, EMBEDDING)
        self.length = nn.Embedding(LENGTHS, EMBEDDING)
        self.attention = Attention(directions) if directions else None
        width = features + 2 * EMBEDDING + (OUTPUT if directions else 0)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Dropout(0.1), nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(0.2)) for _ in range(EXPERTS)
        )
        self.gates = nn.ModuleDict({name: nn.Linear(width, EXPERTS) for name in targets})
        self.heads = nn.ModuleDict({name: _head(len(QUANTILES) if name == "watch" else 1) for name in targets})

    def forward(self, batch: Inputs) -> dict[str, Tensor]:
        length_BH = self.length(batch.length_B)
        parts = [batch.features_BD, self.surface(batch.surface_B), length_BH]
        if self.attention is not None:
            parts.append(self.attention(batch.seen))
        input_BD = torch.cat(parts, dim=1)
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


@dataclass(frozen=True)
class Network:
    """The mixtures with the scaling of their input and the vectors of products."""

    modules: tuple[MixtureOfExperts, ...]
    """In double precision; trained and kept in single."""
    mean_D: np.ndarray
    scale_D: np.ndarray
    places: tuple[int, int]
    """Columns of the surface and of the bucket of length."""
    vectors_nV: np.ndarray | None
    """None: no attention."""

    def inputs(self, asked: Asked) -> Inputs:
        """Missing features are at their mean; an unknown product has vector 0."""
        values_ND = asked.table.values_ND
        scaled = np.nan_to_num((values_ND - self.mean_D) / self.scale_D)
        scaled = np.clip(scaled, -CLIP_DEVIATIONS, CLIP_DEVIATIONS).astype(np.float32)
        surface, length = (torch.from_numpy(values_ND[:, place].astype(np.int64)) for place in self.places)
        return Inputs(torch.from_numpy(scaled), surface, length, self._seen(asked))

    def _seen(self, asked: Asked) -> Seen | None:
        if self.vectors_nV is None:
            return None
        latest = asked.latest()
        return Seen(
            torch.from_numpy(_rows(self.vectors_nV, asked.product_N)),
            torch.from_numpy(_rows(self.vectors_nV, latest.product_NL)),
            torch.from_numpy(latest.kind_NL),
            torch.from_numpy(latest.age_NL.astype(np.float32)),
        )

    def predict(self, asked: Asked) -> dict[str, np.ndarray]:
        """Logits of click and long view, the median of log(1 + watch seconds) and its rank 0…1, (N,) each: means over
        the mixtures."""
        found: dict[str, list[np.ndarray]] = {}
        with torch.no_grad():
            for start in range(0, max(len(asked), 1), 4 * BATCH):
                batch = self.inputs(asked.take(np.arange(start, min(start + 4 * BATCH, len(asked))))).double()
                said = [module(batch) for module in self.modules]
                for name in said[0]:
                    mean = torch.stack([_point(name, one[name]) for one in said]).mean(0)
                    # A matrix product rounds a row by where it stands in its batch. Computed in double precision and
                    # kept in single, a row's score is the same whatever stands beside it.
                    found.setdefault(name, []).append(mean.float().numpy().astype(np.float64))
        return {name: np.concatenate(parts) for name, parts in found.items()}


def fit_network(
    asked: Asked,
    targets: dict[str, np.ndarray],
    places: tuple[int, int],
    surfaces: int,
    vectors_nV: np.ndarray | None,
    config: RankerConfig,
    on_epoch: Callable[[int], None] = lambda done: None,
) -> Network:
    """Train with a plain loop; the same seed gives the same network. `targets` are click, long_view, watch
    (log(1 + seconds)), rank (0…1) and, where there are any, purchase."""
    values_ND = asked.table.values_ND
    mean_D = np.nan_to_num(np.nanmean(values_ND, axis=0))
    scale_D = np.nan_to_num(np.nanstd(values_ND, axis=0))
    scale_D[scale_D < 1e-6] = 1.0
    directions = 0 if vectors_nV is None else vectors_nV.shape[1]
    modules = []
    for number in range(config.networks):
        with torch.random.fork_rng(devices=[]), _threads(config.threads):
            torch.manual_seed(config.seed + number)
            modules.append(MixtureOfExperts(values_ND.shape[1], surfaces, tuple(targets), directions))
            network = Network((modules[-1],), mean_D, scale_D, places, vectors_nV)
            _fit(network, asked, targets, config, on_epoch)
    return Network(tuple(modules), mean_D, scale_D, places, vectors_nV)


def _fit(
    network: Network,
    asked: Asked,
    targets: dict[str, np.ndarray],
    config: RankerConfig,
    on_epoch: Callable[[int], None],
) -> None:
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    (module,) = network.modules
    batch = min(max(len(asked) // STEPS_AN_EPOCH, 1), BATCH)
    steps = config.network_epochs * -(-len(asked) // batch)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE * 2, total_steps=steps + 1)
    trained, optimizer = fabric.setup(module, optimizer)
    trained.train()
    wanted = {name: torch.from_numpy(values.astype(np.float32)) for name, values in targets.items()}
    for epoch in range(config.network_epochs):
        for rows in torch.randperm(len(asked)).split(batch):
            said = trained(network.inputs(asked.take(rows.numpy())))
            loss = _loss(said, {name: values[rows] for name, values in wanted.items()})
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            schedule.step()
        on_epoch(epoch + 1)
    module.eval().double()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loss(said: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    loss = pinball_loss(said["watch"], wanted["watch"], QUANTILES)
    for name in ("click", "long_view", "rank"):
        loss = loss + F.binary_cross_entropy_with_logits(said[name], wanted[name])
    if "purchase" in wanted:
        loss = loss + conversion_loss(said["click"], said["purchase"], wanted["purchase"])
    return loss


def _point(name: str, value: Tensor) -> Tensor:
    if name == "watch":
        return value[:, QUANTILES.index(0.5)]
    return value.sigmoid() if name == "rank" else value


def _rows(vectors_nV: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Vectors at places, 0 at −1."""
    return np.where((places >= 0)[..., None], vectors_nV[places], np.float32(0))
