"""Sweeps: search spaces, schedulers, Ray Tune over Ray Train."""
