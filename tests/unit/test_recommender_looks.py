"""The look bandit: exact propensities and posteriors, less regret than chance; off-policy estimates that cover."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from cluster.cli.evaluate_looks import as_json
from cluster.errors import InputError
from trainables.recommender.looks import offpolicy
from trainables.recommender.looks.offpolicy import LoggedChoices
from trainables.recommender.looks.outcomes import Outcomes
from trainables.recommender.looks.policies import compare
from trainables.recommender.looks.thompson import BanditConfig, LookBandit, chance_of_largest

STYLES = ("vintage", "sport", "neon", "minimal")


def fed(events: int, seed: int = 0, config: BanditConfig | None = None) -> tuple[LookBandit, list]:
    """A bandit after random events, and the events."""
    rng, bandit = np.random.default_rng(seed), LookBandit(STYLES, config or BanditConfig())
    log = []
    for _ in range(events):
        weights = rng.dirichlet(np.ones(4))
        context = bandit.context(dict(zip(STYLES, weights, strict=True)))
        log.append((STYLES[rng.integers(4)], context, float(rng.random() < 0.4)))
        bandit.update(*log[-1])
    return bandit, log


def test_chance_of_largest_is_exact_for_two_and_agrees_with_draws() -> None:
    mean, deviation = np.array([0.3, 0.1]), np.array([0.2, 0.4])
    expected = norm.cdf(0.2 / np.hypot(0.2, 0.4))
    np.testing.assert_allclose(chance_of_largest(mean, deviation), [expected, 1 - expected], atol=1e-3)
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.0, 0.1, 0.2, 0.15]), np.array([0.3, 0.001, 0.1, 0.05])
    winners = (mean + deviation * rng.normal(size=(400_000, 4))).argmax(1)
    share = np.bincount(winners, minlength=4) / len(winners)
    np.testing.assert_allclose(chance_of_largest(mean, deviation), share, atol=4e-3)
    np.testing.assert_allclose(chance_of_largest(np.full(7, 0.5), np.full(7, 0.1)), 1 / 7, atol=1e-9)
    assert chance_of_largest(np.array([1.0, 0.0]), np.array([1e-6, 1e-6])).tolist() == [1.0, 0.0]


def test_choices_follow_their_propensities_and_explore_bounds_them() -> None:
    bandit, _ = fed(50, config=BanditConfig(explore=0.2))
    context = bandit.context({"neon": 1.0})
    chance = bandit.propensities(context)
    assert chance.sum() == pytest.approx(1)
    assert chance.min() >= 0.05
    rng = np.random.default_rng(1)
    choices = [bandit.choose(context, rng) for _ in range(1500)]
    for style, expected in zip(STYLES, chance, strict=True):
        share = np.mean([choice.style == style for choice in choices])
        assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 1500)
    assert all(choice.propensity == choice.propensities[choice.style] for choice in choices)


def test_the_posterior_is_that_of_bayesian_regression() -> None:
    config = BanditConfig(usual_reward=0.2, lean=0.3, prior_deviation=0.4, noise_variance=0.2)
    bandit, log = fed(60, config=config)
    context = bandit.context({"sport": 0.7, "neon": 0.3})
    mean, deviation = bandit.beliefs(context)
    for s, style in enumerate(STYLES):
        x = np.array([event[1] for event in log if event[0] == style])
        r = np.array([event[2] for event in log if event[0] == style])
        prior = np.zeros(5)
        prior[0], prior[1 + s] = 0.2, 0.3
        covariance = np.linalg.inv(np.eye(5) / 0.16 + x.T @ x / 0.2)
        w = covariance @ (prior / 0.16 + x.T @ r / 0.2)
        assert mean[s] == pytest.approx(context @ w, abs=1e-9)
        assert deviation[s] == pytest.approx(np.sqrt(context @ covariance @ context), abs=1e-9)


def test_before_any_event_taste_leads_and_events_overrule_it() -> None:
    bandit = LookBandit(STYLES, BanditConfig(prior_deviation=0.1, lean=0.2))
    context = bandit.context({"neon": 1.0})
    assert STYLES[int(bandit.propensities(context).argmax())] == "neon"
    np.testing.assert_allclose(bandit.propensities(bandit.context({})), 0.25, atol=1e-6)
    for _ in range(200):
        bandit.update("neon", context, 0.0)
        bandit.update("sport", context, 1.0)
    assert bandit.propensities(context)[STYLES.index("sport")] > 0.9


def test_merged_and_reloaded_state_equals_one_that_saw_everything(tmp_path: Path) -> None:
    whole, log = fed(40)
    parts = [LookBandit(STYLES, BanditConfig()) for _ in range(2)]
    for i, event in enumerate(log):
        parts[i % 2].update(*event)
    merged = parts[1].merge(parts[0])
    (tmp_path / "bandit.safetensors").write_bytes(merged.to_bytes())
    loaded = LookBandit.load(tmp_path / "bandit.safetensors")
    context = whole.context({"vintage": 0.5, "minimal": 0.5})
    for other in (merged, loaded):
        np.testing.assert_allclose(other.beliefs(context), whole.beliefs(context), atol=1e-9)
        assert other.events_S.tolist() == whole.events_S.tolist()
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"bad.safetensors does not hold"):
        LookBandit.load(tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match="same styles"):
        whole.merge(LookBandit(STYLES[:2], BanditConfig()))


def true_reward(taste: int) -> np.ndarray:
    """Expected reward of each style for a viewer whose look is style `taste`: not quite what the prior says."""
    reward = np.array([0.30, 0.35, 0.25, 0.30])
    reward[taste] += 0.2
    if taste == 2:
        reward[0] += 0.35  # friends of neon in truth prefer vintage
    return reward


def test_regret_is_well_below_that_of_chance_and_of_taste_alone() -> None:
    rng = np.random.default_rng(2)
    regret = {"bandit": 0.0, "chance": 0.0, "taste": 0.0}
    bandit = LookBandit(STYLES, BanditConfig(explore=0.02))
    for _ in range(4000):
        taste = int(rng.integers(4))
        reward = true_reward(taste)
        context = bandit.context({STYLES[taste]: 1.0})
        choice = bandit.choose(context, rng)
        shown = STYLES.index(choice.style)
        bandit.update(choice.style, context, float(rng.random() < reward[shown]))
        regret["bandit"] += reward.max() - reward[shown]
        regret["chance"] += reward.max() - reward.mean()
        regret["taste"] += reward.max() - reward[taste]
    assert regret["bandit"] < 0.2 * regret["chance"]
    assert regret["bandit"] < 0.7 * regret["taste"]


def logged(seed: int, n: int = 2000) -> tuple[LoggedChoices, np.ndarray, np.ndarray, float]:
    """A log of a random policy, the new policy's actions' probabilities, the actions, and the new policy's value."""
    rng = np.random.default_rng(seed)
    taste_N = rng.integers(4, size=n)
    mean_NA = np.stack([true_reward(taste) for taste in range(4)])[taste_N]
    logging_NA = rng.dirichlet(np.full(4, 3.0), size=n) * 0.8 + 0.05
    target_NA = np.full((n, 4), 0.1)
    target_NA[np.arange(n), taste_N] = 0.7
    action_N = (rng.random(n)[:, None] > logging_NA.cumsum(1)).sum(1).clip(max=3)
    rows = np.arange(n)
    reward_N = (rng.random(n) < mean_NA[rows, action_N]).astype(float)
    value = np.mean([true_reward(t) @ np.where(np.arange(4) == t, 0.7, 0.1) for t in range(4)])
    log = LoggedChoices(reward_N=reward_N, propensity_N=logging_NA[rows, action_N], target_N=target_NA[rows, action_N])
    return log, target_NA, action_N, float(value)


def test_intervals_cover_the_known_value_and_doubly_robust_is_the_tightest() -> None:
    runs, covered, width, error = 200, {}, {}, {}
    for seed in range(runs):
        log, target_NA, action_N, value = logged(seed)
        rates_NA = offpolicy.cross_fitted_rates(action_N, log.reward_N, 4)
        predicted_N = rates_NA[np.arange(len(action_N)), action_N]
        for estimate in (
            offpolicy.ips(log),
            offpolicy.snips(log),
            offpolicy.doubly_robust(log, (target_NA * rates_NA).sum(1), predicted_N),
        ):
            covered.setdefault(estimate.name, []).append(estimate.low <= value <= estimate.high)
            width.setdefault(estimate.name, []).append(estimate.high - estimate.low)
            error.setdefault(estimate.name, []).append(estimate.value - value)
    for name in ("IPS", "SNIPS", "DR"):
        assert 0.90 <= np.mean(covered[name]) <= 0.99, name  # 95 % ± three deviations of 200 draws
        assert abs(np.mean(error[name])) < 4 * np.std(error[name]) / np.sqrt(runs), name
    assert np.mean(width["DR"]) < np.mean(width["IPS"])
    assert np.mean(width["SNIPS"]) < np.mean(width["IPS"])


def test_known_values_of_the_estimators() -> None:
    log = LoggedChoices(
        reward_N=np.array([1.0, 0.0, 1.0]),
        propensity_N=np.array([0.5, 0.5, 0.25]),
        target_N=np.array([0.5, 0.0, 0.75]),
    )
    assert offpolicy.ips(log).value == pytest.approx(4 / 3)
    assert offpolicy.snips(log).value == pytest.approx(1.0)
    assert offpolicy.direct(log, np.array([0.2, 0.4, 0.6])).value == pytest.approx(0.4)
    dr = offpolicy.doubly_robust(log, np.array([0.2, 0.4, 0.6]), np.array([0.5, 0.5, 0.5]))
    assert dr.value == pytest.approx(0.4 + (1 * 0.5 + 0 + 3 * 0.5) / 3)
    assert log.effective_choices == pytest.approx(16 / 10)
    nothing = LoggedChoices(reward_N=np.ones(2), propensity_N=np.ones(2), target_N=np.zeros(2))
    assert nothing.effective_choices == 0
    assert np.isnan(offpolicy.snips(nothing).value)


def test_the_bootstrap_agrees_with_the_formula_on_a_large_log() -> None:
    log, *_ = logged(0, n=4000)
    for estimate, ends in (
        (offpolicy.ips(log), offpolicy.bootstrap(log.weights * log.reward_N)),
        (offpolicy.snips(log), offpolicy.bootstrap(log.weights * log.reward_N, log.weights)),
    ):
        width = estimate.high - estimate.low
        assert ends == pytest.approx([estimate.low, estimate.high], abs=0.12 * width)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"propensity_N": np.array([0.0, 1.0])}, "propensities must lie above 0"),
        ({"target_N": np.array([0.5, 1.5])}, "new policy must lie in"),
        ({"reward_N": np.array([np.nan, 1.0])}, "rewards must be finite"),
        ({"reward_N": np.ones(3)}, "equally many"),
    ],
)
def test_a_log_that_cannot_be_used_is_named(columns: dict, message: str) -> None:
    good = {"reward_N": np.ones(2), "propensity_N": np.full(2, 0.5), "target_N": np.full(2, 0.5)}
    with pytest.raises(InputError, match=message):
        LoggedChoices(**{**good, **columns})


def test_bad_input_to_the_bandit_is_named() -> None:
    bandit = LookBandit(STYLES, BanditConfig())
    with pytest.raises(InputError, match="'punk' is not one of"):
        bandit.update("punk", bandit.context({}), 1.0)
    with pytest.raises(InputError, match="is nan"):
        bandit.update("neon", bandit.context({}), float("nan"))
    with pytest.raises(InputError, match="5 finite numbers"):
        bandit.propensities(np.ones(3))
    with pytest.raises(InputError, match="different styles"):
        LookBandit(("a", "a"), BanditConfig())
    with pytest.raises(ValueError, match=r"bandit\.explore is 2"):
        BanditConfig(explore=2)


def test_a_look_that_was_never_chosen_is_null_in_the_file_of_estimates() -> None:
    count = 20
    known = Outcomes(
        style_N=np.zeros(count, np.int64),
        context_ND=np.tile([1.0, 1.0, 0.0], (count, 1)),
        propensity_NS=np.full((count, 2), 0.5),
        reward_N=np.arange(count) % 2.0,
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    written = json.loads(as_json(compare(known, ("neon", "minimal")), count), parse_constant=refuse)
    snips = {row["policy"]: row["snips"]["value"] for row in written["policies"]}
    assert snips["always neon"] == 0.5
    assert snips["always minimal"] is None
