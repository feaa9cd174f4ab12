"""Sweeps of the recommender."""
