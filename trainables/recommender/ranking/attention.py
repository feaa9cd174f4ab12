"""What of a viewer's latest events bears on a product: attention as in DIN (Zhou et al., KDD 2018, arXiv 1706.06978).

Each event is weighed by a small network that sees the product, the event's product, how it went and how long ago it
was; weights are not normalised, so that many events that bear on the product say more than one.
Dims: B batch, L events, V directions of product vectors, P projected directions, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.recommender.ranking.latest import KINDS, NOTHING, SHOWN, WATCHED_LONG

PROJECTED, KIND, HEADS, HIDDEN = 24, 8, 2, 32
AGE_UNIT = 3.0
"""Of log(1 + hours): a day."""
AFFINITIES = 3
OUTPUT = HEADS * (PROJECTED + KIND + 1) + 2 * PROJECTED + AFFINITIES


@dataclass(frozen=True)
class Seen:
    """Product vectors (B, V), those of the events (B, L, V), kinds int64 (B, L), ages (B, L)."""

    product_BV: Tensor
    event_BLV: Tensor
    kind_BL: Tensor
    age_BL: Tensor

    def double(self) -> Seen:
        """The same in double precision."""
        return Seen(self.product_BV.double(), self.event_BLV.double(), self.kind_BL, self.age_BL.double())


class Attention(nn.Module):
    """Latest events → what they say about the product, (B, OUTPUT)."""

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.project = nn.Linear(directions, PROJECTED)
        self.kind = nn.Embedding(KINDS, KIND, padding_idx=NOTHING)
        # One layer over event, product and their product, in three parts: the product's is the same for all events.
        self.of_event = nn.Linear(PROJECTED + KIND + 2, HIDDEN)
        self.of_product = nn.Linear(PROJECTED, HIDDEN, bias=False)
        self.of_both = nn.Linear(PROJECTED, HIDDEN, bias=False)
        self.weigh = nn.Linear(HIDDEN, HEADS)

    def forward(self, seen: Seen) -> Tensor:
        there_BL1 = (seen.kind_BL != NOTHING).to(seen.age_BL).unsqueeze(2)
        long_BL = (seen.kind_BL == WATCHED_LONG) | (seen.kind_BL >= SHOWN + 2)
        likeness_BL = torch.bmm(seen.event_BLV, seen.product_BV.unsqueeze(2)).squeeze(2)
        event_BLP, product_BP = self.project(seen.event_BLV), self.project(seen.product_BV)
        values_BLD = torch.cat([event_BLP, self.kind(seen.kind_BL), likeness_BL.unsqueeze(2)], 2)
        hidden_BLH = self.of_event(torch.cat([values_BLD, seen.age_BL.unsqueeze(2) / AGE_UNIT], 2))
        hidden_BLH = hidden_BLH + self.of_product(product_BP).unsqueeze(1)
        hidden_BLH = hidden_BLH + self.of_both(event_BLP * product_BP.unsqueeze(1))
        weight_BLH = self.weigh(hidden_BLH.relu()).sigmoid() * there_BL1
        found_BHD = torch.bmm(weight_BLH.transpose(1, 2), values_BLD) / seen.kind_BL.shape[1] ** 0.5
        # An event that is not there has vector 0, so its likeness is 0.
        affinity = [(likeness_BL * long_BL).sum(1) / 5, likeness_BL.sum(1) / 10, likeness_BL.amax(1)]
        met_BP = found_BHD[:, 0, :PROJECTED] * product_BP
        return torch.cat([found_BHD.flatten(1), product_BP, met_BP, torch.stack(affinity, 1)], 1)
