"""Retrieval: candidates out of the whole catalogue."""
