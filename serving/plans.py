"""The clips a feed still owes, signed into its events URL: any ingress replica can follow them, none must remember."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
import zlib
from dataclasses import asdict, dataclass

from cluster.pseudonym import Pseudonymiser
from serving.problems import Problem

FOLLOWED_S = 900
"""How long after its feed a plan can be followed, seconds."""
LONGEST = 16_384
"""Characters of a token that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one feed promised; nothing in it names the viewer."""

    products: tuple[str, ...]
    weights: dict[str, float]
    """The look, as shares of presets."""
    generator: str
    """Version every clip of the feed is rendered by."""
    made_at: int
    """Seconds since 1970."""


class Plans:
    """Signs plans with the installation's key and reads them back."""

    def __init__(self, pseudonymiser: Pseudonymiser) -> None:
        self._pseudonymiser = pseudonymiser

    def sign(self, plan: Plan) -> str:
        """The plan as a token of URL-safe characters."""
        packed = zlib.compress(json.dumps(asdict(plan), separators=(",", ":")).encode(), 9)
        payload = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        return f"{payload}.{self._signature(payload)}"

    def read(self, token: str) -> Plan:
        """The plan; a Problem 404 for a token that is not ours, or too old."""
        payload, _, signature = token[:LONGEST].rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            raise Problem(404, "there is no such feed; take events_url from the feed's answer")
        try:
            packed = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
            said = json.loads(zlib.decompress(packed))
        except (binascii.Error, zlib.error, json.JSONDecodeError) as error:
            raise Problem(404, "there is no such feed; take events_url from the feed's answer") from error
        if time.time() - said["made_at"] > FOLLOWED_S:
            raise Problem(404, f"this feed is older than {FOLLOWED_S // 60} minutes; ask for a new one")
        return Plan(**{**said, "products": tuple(said["products"])})

    def _signature(self, payload: str) -> str:
        return self._pseudonymiser.of(f"feed plan {payload}")
