"""Sweeps of the generator."""
