"""Consent: a viewer who has not agreed is served as a stranger, and nothing of what they do is kept."""

from __future__ import annotations

import uuid

from serving.messages import EventIn, FeedRequest, HostsRequest, RecommendRequest


class Consent:
    """Reads the flag of a request; `assumed` is what silence means."""

    def __init__(self, assumed: bool) -> None:
        self._assumed = assumed

    def given(self, said: EventIn | FeedRequest | HostsRequest | RecommendRequest) -> bool:
        """Whether what this request brings may be kept and used for its viewer."""
        return self._assumed if said.consent is None else said.consent

    def viewer(self, request: FeedRequest | HostsRequest | RecommendRequest) -> str:
        """Whom to recommend for: the viewer, or somebody nobody knows anything of."""
        return request.viewer if self.given(request) else uuid.uuid4().hex
