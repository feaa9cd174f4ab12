"""The versions of the recommender that one replica has at hand, each kept up to date with the shop's events.

No request waits for a version to be loaded: until it is there, one that is answers and says so.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import ShopreelError
from serving.live_hosts import LiveHosts
from serving.live_model import LiveModel

logger = logging.getLogger("ray.serve")

HELD = 2
"""Versions at hand: what is served, and what is on trial or was served before. Each is counted anew by the minute."""
RETRY_S = 10.0
"""A version that could not be loaded is tried again this much later, where it is still asked for."""


@dataclass(frozen=True)
class LiveVersion:
    """One version at hand."""

    reference: str
    live: LiveModel
    hosts: LiveHosts

    def stop(self) -> None:
        """End what is done for it in the background."""
        self.hosts.stop()
        self.live.stop()


class LiveVersions:
    """Versions by reference; safe to share between threads."""

    def __init__(self, first: LiveVersion, load: Callable[[str], LiveVersion]) -> None:
        """`load` makes a version, up to date; it raises LoadError or another ShopreelError where it cannot."""
        self._load = load
        self._held = OrderedDict({first.reference: first})  # the one asked for last is at the end
        self._turn, self._change = threading.Lock(), threading.Lock()
        self._loading: set[str] = set()
        self._tried_at: dict[str, float] = {}

    def get(self, reference: str) -> LiveVersion:
        """The version where it is at hand; else the one asked for last, while it is loaded in the background."""
        with self._change:
            if reference in self._held:
                self._held.move_to_end(reference)
                return self._held[reference]
            fallback = next(reversed(self._held.values()))
            due = time.monotonic() >= self._tried_at.get(reference, -math.inf) + RETRY_S
            if due and reference not in self._loading:
                self._loading.add(reference)
                threading.Thread(target=self._load_unasked, args=(reference,), daemon=True, name="load-version").start()
        return fallback

    def load(self, reference: str) -> None:
        """Have the version at hand; returns when it is. Raises what `load` raises."""
        with self._turn:
            if reference not in self._held:
                self._keep(self._load(reference))

    def _load_unasked(self, reference: str) -> None:
        try:
            self.load(reference)
        except ShopreelError:
            logger.exception("%s cannot be loaded; another version answers for it", reference)
        finally:
            with self._change:
                self._tried_at[reference] = time.monotonic()
                self._loading.discard(reference)

    def _keep(self, version: LiveVersion) -> None:
        with self._change:
            gone = [self._held.popitem(last=False)[1] for _ in range(len(self._held) + 1 - HELD)]
            self._held[version.reference] = version
        for old in gone:
            # It may be in the middle of a count; nobody waits for its end.
            threading.Thread(target=old.stop, daemon=True, name="stop-version").start()
