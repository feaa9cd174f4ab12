"""Schemas, importers, video decode and encode, camera moves, Ray Data pipelines."""
