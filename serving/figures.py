"""The figures of `GET /metrics` as a person wants them: rates, quantiles and shares between two readings."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

REQUESTS = "http_server_request_duration_seconds"
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Route:
    """One route in the time between two readings."""

    name: str
    """Method and route."""
    per_second: float
    failed: float
    """Share of answers with a status of 500 or more, 0…1."""
    refused: float
    """Share of 429, 0…1."""
    p50_s: float
    p99_s: float


class Reading:
    """One answer of `/metrics`, taken at `at_s` on some clock."""

    def __init__(self, text: str, at_s: float) -> None:
        self.at_s = at_s
        self._values: dict[str, dict[Labels, float]] = defaultdict(dict)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "replica"))
                self._values[sample.name][labels] = sample.value

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples with these labels; 0 where there are none."""
        return sum(value for _, value in self._matching(name, labels))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by one label."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self._matching(name, {}):
            sums[dict(found)[label]] += value
        return dict(sums)

    def since(self, before: Reading, name: str, **labels: str) -> float:
        """By how much a counter has grown; a counter that began anew has grown by what it says."""
        old = before._values.get(name, {})
        grown = ((value, value - old.get(found, 0.0)) for found, value in self._matching(name, labels))
        return sum(value if change < 0 else change for value, change in grown)

    def mean_since(self, before: Reading, name: str) -> float:
        """Mean of a histogram's observations between the readings; NaN where there are none."""
        count = self.since(before, f"{name}_count")
        return self.since(before, f"{name}_sum") / count if count else math.nan

    def routes_since(self, before: Reading) -> list[Route]:
        """What was asked between the readings, the busiest first."""
        seconds = max(1e-9, self.at_s - before.at_s)
        names = {
            (labels["http_request_method"], labels["http_route"])
            for labels in map(dict, self._values.get(f"{REQUESTS}_count", ()))
        }
        routes = []
        for method, route in names:
            where = {"http_request_method": method, "http_route": route}
            statuses = self._statuses_since(before, where)
            if count := sum(statuses.values()):
                routes.append(
                    Route(
                        name=f"{method} {route}",
                        per_second=count / seconds,
                        failed=sum(n for status, n in statuses.items() if status >= "500") / count,
                        refused=statuses.get("429", 0.0) / count,
                        p50_s=self._quantile(before, 0.5, where),
                        p99_s=self._quantile(before, 0.99, where),
                    )
                )
        return sorted(routes, key=lambda route: -route.per_second)

    def _statuses_since(self, before: Reading, where: dict[str, str]) -> dict[str, float]:
        name = f"{REQUESTS}_count"
        known = {dict(found)["http_response_status_code"] for found, _ in self._matching(name, where)}
        return {status: self.since(before, name, **where, http_response_status_code=status) for status in known}

    def _quantile(self, before: Reading, share: float, where: dict[str, str]) -> float:
        """Upper bound of the bucket the quantile lies in, seconds."""
        name = f"{REQUESTS}_bucket"
        bounds = sorted({dict(found)["le"] for found, _ in self._matching(name, where)}, key=float)
        below = {bound: self.since(before, name, **where, le=bound) for bound in bounds}
        wanted = share * below[bounds[-1]]
        return float(next(bound for bound in bounds if below[bound] >= wanted))

    def _matching(self, name: str, labels: dict[str, str]) -> list[tuple[Labels, float]]:
        wanted = set(labels.items())
        return [(found, value) for found, value in self._values.get(name, {}).items() if wanted <= set(found)]
