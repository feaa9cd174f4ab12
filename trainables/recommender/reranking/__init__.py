"""From ranked candidates to a slate: variety, caps, freshness, stock and the shop's own rules."""
