"""What another policy would have brought, estimated from a log of choices with their propensities.

With reward r, propensity p of the logged choice, probability π of that choice under the new policy, weight w = π/p, and
a model q̂ of the reward, where v̂ = Σ_a π(a) q̂(a):

    IPS    mean of w r                      unbiased; wild where weights are large
    SNIPS  Σ w r / Σ w                      biased by O(1/n), steadier (Swaminathan & Joachims, NeurIPS 2015)
    DM     mean of v̂                        as good as the model
    DR     mean of v̂ + w (r − q̂)            unbiased when the propensities or the model are right (Dudík et al. 2011)

Every estimate comes with a 95 % interval and the effective sample size (Σw)²/Σw²: how many choices of the new policy
itself would say as much. The interval of DM covers the spread of v̂ alone, not what is wrong with the model.

Dims: N logged choices, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster.errors import InputError

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """Value of a policy: expected reward of one choice."""

    name: str
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    effective_choices: float


@dataclass(frozen=True, kw_only=True)
class LoggedChoices:
    """A log, and what a new policy would have done in each of its places."""

    reward_N: np.ndarray
    propensity_N: np.ndarray
    """Probability with which the logged choice was made, 0 < p ≤ 1."""
    target_N: np.ndarray
    """Probability of the logged choice under the new policy, 0…1."""

    def __post_init__(self) -> None:
        sizes = {len(self.reward_N), len(self.propensity_N), len(self.target_N)}
        if len(sizes) != 1 or sizes == {0}:
            raise InputError(f"rewards, propensities and targets must be equally many and at least one, not {sizes}")
        if not np.isfinite(self.reward_N).all():
            raise InputError("rewards must be finite")
        if not ((self.propensity_N > 0) & (self.propensity_N <= 1)).all():
            raise InputError("propensities must lie above 0 and at most at 1; the log cannot say what it never tried")
        if not ((self.target_N >= 0) & (self.target_N <= 1)).all():
            raise InputError("probabilities of the new policy must lie in 0…1")

    @property
    def weights(self) -> np.ndarray:
        return self.target_N / self.propensity_N

    @property
    def effective_choices(self) -> float:
        """(Σw)² / Σw² (Kish); 0 where the new policy does nothing the log tried."""
        weight_N = self.weights
        return float(weight_N.sum() ** 2 / (weight_N**2).sum()) if weight_N.any() else 0.0


def ips(log: LoggedChoices) -> Estimate:
    """Inverse propensity score."""
    return _mean("IPS", log.weights * log.reward_N, log.effective_choices)


def snips(log: LoggedChoices) -> Estimate:
    """Self-normalised IPS; its interval by the delta method. NaN where the new policy does nothing the log tried."""
    weight_N = log.weights
    if not weight_N.any():
        return Estimate("SNIPS", np.nan, np.nan, np.nan, 0.0)
    value = float(weight_N @ log.reward_N / weight_N.sum())
    # The error of a ratio of means is the mean of its influence, w (r − value) / mean(w).
    influence_N = weight_N * (log.reward_N - value) / weight_N.mean()
    spread = Z_95 * float(np.sqrt((influence_N**2).mean() / len(influence_N)))
    return Estimate("SNIPS", value, value - spread, value + spread, log.effective_choices)


def direct(log: LoggedChoices, expected_N: np.ndarray) -> Estimate:
    """Direct method; `expected_N` is v̂, what the model expects of the new policy in each place."""
    return _mean("DM", _fitting(log, expected_N), log.effective_choices)


def doubly_robust(log: LoggedChoices, expected_N: np.ndarray, predicted_N: np.ndarray) -> Estimate:
    """Doubly robust; `predicted_N` is q̂ of the logged choice. Fit the model on other rows (`cross_fitted_rates`)."""
    corrected_N = _fitting(log, expected_N) + log.weights * (log.reward_N - _fitting(log, predicted_N))
    return _mean("DR", corrected_N, log.effective_choices)


def bootstrap(terms_N: np.ndarray, over_N: np.ndarray | None = None, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """Ends (2,) of the 95 % bootstrap interval of mean(terms) (IPS, DM, DR) or Σ terms / Σ over (SNIPS)."""
    rng, n, values = np.random.default_rng(seed), len(terms_N), []
    for _ in range(draws):
        times_N = np.bincount(rng.integers(0, n, n), minlength=n)
        under = n if over_N is None else times_N @ over_N
        values.append(times_N @ terms_N / under if under else np.nan)
    return np.nanquantile(values, (0.025, 0.975))


def cross_fitted_rates(
    action_N: np.ndarray, reward_N: np.ndarray, actions: int, *, prior: float = 50.0, folds: int = 5, seed: int = 0
) -> np.ndarray:
    """q̂ (N, A): mean reward of every action over the other folds' rows, drawn towards the overall mean by `prior` rows.

    A model without context; no row is predicted from itself, so `doubly_robust` stays unbiased.
    """
    fold_N = np.random.default_rng(seed).permutation(len(action_N)) % folds
    rates_NA = np.empty((len(action_N), actions))
    for fold in range(folds):
        others = fold_N != fold
        overall = reward_N[others].mean() if others.any() else 0.0
        times = np.bincount(action_N[others], minlength=actions)
        gained = np.bincount(action_N[others], reward_N[others], minlength=actions)
        rates_NA[fold_N == fold] = (gained + prior * overall) / (times + prior)
    return rates_NA


def _mean(name: str, terms_N: np.ndarray, effective: float) -> Estimate:
    value = float(terms_N.mean())
    spread = Z_95 * float(terms_N.std(ddof=1) / np.sqrt(len(terms_N))) if len(terms_N) > 1 else np.inf
    return Estimate(name, value, value - spread, value + spread, effective)


def _fitting(log: LoggedChoices, model_N: np.ndarray) -> np.ndarray:
    if np.shape(model_N) != log.reward_N.shape or not np.isfinite(model_N).all():
        raise InputError(f"the model's values must be finite and {len(log.reward_N)}, one a logged choice")
    return np.asarray(model_N, np.float64)
