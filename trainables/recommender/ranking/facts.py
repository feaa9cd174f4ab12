"""Standing facts of viewers and products: attributes, maker, kind. Nothing here changes with time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from trainables.recommender.ranking.attributes import AttributeEncoder, attribute_frame
from trainables.recommender.ranking.log import Codes, Impressions
from trainables.recommender.train import TrainingData

MOST_CROSSED = 3
"""Product attributes a viewer's past is split by, those of the most kinds."""


@dataclass(frozen=True)
class Facts:
    """Arrays by code, with one row more at the end: that of an unknown viewer or product (code −1)."""

    category_n: np.ndarray
    creator_n: np.ndarray
    tags_n: np.ndarray
    crossed: dict[str, np.ndarray]
    product: dict[str, np.ndarray]
    viewer: dict[str, np.ndarray]

    def features(self, rows: Impressions) -> dict[str, np.ndarray]:
        """Columns, one value a row."""
        columns = {"tags": self.tags_n[rows.product_N], "category": self.category_n[rows.product_N]}
        columns |= {f"product:{name}": values[rows.product_N] for name, values in self.product.items()}
        columns |= {f"viewer:{name}": values[rows.viewer_N] for name, values in self.viewer.items()}
        return columns


@dataclass(frozen=True)
class FactEncoders:
    """How attributes become numbers; learned at training, kept with the ranker."""

    product: AttributeEncoder
    viewer: AttributeEncoder
    categories: tuple[str, ...]

    @classmethod
    def learn(cls, data: TrainingData) -> FactEncoders:
        """From the tables of products and viewers."""
        products, viewers = _frames(data)
        categories = tuple(sorted(set(data.products["category"].to_pylist())))
        return cls(AttributeEncoder.learn(products), AttributeEncoder.learn(viewers), categories)

    def facts(self, data: TrainingData, codes: Codes) -> Facts:
        """Facts of the catalogue in `data` and of the viewers of `codes`."""
        products, viewers = _frames(data)
        by_product = _with_unknown(self.product, products)
        row_N = np.full(len(codes.viewers) + 1, -1)
        if data.viewers is not None:
            at = codes.viewer(data.viewers["viewer_id"])
            row_N[at[at >= 0]] = np.flatnonzero(at >= 0)
        by_viewer = {name: values[row_N] for name, values in _with_unknown(self.viewer, viewers).items()}
        category = pd.Categorical(data.products["category"].to_pandas(), categories=list(self.categories)).codes
        creator = pd.factorize(data.products["creator"].to_pandas())[0]
        tags = [len(tags or ()) for tags in data.products["tags"].to_pylist()]
        widest = sorted(self.product.kinds, key=lambda name: (-len(self.product.kinds[name]), name))[:MOST_CROSSED]
        return Facts(
            category_n=np.append(category, -1).astype(np.int64),
            creator_n=np.append(creator, -1).astype(np.int64),
            tags_n=np.append(np.asarray(tags, float), np.nan),
            crossed={name: by_product[name].astype(np.int64) for name in widest},
            product=by_product,
            viewer=by_viewer,
        )


def _frames(data: TrainingData) -> tuple[pd.DataFrame, pd.DataFrame]:
    products = attribute_frame(_column(data.products, "attributes"), data.products.num_rows)
    if data.viewers is None:
        return products, pd.DataFrame()
    return products, attribute_frame(_column(data.viewers, "attributes"), data.viewers.num_rows)


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    return table[name] if name in table.column_names else None


def _with_unknown(encoder: AttributeEncoder, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Encoded columns with one row more, of which nothing is said."""
    return {
        name: np.append(values, -1.0 if name in encoder.kinds else np.nan)
        for name, values in encoder.encode(table).items()
    }
