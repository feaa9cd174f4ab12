"""Attacks with planted profiles, and weights that take their influence away."""
