"""Clip + look → the same product in that look."""
