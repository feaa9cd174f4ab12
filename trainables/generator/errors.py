"""What can go wrong in a training, in words a user can act on."""

from __future__ import annotations

from cluster.errors import ShopreelError


class TrainingDiverged(ShopreelError):  # noqa: N818 - reads as what happened
    """A loss is not a finite number any more."""

    exit_code = 5
