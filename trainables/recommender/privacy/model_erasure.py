"""A trained recommender without some viewers, equal to one trained on a log they were never in.

It is trained anew on what is left of the log, with the settings and the end of the training that made the model: not
all that training makes is a sum over viewers. The item-item matrix and popularity are: erasure.py downdates them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from trainables.recommender.model import ItemModel
from trainables.recommender.train import TrainingData, rebuild


def without_viewers(data: TrainingData, viewers: Collection[str]) -> TrainingData:
    """The same data without some viewers (pseudonyms)."""
    names = pa.array(sorted(viewers), pa.string())
    known = data.viewers
    return replace(
        data,
        events=data.events.filter(pc.invert(pc.is_in(data.events["viewer_id"], value_set=names))),
        viewers=None if known is None else known.filter(pc.invert(pc.is_in(known["viewer_id"], value_set=names))),
    )


def erased_model(model: ItemModel, data: TrainingData, viewers: Collection[str]) -> ItemModel:
    """The model without some viewers; `data` still holds them or does not any more, the result is the same."""
    return rebuild(model, without_viewers(data, viewers), model.trained_until_ms)
