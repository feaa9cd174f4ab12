"""Content features: what a product is, whatever anybody did with it. They carry products that nobody has met yet.

A product's feature vector is made of blocks (look, category, tags, creator, words, price, each attribute of its source
and, where `shopreel features build` has made them, frames, sound, motion, length and meaning of its text). Every block
is centred on the catalogue, brought to length 1 and weighted; the cosine of two products is thus about the weighted
mean of their blocks' cosines. What a product lacks (no clip, no price) is a block of zeros and says nothing.

Dims: n products, S style code, D features.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trainables.recommender.features.attributes import ATTRIBUTE, catalogue_blocks
from trainables.recommender.features.blocks import joined, standardised

WEIGHTS = (
    "look", "category", "tags", "creator", "words", "price", "attribute",
    "frames", "audio", "motion", "duration", "text",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ContentConfig:
    """Weights of the blocks, ≥ 0 (0 leaves a block out), and the width of those that could be very wide."""

    look: float = 1.0
    """Style code of the product's clip."""
    category: float = 1.0
    tags: float = 0.7
    creator: float = 0.7
    words: float = 0.7
    """Words of title and description, hashed and weighted by rarity."""
    price: float = 0.2
    """Logarithm of the price."""
    attribute: float = 0.5
    """Each attribute that the source brought along."""
    frames: float = 0.7
    """What the frames show; this and the next ones only where features were built."""
    audio: float = 0.3
    motion: float = 0.2
    duration: float = 0.2
    text: float = 0.7
    """Meaning of title and description."""
    most_values: int = 1024
    """Values of category, tags, creator or an attribute that get a column, the most frequent; 8…4096."""
    hash_dims: int = 64
    """Numbers of the hashed block, 8…4096."""

    def __post_init__(self) -> None:
        for name in WEIGHTS:
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"content.{name} is {getattr(self, name)}; set a weight of 0 or more")
        for name in ("most_values", "hash_dims"):
            if not 8 <= getattr(self, name) <= 4096:
                raise ValueError(f"content.{name} is {getattr(self, name)}; set 8…4096, e.g. 64")


def content_features(
    products: pa.Table,
    style_codes_nS: np.ndarray,
    config: ContentConfig,
    modalities: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Features (n, D) float32 of length 1 (0 for a product that says nothing), in the order of `products`.

    `style_codes_nS` has NaN rows where a product has no clip; `modalities` are the blocks of
    `features.table.content_blocks`. A dot product of two rows is their similarity, −1…1.
    """
    built = {name: block for name, block in (modalities or {}).items() if name in WEIGHTS and name != "price"}
    texts = products.select(["title", "description"]).to_pylist()
    words = [tokens(f"{row['title']} {row['description'] or ''}") for row in texts]
    blocks = {
        "look": standardised(style_codes_nS),
        "words": _hashed(words, config.hash_dims),
        "price": standardised(_log_price(products)),
        **catalogue_blocks(products, config.most_values),
        **built,
    }
    weights = {name: getattr(config, "attribute" if name.startswith(ATTRIBUTE) else name) for name in blocks}
    return joined(blocks, weights)


def tokens(text: str) -> list[str]:
    """Lower-case words and numbers of a text in any script."""
    return re.findall(r"\w+", text.lower())


def _hashed(bags: Iterable[Iterable[str]], dims: int) -> np.ndarray:
    """Signed hashing (Weinberger et al. 2009) of sets of words, weighted by log(1 + n / products that have it)."""
    sets = [set(bag) for bag in bags]
    frequency = Counter(word for words in sets for word in words)
    block = np.zeros((len(sets), dims))
    for row, words in enumerate(sets):
        for word in sorted(words):
            code = zlib.crc32(word.encode())
            block[row, code % dims] += (1 if code >> 31 else -1) * np.log(1 + len(sets) / frequency[word])
    return block


def _log_price(products: pa.Table) -> np.ndarray:
    price = products["price"].cast(pa.float64()).to_numpy().astype(float)
    return np.where(price >= 0, np.log1p(np.maximum(price, 0)), np.nan)[:, None]
