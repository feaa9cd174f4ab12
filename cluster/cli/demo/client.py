"""The demo as an HTTP client of the endpoint: what any shop's front end would send."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 120.0


@dataclass
class DemoClient:
    """Sends requests, counts the statuses, keeps the clips."""

    base_url: str
    clips: Path
    """Folder the clips are written to."""
    statuses: Counter[str] = field(default_factory=Counter)
    """How often each answer came: `POST /v1/feed 200` → count."""

    def feed(self, viewer: str, k: int = 8) -> dict[str, Any]:
        """A viewer's slate with rendered clips."""
        return self._send("POST", "/v1/feed", json={"viewer": viewer, "k": k}).json()

    def recommend(self, viewer: str, k: int = 8) -> list[str]:
        """Product ids of a viewer's slate, best first."""
        answer = self._send("POST", "/v1/recommend", json={"viewer": viewer, "k": k}).json()
        return [item["product"]["id"] for item in answer["items"]]

    def click(self, viewer: str, product_id: str) -> None:
        """Store one click and wait for the acknowledgement."""
        event = {"event_id": uuid.uuid4().hex, "viewer": viewer, "product_id": product_id, "event_type": "click"}
        self._send("POST", "/v1/events", json=event)

    def save(self, path: str, name: str) -> Path:
        """Download a clip."""
        return self._keep(self._send("GET", path), name)

    def render(self, product_id: str, weights: dict[str, float], name: str) -> Path:
        """One product in a look given as a blend of presets."""
        return self._keep(self._send("POST", "/v1/clips", json={"product_id": product_id, "style": weights}), name)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        response = httpx.request(method, self.base_url + path, timeout=TIMEOUT_S, **arguments)
        route = "/".join(path.split("/")[:3])
        self.statuses[f"{method} {route} {response.status_code}"] += 1
        response.raise_for_status()
        return response

    def _keep(self, response: httpx.Response, name: str) -> Path:
        target = self.clips / f"{name}.mp4"
        target.write_bytes(response.content)
        return target
