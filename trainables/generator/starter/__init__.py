"""Weights that come with the package: one bundle a task, and the script that trains them from scratch."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import NotFoundError


def start_bundle(value: str | None, task: str) -> Path | None:
    """What `--start` names: `starter`, a bundle folder, or nothing."""
    if value is None:
        return None
    return starter_bundle(task) if value == "starter" else Path(value)


def starter_bundle(task: str) -> Path:
    """Folder of the packaged bundle of a task."""
    folder = Path(__file__).parent / task
    if not (folder / "config.json").is_file():
        raise NotFoundError(f"this package carries no starter weights for {task!r}")
    return folder
