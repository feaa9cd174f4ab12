"""Noise, kind, look and text → a new clip."""
