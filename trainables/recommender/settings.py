"""Settings of the whole recommender; they travel with its bundle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainables.recommender.cold.alignment import AlignmentConfig
from trainables.recommender.content import ContentConfig
from trainables.recommender.ease import EaseConfig
from trainables.recommender.feedback import FeedbackConfig
from trainables.recommender.learn_config import LearnConfig
from trainables.recommender.popularity import PopularityConfig
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.retrieval.sparse_item_item import SparseConfig


@dataclass(frozen=True, kw_only=True)
class RecommenderTrainConfig:
    """How the parts are trained and added up; scores are in units of feedback (1 = one watch to the end)."""

    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)
    ease: EaseConfig = field(default_factory=EaseConfig)
    popularity: PopularityConfig = field(default_factory=PopularityConfig)
    content: ContentConfig = field(default_factory=ContentConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    history_half_life_days: float = 10.0
    """Days, > 0: when recommending, feedback this old counts half."""
    taste_half_life_days: float = 30.0
    """Days, > 0: for the look, a finished watch this much older than the newest counts half."""
    popularity_weight: float = 0.02
    """Score of the most popular product for everybody, ≥ 0: what is added to a personal score."""
    sparse: SparseConfig = field(default_factory=SparseConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    content_weight: float = 1.0
    """≥ 0; at 1, similarities of unknown products spread as widely as item-item weights of known ones."""
    content_prior_viewers: float = 5.0
    """Viewers, > 0: a product with this many viewers is judged half by its content, with many more hardly at all."""

    def __post_init__(self) -> None:
        for name in ("history_half_life_days", "taste_half_life_days", "content_prior_viewers"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; set a value above 0")
        for name in ("popularity_weight", "content_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; set a value of 0 or more")
