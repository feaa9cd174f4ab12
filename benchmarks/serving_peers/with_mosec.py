"""mosec: two worker processes. Its own flags (`--port`) are read from the command line."""

from __future__ import annotations

from typing import Any

import mosec

from benchmarks.serving_peers.rendering import Rendering


class Clips(mosec.Worker):
    def __init__(self) -> None:
        super().__init__()
        self.render = Rendering()

    def forward(self, data: dict[str, Any]) -> bytes:
        return self.render(data)

    def serialize(self, data: bytes) -> bytes:
        return data


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Clips, num=2, timeout=120, route="/v1/clips")
    server.run()
