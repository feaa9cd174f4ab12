"""A contextual Thompson sampler over styles whose prior is the viewer's taste.

The reward of showing style s to a viewer with context x (D numbers) is taken as r = x·w_s + noise of variance ν, with
w_s ~ N(m_s, τ² I) before any event. All that events teach is kept in sums, A_s = Σ x xᵀ and b_s = Σ x (r − x·m_s):

    Λ_s = I/τ² + A_s/ν,    E w_s = m_s + Λ_s⁻¹ b_s/ν,    Cov w_s = Λ_s⁻¹           (Agrawal & Goyal, ICML 2013)

Sums of two samplers add, whatever order events came in, so replicas and days merge exactly. The context is
[1, weight of each style in the viewer's look] (`taste.Look.weights`), and m_s says what the look alone suggests: the
usual reward, plus `lean` where the viewer's weights are all on s. A linear model of a 0/1 reward is wrong in its tails
and right in its mean near the usual rates; its posterior is exact and costs O(D²) an event.

A choice samples every style's expected reward, x·w_s, and shows the largest, save for a share `explore` of choices at
random. Those rewards are independent normals, so the probability of each choice, its propensity, is an integral over
one variable and is computed, not simulated: ∫ φ_s(t) Π_{r≠s} Φ_r(t) dt.

Dims: S styles, D = 1 + S numbers of a context.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.special import ndtr

from cluster.errors import InputError

NEAR = np.linspace(-6, 6, 49)
"""Points of the integral around each style's mean, in its deviations."""


@dataclass(frozen=True, kw_only=True)
class BanditConfig:
    """What is believed before the first event, and how much is explored."""

    usual_reward: float = 0.3
    """Expected reward of any style for anybody, e.g. the share of clips watched to the end; any finite number."""
    lean: float = 0.1
    """What a style that a viewer's look consists of is expected to bring on top, ≥ 0."""
    prior_deviation: float = 0.15
    """τ, > 0: how far a style's true reward may lie from that."""
    noise_variance: float = 0.25
    """ν, > 0: of a single reward; 0.25 is the most that a reward of 0 or 1 can have."""
    explore: float = 0.05
    """Share of choices at random, 0…1. No propensity is below explore / styles."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.usual_reward):
            raise ValueError(f"bandit.usual_reward is {self.usual_reward}; set a number, e.g. 0.3")
        if not 0 <= self.lean < np.inf:
            raise ValueError(f"bandit.lean is {self.lean}; set 0 or more, e.g. 0.1")
        for name in ("prior_deviation", "noise_variance"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"bandit.{name} is {getattr(self, name)}; set a value above 0")
        if not 0 <= self.explore <= 1:
            raise ValueError(f"bandit.explore is {self.explore}; set 0…1, e.g. 0.05")


@dataclass(frozen=True)
class Choice:
    """One decision. Log all of it with the impression: `update` and off-policy estimates need it."""

    style: str
    propensity: float
    """Probability with which this style was chosen."""
    propensities: dict[str, float]
    """Of every style; they sum to 1."""
    context_D: np.ndarray


class LookBandit:
    """The sampler; not thread-safe while it is updated."""

    def __init__(self, styles: Sequence[str], config: BanditConfig) -> None:
        if len(styles) < 1 or len(set(styles)) != len(styles):
            raise InputError(f"a bandit needs one or more different styles, not {list(styles)}")
        self.styles, self.config = tuple(styles), config
        size, dims = len(self.styles), 1 + len(self.styles)
        self._prior_SD = np.zeros((size, dims))
        self._prior_SD[:, 0] = config.usual_reward
        self._prior_SD[np.arange(size), 1 + np.arange(size)] = config.lean
        self.outer_SDD = np.zeros((size, dims, dims))
        """A, sums of x xᵀ."""
        self.residual_SD = np.zeros((size, dims))
        """b, sums of x (r − x·m)."""
        self.events_S = np.zeros(size, np.int64)
        self._refresh()

    def context(self, weights: Mapping[str, float]) -> np.ndarray:
        """Context (D,) of a viewer whose look has these weights (`Look.weights`); styles not named count 0."""
        return np.array([1.0, *(float(weights.get(style, 0.0)) for style in self.styles)])

    def beliefs(self, context_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (S,) of every style's expected reward."""
        x = self._checked(context_D)
        mean_S = (self._prior_SD + self._mean_SD) @ x
        return mean_S, np.sqrt(np.maximum(np.einsum("d,sde,e->s", x, self._covariance_SDD, x), 1e-18))

    def propensities(self, context_D: np.ndarray) -> np.ndarray:
        """Probability (S,) with which each style would be chosen now."""
        best_S = chance_of_largest(*self.beliefs(context_D))
        return (1 - self.config.explore) * best_S + self.config.explore / len(self.styles)

    def choose(self, context_D: np.ndarray, rng: np.random.Generator) -> Choice:
        """Draw a style with its propensity."""
        chance_S = self.propensities(context_D)
        chosen = int(rng.choice(len(self.styles), p=chance_S))
        every = dict(zip(self.styles, chance_S.tolist(), strict=True))
        return Choice(self.styles[chosen], float(chance_S[chosen]), every, self._checked(context_D))

    def update(self, style: str, context_D: np.ndarray, reward: float) -> None:
        """Learn from one shown clip: its style, the context it was chosen in, and what came of it. O(D²)."""
        if style not in self.styles:
            raise InputError(f"style {style!r} is not one of the bandit's: {', '.join(self.styles)}")
        if not np.isfinite(reward):
            raise InputError(f"the reward of style {style!r} is {reward}; give a finite number")
        s, x = self.styles.index(style), self._checked(context_D)
        self.outer_SDD[s] += np.outer(x, x)
        self.residual_SD[s] += x * (reward - x @ self._prior_SD[s])
        self.events_S[s] += 1
        # Sherman-Morrison: the inverse after one more x xᵀ/ν.
        along = self._covariance_SDD[s] @ x
        self._covariance_SDD[s] -= np.outer(along, along) / (self.config.noise_variance + x @ along)
        self._mean_SD[s] = self._covariance_SDD[s] @ self.residual_SD[s] / self.config.noise_variance

    def update_all(self, style_N: np.ndarray, context_ND: np.ndarray, reward_N: np.ndarray) -> None:
        """What `update` after `update` of N shown clips gives, sooner; `style_N` are rows of `styles`."""
        for s in range(len(self.styles)):
            x_ND, reward = context_ND[style_N == s], reward_N[style_N == s]
            self.outer_SDD[s] += x_ND.T @ x_ND
            self.residual_SD[s] += x_ND.T @ (reward - x_ND @ self._prior_SD[s])
            self.events_S[s] += len(x_ND)
        self._refresh()

    def merge(self, other: LookBandit) -> LookBandit:
        """A sampler that has seen the events of both; InputError where styles or settings differ."""
        if other.styles != self.styles or other.config != self.config:
            raise InputError("only bandits of the same styles and settings can be merged")
        both = LookBandit(self.styles, self.config)
        both.outer_SDD = self.outer_SDD + other.outer_SDD
        both.residual_SD = self.residual_SD + other.residual_SD
        both.events_S = self.events_S + other.events_S
        both._refresh()
        return both

    def to_bytes(self) -> bytes:
        """The whole state as safetensors."""
        arrays = {"outer": self.outer_SDD, "residual": self.residual_SD, "events": self.events_S}
        about = {"styles": json.dumps(self.styles), "config": json.dumps(asdict(self.config))}
        return save(arrays, metadata=about)

    @classmethod
    def load(cls, path: Path) -> LookBandit:
        """Read what `to_bytes` gave; InputError names the file."""
        try:
            with safe_open(str(path), framework="numpy") as file:
                about = file.metadata() or {}
                bandit = cls(json.loads(about["styles"]), BanditConfig(**json.loads(about["config"])))
                arrays = {name: file.get_tensor(name) for name in ("outer", "residual", "events")}
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold the state of a look bandit: {error}") from error
        kept = {"outer": bandit.outer_SDD, "residual": bandit.residual_SD, "events": bandit.events_S}
        for name, array in arrays.items():
            if array.shape != kept[name].shape or not np.isfinite(array).all():
                raise InputError(f"{path}: array {name!r} is not finite or not of shape {kept[name].shape}")
        bandit.outer_SDD, bandit.residual_SD, bandit.events_S = (arrays[n] for n in ("outer", "residual", "events"))
        bandit._refresh()
        return bandit

    def _refresh(self) -> None:
        """Posterior from the sums."""
        precision = np.eye(len(self.styles) + 1) / self.config.prior_deviation**2
        self._covariance_SDD = np.linalg.inv(precision + self.outer_SDD / self.config.noise_variance)
        self._mean_SD = np.einsum("sde,se->sd", self._covariance_SDD, self.residual_SD) / self.config.noise_variance

    def _checked(self, context_D: np.ndarray) -> np.ndarray:
        x = np.asarray(context_D, np.float64)
        if x.shape != (len(self.styles) + 1,) or not np.isfinite(x).all():
            raise InputError(f"a context is {len(self.styles) + 1} finite numbers, not an array of shape {x.shape}")
        return x


def chance_of_largest(mean_S: np.ndarray, deviation_S: np.ndarray) -> np.ndarray:
    """Probability (S,) that each of independent normals is the largest, to about 1e−3; sums to 1.

    Choices are drawn from these very numbers, so the logged propensities are exact whatever the integral's error.
    """
    if len(mean_S) == 1:
        return np.ones(1)
    knots = np.sort((mean_S[:, None] + deviation_S[:, None] * NEAR).ravel())
    z_SK = (knots - mean_S[:, None]) / deviation_S[:, None]
    below_SK = ndtr(z_SK)
    # Product over all the others: those before it times those after it.
    before_SK, after_SK = np.ones_like(z_SK), np.ones_like(z_SK)
    before_SK[1:] = np.cumprod(below_SK[:-1], axis=0)
    after_SK[:-1] = np.cumprod(below_SK[:0:-1], axis=0)[::-1]
    density_SK = np.exp(-0.5 * z_SK**2) / deviation_S[:, None] * before_SK * after_SK
    chance_S = np.trapezoid(density_SK, knots, axis=1)
    return chance_S / chance_S.sum()
