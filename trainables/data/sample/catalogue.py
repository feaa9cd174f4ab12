"""Which products the sample shop sells: the designs of every kind, with their ids."""

from __future__ import annotations

import importlib
import zlib
from dataclasses import dataclass

from trainables.data.sample.model import Design, Model
from trainables.data.sample.palette import family

KINDS = (
    "backpack", "bottle", "bowl", "camera", "candle", "chair", "handbag", "hat", "headphones", "mug", "plant_pot",
    "ring", "sneaker", "speaker", "sunglasses", "table_lamp", "teapot", "toy_car", "vase", "wristwatch",
)
"""Modules of `trainables.data.sample.kinds`, one a kind."""

LOOKS = ("vintage", "sport", "neon", "minimal", "warm_film", "ink")
"""The preset looks a product may suit and a clip may be shown in."""


@dataclass(frozen=True)
class Product:
    """A design with its place in the catalogue."""

    product_id: str
    kind: str
    design: Design

    def model(self, seed: int = 0) -> Model:
        """The product as the renderer wants it; `seed` and the id move veins, flecks and grain."""
        return self.design.make(zlib.crc32(f"{seed}/{self.product_id}".encode()) % 100_000)

    def row(self) -> dict[str, str]:
        """The product's line in `products.csv`."""
        design = self.design
        return {
            "product_id": self.product_id,
            "title": design.title,
            "category": self.kind.replace("_", " "),
            "description": design.description,
            "price": f"{design.price:.2f}",
            "creator": design.creator,
            "tags": ";".join(design.tags),
            "colour": family(design.colour),
            "look": design.look,
        }


COLUMNS = ("product_id", "title", "category", "description", "price", "creator", "tags", "colour", "look")
"""Columns of `products.csv`."""


def catalogue() -> list[Product]:
    """Every product, by kind and then in the order of the designs."""
    products = []
    for kind in KINDS:
        designs = importlib.import_module(f"trainables.data.sample.kinds.{kind}").DESIGNS
        products += [Product(f"{kind.replace('_', '-')}-{i:02d}", kind, design) for i, design in enumerate(designs, 1)]
    return products
