"""What a sweep has suggested and learned, on the storage at once: a sweep whose driver is killed loses none of it.

Ray Tune writes its own state down every now and then; a point suggested after that would be suggested anew with other
settings, under a name that already has a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cluster.storage import Storage

State = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Journal:
    """`sweeps/NAME/journal.json`: a line a point, by number. Picklable."""

    storage_root: str
    sweep: str

    @property
    def path(self) -> str:
        """Below the storage root."""
        return f"sweeps/{self.sweep}/journal.json"

    def points(self) -> dict[int, dict[str, Any]]:
        """Number → `settings` and, once it has ended, `state` and `values` (what it was told with)."""
        storage = Storage(self.storage_root)
        if not storage.exists(self.path):
            return {}
        return {int(number): point for number, point in storage.read_json(self.path).items()}

    def suggested(self, number: int, settings: dict[str, float]) -> None:
        """Note a new point."""
        self._note(number, {"settings": settings})

    def ended(self, number: int, state: State, values: list[float]) -> None:
        """Note how a point ended."""
        self._note(number, {"state": state, "values": values})

    def _note(self, number: int, said: dict[str, Any]) -> None:
        points = self.points()
        points[number] = points.get(number, {}) | said
        Storage(self.storage_root).write_json(self.path, {str(key): point for key, point in points.items()})
