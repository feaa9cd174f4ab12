"""LitServe: two workers."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from fastapi import Response

from benchmarks.serving_peers.rendering import Rendering


class Clips(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.render = Rendering()

    def decode_request(self, request):  # LitServe reads annotations, and without one hands over the JSON
        return request

    def predict(self, body: dict[str, Any]) -> bytes:
        return self.render(body)

    def encode_response(self, made: bytes) -> Response:
        return Response(made, media_type="video/mp4")


if __name__ == "__main__":
    server = litserve.LitServer(Clips(api_path="/v1/clips"), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
