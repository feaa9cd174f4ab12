"""Retrieval, taste, evaluation and bundles of the recommender."""
