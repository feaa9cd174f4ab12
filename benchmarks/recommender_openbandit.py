"""Off-policy estimates against what the policy really earned: Open Bandit (ZOZOTOWN; Saito et al., NeurIPS 2021).

Two policies ran side by side for a week in three campaigns: one at random, one Bernoulli Thompson sampling. From the
random log alone the sampler's click rate is estimated; its own log then tells what it was. The sampler's probabilities
for each of the three positions are simulated from the Beta posteriors published with the data, three products drawn at
a time. The two logs are samples of 10,000 impressions a campaign: the truth has an interval of its own. An estimate
agrees when the difference to the truth is within the 95 % interval of both errors together. The reverse (the random
policy from the sampler's log) is printed as well: there propensities go down to 1e−6 and the effective sample is small.

    python -m benchmarks.recommender_openbandit --wheel obp-0.4.1-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from trainables.recommender.looks import offpolicy
from trainables.recommender.looks.offpolicy import Estimate, LoggedChoices

CAMPAIGNS = ("all", "men", "women")
POSITIONS = 3
DRAWS = 200_000


def read(wheel: Path, policy: str, campaign: str) -> pd.DataFrame:
    """Columns item, position (0…2), click, propensity."""
    with zipfile.ZipFile(wheel) as archive:
        table = pd.read_csv(io.BytesIO(archive.read(f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv")))
    return pd.DataFrame(
        {
            "item": table["item_id"],
            "position": table["position"] - 1,
            "click": table["click"].astype(float),
            # The sampler's propensities are published per position, the random policy's too.
            "propensity": table["propensity_score"],
        }
    )


def sampler(wheel: Path, campaign: str, seed: int = 0) -> np.ndarray:
    """Probability (products, positions) with which Thompson sampling shows each product in each position."""
    with zipfile.ZipFile(wheel) as archive:
        prior = yaml.safe_load(archive.read("obp/policy/conf/prior_bts.yaml"))[campaign]
    alpha, beta = np.array(prior["alpha"]), np.array(prior["beta"])
    rng, shown = np.random.default_rng(seed), np.zeros((len(alpha), POSITIONS))
    for _ in range(DRAWS // 5000):
        rates = rng.beta(alpha, beta, size=(5000, len(alpha)))
        first = np.argpartition(-rates, POSITIONS, axis=1)[:, :POSITIONS]
        order = np.argsort(-np.take_along_axis(rates, first, 1), axis=1)
        first = np.take_along_axis(first, order, 1)
        for position in range(POSITIONS):
            shown[:, position] += np.bincount(first[:, position], minlength=len(alpha))
    return shown / DRAWS


def estimates(log: pd.DataFrame, target: np.ndarray) -> list[tuple[Estimate, np.ndarray]]:
    """Each estimate and its bootstrap interval."""
    item, position, reward = log["item"].to_numpy(), log["position"].to_numpy(), log["click"].to_numpy()
    choices = LoggedChoices(reward_N=reward, propensity_N=log["propensity"].to_numpy(), target_N=target[item, position])
    rates = offpolicy.cross_fitted_rates(item, reward, len(target), prior=200)
    expected, predicted = (target.T[position] * rates).sum(1), rates[np.arange(len(item)), item]
    weight = choices.weights
    return [
        (offpolicy.ips(choices), offpolicy.bootstrap(weight * reward)),
        (offpolicy.snips(choices), offpolicy.bootstrap(weight * reward, weight)),
        (offpolicy.direct(choices, expected), offpolicy.bootstrap(expected)),
        (
            offpolicy.doubly_robust(choices, expected, predicted),
            offpolicy.bootstrap(expected + weight * (reward - predicted)),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel of obp 0.4.1")
    wheel = parser.parse_args().wheel
    print("campaign  target ← log       estimator    value   95 % interval     bootstrap         effective   truth")
    agreed: dict[str, list[bool]] = {}
    for campaign in CAMPAIGNS:
        logs = {policy: read(wheel, policy, campaign) for policy in ("random", "bts")}
        shown = sampler(wheel, campaign)
        uniform = np.full_like(shown, 1 / len(shown))
        for target, source, policy in (("bts", "random", shown), ("random", "bts", uniform)):
            click = logs[target]["click"].to_numpy()
            truth, error = click.mean(), click.std(ddof=1) / np.sqrt(len(click))
            for estimate, ends in estimates(logs[source], policy):
                own = (estimate.high - estimate.low) / (2 * offpolicy.Z_95)
                agrees = abs(estimate.value - truth) <= offpolicy.Z_95 * np.hypot(own, error)
                agreed.setdefault(f"{target} from {source}: {estimate.name}", []).append(agrees)
                print(
                    f"{campaign:9} {target:6} ← {source:8}  {estimate.name:9} {estimate.value:8.5f}  "
                    f"{estimate.low:8.5f}…{estimate.high:.5f}  {ends[0]:.5f}…{ends[1]:.5f}  "
                    f"{estimate.effective_choices:9.0f}   {truth:.5f} ± {offpolicy.Z_95 * error:.5f}  "
                    f"{'covers' if estimate.low <= truth <= estimate.high else 'misses'}, "
                    f"{'agrees' if agrees else 'differs'}"
                )
    for name, values in agreed.items():
        print(f"{name:24} agrees in {sum(values)} of {len(values)} campaigns")


if __name__ == "__main__":
    main()
