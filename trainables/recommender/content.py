"""Content features: what a product is, whatever anybody did with it. They carry products that nobody has met yet.

A product's feature vector is made of blocks (look, category, tags, words, price). Every block is centred on the
catalogue, brought to length 1 and weighted; the cosine of two products is thus about the weighted mean of their blocks'
cosines. What a product lacks (no clip, no price) is a block of zeros and says nothing.

Dims: n products, S style code, D features.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

MAX_CATEGORIES = 256


@dataclass(frozen=True, kw_only=True)
class ContentConfig:
    """Weights of the blocks, ≥ 0 (0 leaves a block out), and the size of the hashed ones."""

    look: float = 1.0
    """Style code of the product's clip."""
    category: float = 1.0
    """Category, one of the 256 most frequent."""
    tags: float = 0.7
    """Tags and creator, hashed."""
    words: float = 0.7
    """Words of title and description, hashed and weighted by rarity."""
    price: float = 0.2
    """Logarithm of the price."""
    hash_dims: int = 64
    """Numbers a hashed block, 8…4096."""

    def __post_init__(self) -> None:
        for name in ("look", "category", "tags", "words", "price"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"content.{name} is {getattr(self, name)}; set a weight of 0 or more")
        if not 8 <= self.hash_dims <= 4096:
            raise ValueError(f"content.hash_dims is {self.hash_dims}; set 8…4096, e.g. 64")


def content_features(products: pa.Table, style_codes_nS: np.ndarray, config: ContentConfig) -> np.ndarray:
    """Features (n, D) float32 of length 1 (0 for a product that says nothing), in the order of `products`.

    `style_codes_nS` has NaN rows where a product has no clip. A dot product of two rows is their similarity, −1…1.
    """
    rows = products.to_pylist()
    tags = [[*(row["tags"] or ()), *([f"creator {row['creator']}"] if row["creator"] else ())] for row in rows]
    words = [tokens(f"{row['title']} {row['description'] or ''}") for row in rows]
    blocks = (
        (config.look, _standardised(style_codes_nS)),
        (config.category, _one_hot([row["category"] for row in rows])),
        (config.tags, _hashed(tags, config.hash_dims)),
        (config.words, _hashed(words, config.hash_dims)),
        (config.price, _standardised(_log_price(products))),
    )
    features = np.concatenate([np.sqrt(weight) * _unit(_centred(block)) for weight, block in blocks], axis=1)
    features = _unit(features).astype(np.float32)
    return np.ascontiguousarray(features[:, (features != 0).any(0)])


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


def _one_hot(categories: list[str]) -> np.ndarray:
    frequent = sorted(Counter(categories).items(), key=lambda item: (-item[1], item[0]))[:MAX_CATEGORIES]
    column = {name: index for index, (name, _) in enumerate(frequent) if name != "unknown"}
    block = np.zeros((len(categories), max(len(frequent), 1)))
    for row, name in enumerate(categories):
        if name in column:
            block[row, column[name]] = 1
    return block


def _log_price(products: pa.Table) -> np.ndarray:
    price = products["price"].cast(pa.float64()).to_numpy().astype(float)
    return np.where(price >= 0, np.log1p(np.maximum(price, 0)), np.nan)[:, None]


def _standardised(block: np.ndarray) -> np.ndarray:
    """Zero mean, unit spread a column, at most ±3; NaN stays."""
    known = block[~np.isnan(block).any(1)]
    if len(known) == 0:
        return block
    return np.clip((block - known.mean(0)) / np.maximum(known.std(0), 1e-6), -3, 3)


def _centred(block: np.ndarray) -> np.ndarray:
    """Zero mean over the products that have the block; the rest are zeros."""
    known = ~np.isnan(block).any(1) & (block != 0).any(1)
    mean = block[known].mean(0) if known.any() else 0
    return np.where(known[:, None], block - mean, 0)


def _unit(block: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(block, axis=1, keepdims=True)
    return np.where(length > 1e-9, block / np.maximum(length, 1e-9), 0)
