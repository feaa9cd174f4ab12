"""The item-item model of several silos (shops, countries, devices) whose logs never leave them.

All statistics are sums over viewers (see statistics.py), and every viewer belongs to one silo, so the silos' sums added
up are those of the whole log, and the model is the same one. Two rounds: first appeal and viewers of each product,
from which the coordinator chooses the rows of the matrix; then the Gram matrix over these rows. All agree beforehand on
the catalogue, the settings and the end of training.

With `masked`, the coordinator learns the sum alone (Bonawitz et al., CCS 2017, without recovery of dropouts): numbers
become integers modulo 2⁶⁴, every two silos share a secret seed, one adds the stream drawn from it and the other takes
it away, and in the sum over all silos the streams cancel to the last bit. A single silo's numbers are uniformly
distributed. If a silo is missing the sum is refused. Sums alone may still tell on a small silo: add noise to them
(differential_privacy.py) where that matters.

Dims: n products, m products with a row in the matrix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.recommender.feedback import Feedback
from trainables.recommender.privacy.statistics import ItemStatistics, gram, product_sums
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import matrix_rows

SCALE_BITS = 30
"""Masked numbers are rounded to 2⁻³⁰, about 1e-9."""
LARGEST = 2.0**32
"""Sums at or beyond ± this many do not fit beside that precision in 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Silo:
    """One holder of viewers; runs where the log is."""

    name: str
    feedback: Feedback
    """From `collect`."""
    products: int
    """Length of the common catalogue."""
    config: RecommenderTrainConfig
    now_ms: int
    """End of training, the same in every silo."""

    def product_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Round 1: appeal (n,) float64 and viewers (n,) int64 of each product."""
        return product_sums(self.feedback, self.products, self.config, self.now_ms)

    def gram(self, rows: np.ndarray) -> np.ndarray:
        """Round 2: Σ x_v x_vᵀ (m, m) float64 over catalogue rows."""
        return gram(self.feedback, rows, self.config.ease)


def combined(silos: Sequence[Silo]) -> ItemStatistics:
    """Both rounds in this process: statistics of all silos together, without masks."""
    config = _common(silos)
    first = [silo.product_sums() for silo in silos]
    appeal_n, viewers_n = (np.sum(parts, axis=0) for parts in zip(*first, strict=True))
    rows = matrix_rows(viewers_n, config.ease.max_products)
    grams = [silo.gram(rows) for silo in silos]
    return ItemStatistics(rows=rows, gram_mm=np.sum(grams, axis=0), appeal_n=appeal_n, viewers_n=viewers_n)


def combined_masked(silos: Sequence[Silo], seeds: Mapping[frozenset[str], bytes]) -> ItemStatistics:
    """The same from masked parts. `seeds` are the pairs' secrets; the coordinator must not know them.

    Here, coordinator and silos share a process; on a network each silo calls `masked` and the coordinator `unmasked`.
    """
    config = _common(silos)
    names = [silo.name for silo in silos]

    def sum_of(parts: Mapping[str, np.ndarray], round_name: str) -> np.ndarray:
        return unmasked({name: masked(part, name, names, seeds, round_name) for name, part in parts.items()}, names)

    first = {silo.name: silo.product_sums() for silo in silos}
    appeal_n = sum_of({name: part[0] for name, part in first.items()}, "appeal")
    viewers_n = np.rint(sum_of({name: part[1] for name, part in first.items()}, "viewers")).astype(np.int64)
    rows = matrix_rows(viewers_n, config.ease.max_products)
    upper = np.triu_indices(len(rows))
    gram_mm = np.zeros((len(rows), len(rows)))
    gram_mm[upper] = sum_of({silo.name: silo.gram(rows)[upper] for silo in silos}, "gram")
    gram_mm += np.triu(gram_mm, 1).T
    return ItemStatistics(rows=rows, gram_mm=gram_mm, appeal_n=appeal_n, viewers_n=viewers_n)


def masked(
    values: np.ndarray, name: str, names: Sequence[str], seeds: Mapping[frozenset[str], bytes], round_name: str
) -> np.ndarray:
    """One silo's numbers as uint64 that tell nothing without all the other silos'.

    `round_name` must differ between the sums of one training: a stream that is used twice gives the difference away.
    """
    if not (np.abs(values) < LARGEST / len(names)).all():
        raise ValueError(
            f"silo {name!r}: a number is not finite or reaches {LARGEST / len(names):.3g}; it cannot be sent"
        )
    sent = np.rint(values * 2.0**SCALE_BITS).astype(np.int64).view(np.uint64)
    for other in names:
        if other == name:
            continue
        if frozenset((name, other)) not in seeds:
            raise ValueError(f"silos {name!r} and {other!r} share no seed; agree on 32 secret bytes")
        stream = _stream(seeds[frozenset((name, other))], round_name, values.size).reshape(values.shape)
        sent = sent + stream if name < other else sent - stream
    return sent


def unmasked(parts: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Sum (float64) of every silo's masked numbers; the masks cancel exactly."""
    if missing := sorted(set(names) - set(parts)):
        raise ValueError(f"no numbers from silos {', '.join(missing)}; without them the masks do not cancel")
    total = np.zeros_like(next(iter(parts.values())))
    for name in names:
        total += parts[name]
    return total.view(np.int64) / 2.0**SCALE_BITS


def _stream(seed: bytes, round_name: str, count: int) -> np.ndarray:
    """`count` pseudorandom uint64 of a pair's seed: SHAKE-256, an extendable-output function."""
    raw = hashlib.shake_256(b"shopreel masks\x00" + seed + b"\x00" + round_name.encode()).digest(8 * count)
    return np.frombuffer(raw, "<u8").astype(np.uint64)


def _common(silos: Sequence[Silo]) -> RecommenderTrainConfig:
    """The settings all silos share; ValueError where they do not."""
    if not silos:
        raise ValueError("no silos; give at least one")
    for what in ("config", "products", "now_ms"):
        if any(getattr(silo, what) != getattr(silos[0], what) for silo in silos):
            raise ValueError(f"the silos differ in {what}; agree on one before training")
    if len({silo.name for silo in silos}) < len(silos):
        raise ValueError("two silos have the same name; give each its own")
    return silos[0].config
