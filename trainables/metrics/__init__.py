"""Ranking, image and motion measures: pure functions on arrays."""
