"""Settings of the impression ranker; they travel with its bundle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RankerConfig:
    """How the ranker counts the past and learns from it."""

    enabled: bool = True
    """False: a recommender without a ranker."""
    least_impressions: int = 2000
    """Impressions with which a ranker is trained at all, ≥ 100."""
    most_impressions: int = 1_000_000
    """The newest impressions that are learned from, ≥ `least_impressions`; older ones only count in statistics."""
    longest_lag_days: int = 2
    """Days, 0…30. Impressions are often scored days after the newest outcome: statistics of a training row end at the
    start of its day or up to this many days before, so that the ranker learns how far to trust old ones."""
    half_life_days: float = 2.0
    """Days, > 0: of the counters that follow a trend; the others never forget."""
    validation_share: float = 0.22
    """Share of the impressions, the newest, on which rounds, blend and calibration are chosen; above 0, at most 0.5."""
    learning_rate: float = 0.05
    """Of boosting; above 0, at most 1."""
    leaves: int = 31
    """Leaves of a tree, ≥ 2."""
    most_rounds: int = 320
    """Trees a target at most, ≥ 1."""
    leaf_impressions: int = 100
    """Impressions a leaf stands for at least, ≥ 1."""
    rank_share: float = 0.5
    """Weight of the mean rank beside the median in the watch time, 0…1: more orders better, guesses a little worse."""
    network: bool = True
    """False: boosting alone."""
    networks: int = 3
    """Networks trained from different seeds, ≥ 1; their mean is used."""
    network_epochs: int = 4
    """Passes of each network over the training rows, ≥ 1."""
    threads: int = 2
    """Threads of boosting and of the networks' training, ≥ 1."""
    seed: int = 0
    """Of sampling, lags and initial weights."""

    def __post_init__(self) -> None:
        at_least = {
            "least_impressions": 100, "most_impressions": self.least_impressions, "leaves": 2, "most_rounds": 1,
            "leaf_impressions": 1, "networks": 1, "network_epochs": 1, "threads": 1,
        }  # fmt: skip
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"ranker.{name} is {getattr(self, name)}; set {least} or more")
        if not 0 <= self.longest_lag_days <= 30:
            raise ValueError(f"ranker.longest_lag_days is {self.longest_lag_days}; set 0 to 30")
        if not 0 <= self.rank_share <= 1:
            raise ValueError(f"ranker.rank_share is {self.rank_share}; set 0 to 1")
        if not self.half_life_days > 0:
            raise ValueError(f"ranker.half_life_days is {self.half_life_days}; set a value above 0")
        if not 0 < self.validation_share <= 0.5:
            raise ValueError(f"ranker.validation_share is {self.validation_share}; set above 0, at most 0.5")
        if not 0 < self.learning_rate <= 1:
            raise ValueError(f"ranker.learning_rate is {self.learning_rate}; set above 0, at most 1")
