"""Fixtures of more than one unit test module."""

from tests.serving_site import catalogue, site

__all__ = ["catalogue", "site"]
