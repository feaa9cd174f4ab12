"""In which look a viewer's clips are shown: chosen by the look bandit, learned from what viewers took to.

Every choice is logged with its propensities. The sampler is counted anew from that log and the event store, every so
often, so it survives restarts, is the same in every ingress replica, and forgets whom the database forgot.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from serving.args import LookArgs
from serving.database import now_ms
from serving.event_store import EventStore
from serving.look_choices import LookChoices
from serving.repeated import Repeated
from trainables.recommender.feedback import DAY_MS
from trainables.recommender.looks.outcomes import outcomes
from trainables.recommender.looks.thompson import Choice, LookBandit


class LearnedLooks:
    """Chooses looks for one ingress replica."""

    def __init__(self, choices: LookChoices, events: EventStore, styles: Sequence[str], args: LookArgs) -> None:
        self._choices, self._events, self._args = choices, events, args
        self._styles = tuple(styles)
        self._bandit = LookBandit(self._styles, args.bandit_config())

    def choose(self, viewer_id: str, weights: Mapping[str, float]) -> Choice:
        """A look for a viewer (a pseudonym) whose own is a mixture of presets with these weights.

        Within `hold_s` seconds the same number decides, so a viewer's look does not change with every feed.
        """
        window = int(time.time() / self._args.hold_s)
        drawn = hashlib.sha256(f"{viewer_id} {window}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(drawn[:8]))
        bandit = self._bandit
        return bandit.choose(bandit.context(weights), rng)

    def keep(self, request_id: str, viewer_id: str, weights: Mapping[str, float], choice: Choice) -> None:
        """Log a choice that the viewer is shown."""
        self._choices.keep(request_id, viewer_id, choice.style, choice.propensities, weights)

    def learn(self) -> None:
        """Count what came of the choices of the last `memory_days`, save those of the last `settle_s` seconds, whose
        viewers have hardly looked.
        """
        now = now_ms()
        since = now - int(self._args.memory_days * DAY_MS)
        self._choices.drop_before(since)
        chosen = self._choices.between(since, now - int(self._args.settle_s * 1000))
        fresh = LookBandit(self._styles, self._args.bandit_config())
        known = outcomes(chosen, self._events.of_looks(since), fresh)
        fresh.update_all(known.style_N, known.context_ND, known.reward_N)
        self._bandit = fresh

    def start(self, every_s: float) -> None:
        """Learn in the background, at once and then at this interval (seconds)."""
        Repeated("learned-looks", self.learn, every_s).start()
