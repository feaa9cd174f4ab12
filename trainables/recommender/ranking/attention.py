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


class Attention(nn.Module):
    """Latest events → what they say about the product, (B, OUTPUT)."""

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.project = nn.Linear(directions, PROJECTED)
        self.kind = nn.Embedding(KINDS, KIND, padding_idx=NOTHING)
        self.weigh = nn.Sequential(nn.Linear(4 * PROJECTED + KIND + 2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HEADS))

    def forward(self, seen: Seen) -> Tensor:
        there_BL1 = (seen.kind_BL != NOTHING).to(seen.age_BL).unsqueeze(2)
        long_BL = (seen.kind_BL == WATCHED_LONG) | (seen.kind_BL >= SHOWN + 2)
        likeness_BL = torch.einsum("blv,bv->bl", seen.event_BLV, seen.product_BV)
        likeness_BL1 = likeness_BL.unsqueeze(2)
        event_BLP, product_BP = self.project(seen.event_BLV), self.project(seen.product_BV)
        product_BLP = product_BP.unsqueeze(1).expand_as(event_BLP)
        pair = [product_BLP, event_BLP, product_BLP - event_BLP, product_BLP * event_BLP]
        said_of_event = [self.kind(seen.kind_BL), likeness_BL1]
        looked_at = torch.cat([*pair, *said_of_event, seen.age_BL.unsqueeze(2) / AGE_UNIT], 2)
        weight_BLH = self.weigh(looked_at).sigmoid() * there_BL1
        values_BLD = torch.cat([event_BLP, *said_of_event], 2)
        found_BHD = torch.einsum("blh,bld->bhd", weight_BLH, values_BLD) / seen.kind_BL.shape[1] ** 0.5
        # An event that is not there has vector 0, so its likeness is 0.
        affinity = [(likeness_BL * long_BL).sum(1) / 5, likeness_BL.sum(1) / 10, likeness_BL.amax(1)]
        met_BP = found_BHD[:, 0, :PROJECTED] * product_BP
        return torch.cat([found_BHD.flatten(1), product_BP, met_BP, torch.stack(affinity, 1)], 1)
