"""The beginning and the end of a trial, whatever it trains, and what a sweep that is taken up again finds of it.

Tune writes its state down every ten seconds or so, and what happened since would happen again. So the `run.json` of a
trial's folder says at once which MLflow run is its own and what it ended with.
"""

from __future__ import annotations

import importlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ray import tune

from cluster.errors import ShopreelError, StorageError, without_password
from cluster.mlflow_store import connect, failures

if TYPE_CHECKING:
    from cluster.settings import Settings
    from trainables.runs.folder import RunFolder
    from tuning.task import TrialTask

PATIENCE_S, PAUSE_S = 600.0, 5.0
"""How long a trial waits for MLflow, and between two tries."""
log = logging.getLogger(__name__)


def run(point: Mapping[str, Any], task: TrialTask, module: str) -> None:
    """Tune's trainable of every subject. What a trial trains with takes seconds to import, and only its own process
    needs it.
    """
    importlib.import_module(module).run_trial(point, task)


def begin(folder: RunFolder, task: TrialTask) -> bool:
    """Whether there is anything to do. A trial that had come to its end says once more what came of it, and one that
    failed for a reason of its own fails for it again.

    Where MLflow is away the trial waits for it: to fail at once would use up all trials of the sweep within minutes.
    """
    known = folder.noted()
    # Others may have gone on from a trial of a population, and it from them, so its end is not a thing by itself.
    if "ended" in known and not task.exploits:
        tune.report(known["ended"])
        return False
    if "failed" in known and not task.exploits:
        raise ShopreelError(known["failed"])
    _wait_for_tracking(task.settings)
    if known and "run_id" not in known and (run_id := _run_named(folder.name, task)):
        folder.note(run_id=run_id)
    return True


@contextmanager
def failing_for_good(folder: RunFolder) -> Iterator[None]:
    """Tune starts a trial that failed again, for its process may have died with its machine. A reason that another
    start does not mend is kept.
    """
    try:
        yield
    except StorageError:
        raise
    except ShopreelError as error:
        if folder.noted():
            folder.note(failed=str(error))
        raise


def end(folder: RunFolder, said: dict[str, float]) -> None:
    """The last report of a trial, once it is kept. ShopreelError where a measure is no number, which no other could be
    compared with.
    """
    for name, value in said.items():
        if not math.isfinite(value):
            raise ShopreelError(f"trial {folder.name!r} ended with {name} {value}; its settings do not train")
    folder.note(ended=said)
    tune.report(said)


def _wait_for_tracking(settings: Settings) -> None:
    """Until MLflow answers, or patience ends; the trial itself then fails with the reason."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            connect(settings.tracking_uri).search_experiments(max_results=1)
            return
        except (*failures(), StorageError) as error:
            log.warning("waiting for MLflow at %s: %s", without_password(settings.tracking_uri), error)
            time.sleep(PAUSE_S)


def _run_named(name: str, task: TrialTask) -> str | None:
    """The MLflow run of a trial that was killed between making it and noting which it is, perhaps before it could say
    there whose child it is.
    """
    client = connect(task.settings.tracking_uri)
    parent = client.get_run(task.parent_run_id).info
    wanted = f"attributes.run_name = '{name}' and attributes.start_time >= {parent.start_time}"
    found = client.search_runs([parent.experiment_id], wanted, max_results=1)
    return found[0].info.run_id if found else None
