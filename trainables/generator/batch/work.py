"""Do a list of clips one after the other: what is there is left, what is bad is named, the others still get done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cluster.errors import ShopreelError
from trainables.generator.batch.files import is_whole, write_clip
from trainables.generator.provenance import Provenance


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to be made."""

    name: str
    """What a person calls it: the clip, or `CLIP__STYLE`."""
    out: Path
    make: Callable[[], tuple[np.ndarray, float]]
    """Frames uint8 (T, H, W, 3) and frames a second; raises a ShopreelError for a bad input."""
    provenance: Provenance
    check: Callable[[np.ndarray], tuple[str, ...]] | None = None
    """Why the made frames are not fit to be shown, a line a reason; None leaves them unchecked."""


@dataclass
class Outcome:
    """What became of a list of jobs."""

    made: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Already there and whole."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason."""
    doubtful: list[tuple[str, str]] = field(default_factory=list)
    """Made, but not fit to be shown: name and reasons."""


def run_jobs(
    jobs: Sequence[Job], outcome: Outcome, *, overwrite: bool, on_job: Callable[[str], None] = lambda name: None
) -> Outcome:
    """Fill in `outcome`, which may already name what could not become a job; `on_job` is told each finished name."""
    for job in jobs:
        if not overwrite and is_whole(job.out):
            outcome.skipped.append(job.name)
        else:
            try:
                frames, fps = job.make()
                write_clip(job.out, frames, fps, job.provenance)
                outcome.made.append(job.name)
                if job.check is not None and (reasons := job.check(frames)):
                    outcome.doubtful.append((job.name, "; ".join(reasons)))
            except (ShopreelError, OSError) as error:
                outcome.failed.append((job.name, str(error)))
        on_job(job.name)
    return outcome
