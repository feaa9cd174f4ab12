"""The log of a replica: what went wrong is in it at once."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler


def write_warnings_at_once() -> None:
    """Serve keeps a replica's lines in memory until there are a hundred or an error is among them, and without a log of
    requests that may be never; call it in a replica's `__init__`.
    """
    for handler in logging.getLogger("ray.serve").handlers:
        if isinstance(handler, MemoryHandler):
            handler.flushLevel = logging.WARNING
