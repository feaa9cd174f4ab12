"""BentoML: a service of two workers; started by `bentoml serve`."""

from __future__ import annotations

from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from benchmarks.serving_peers.rendering import Rendering


@bentoml.service(workers=2, traffic={"timeout": 120})
class Clips:
    def __init__(self) -> None:
        self.render = Rendering()

    @bentoml.api(route="/v1/clips")
    def clips(self, product_id: str, style: str, strength: float) -> Annotated[bytes, ContentType("video/mp4")]:
        return self.render({"product_id": product_id, "style": style, "strength": strength})
