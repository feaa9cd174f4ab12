"""Which products are held out: a fixed hash of the product id, so no later import ever moves one across."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HELD_OUT_SHARE = 0.1


def split_products(product_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """(training, held out), each in the order of the hash; a tenth is held out, at least one of two or more."""
    ranked = sorted((hashlib.sha256(p.encode()).hexdigest(), p) for p in set(product_ids))
    limit = f"{int(HELD_OUT_SHARE * 16**8):08x}"
    held = sum(digest[:8] < limit for digest, _ in ranked)
    if held == 0 and len(ranked) > 1:
        held = 1
    return [p for _, p in ranked[held:]], [p for _, p in ranked[:held]]
