"""The shop's products and their own clips, as the ingress shows them.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from urllib.parse import quote

from PIL import Image

from cluster.errors import InputError
from serving.messages import Product
from serving.problems import Problem
from trainables.data.dataset import Dataset
from trainables.data.video import encode_mp4
from trainables.generator.provenance import Provenance

POSTER_QUALITY = 85


@dataclass(frozen=True)
class Listing:
    """A product, and its first clip where it has one."""

    product: Product
    clip_id: str | None


class Catalogue:
    """Products by id, read once; clips are read from the dataset when asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        clips: dict[str, str] = {}
        if dataset.has("clips"):
            table = dataset.arrow("clips", ["product_id", "clip_id"])
            for product_id, clip_id in zip(table["product_id"].to_pylist(), table["clip_id"].to_pylist(), strict=True):
                clips.setdefault(product_id, clip_id)
        if not clips:
            raise InputError(
                f"dataset {dataset.name!r} has no clips to serve; "
                f"import some with `shopreel import clips DIR --as {dataset.name}`"
            )
        rows = dataset.arrow("products", ["product_id", "title", "category", "price"]).to_pylist()
        self._listings = {row["product_id"]: Listing(_product(row), clips.get(row["product_id"])) for row in rows}

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._listings

    def __getitem__(self, product_id: str) -> Listing:
        """The listing; a Problem 404 for an unknown product."""
        if product_id not in self._listings:
            raise Problem(404, f"there is no product {product_id[:80]!r}")
        return self._listings[product_id]

    def shows(self, product_id: str) -> bool:
        """Whether the product is known here and has a clip; what was imported since the start is not."""
        return product_id in self and self[product_id].clip_id is not None

    def source(self, product_id: str) -> str:
        """Id of the product's clip; a Problem 404 where there is none."""
        clip_id = self[product_id].clip_id
        if clip_id is None:
            raise Problem(404, f"product {product_id!r} has no clip")
        return clip_id

    def sources(self) -> list[str]:
        """Ids of every product's clip."""
        return [listing.clip_id for listing in self._listings.values() if listing.clip_id is not None]

    def original_mp4(self, product_id: str) -> bytes:
        """The product's own clip as H.264; its metadata say that it is not generated. Reads and encodes: call it in a
        thread.
        """
        clip = self._dataset.clip(product_id)
        provenance = Provenance(task="original", product=product_id)
        return encode_mp4(clip.frames_THWC, clip.fps, metadata=provenance.metadata())

    def poster_jpeg(self, product_id: str) -> bytes:
        """First frame of the product's clip. Reads and encodes: call it in a thread."""
        sink = io.BytesIO()
        Image.fromarray(self._dataset.clip(product_id).frames_THWC[0]).save(sink, "JPEG", quality=POSTER_QUALITY)
        return sink.getvalue()


def _product(row: dict) -> Product:
    base = f"/v1/products/{quote(row['product_id'], safe='')}"
    return Product(
        id=row["product_id"],
        title=row["title"],
        category=row["category"],
        price=None if row["price"] is None else round(row["price"], 2),
        clip_url=f"{base}/clip",
        poster_url=f"{base}/poster.jpg",
    )
