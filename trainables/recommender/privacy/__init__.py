"""Forgetting a viewer, noise with a stated ε, sums over silos, and exports of groups only."""
