"""A sweep: Ray Tune over Ray Train runs, a scheduler against time, Optuna for the points, MLflow for the record.

One parent run in MLflow, one child run a trial. A trial that fails, fails alone. Below the storage root a sweep leaves
`best.yaml` and `report.html` in `sweeps/NAME`. One whose driver was killed is taken up again by its name: what it is
about is in `sweep.json`, its points in `journal.json`, its trials in the folders of their runs, what Ray Tune knows of
them in `tune/`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cluster.config import from_dict, to_dict
from cluster.errors import InputError, ShopreelError, StorageError, without_password
from cluster.mlflow_store import connect, failures
from cluster.runtime import ray_session, resources_within_reach
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun, code_version
from trainables.data.dataset import Dataset, check_name
from trainables.runs.driver_lock import alone
from trainables.runs.folder import RunFolder
from tuning.config import SweepConfig
from tuning.journal import Journal
from tuning.objective import OBJECTIVE, PARTS, RUNNING, STEP
from tuning.outcome import SweepResult, TrialOutcome
from tuning.report import report
from tuning.slots import memory_of_a_slot
from tuning.space import apply, said_of
from tuning.subject import Subject, subject_named
from tuning.task import TrialTask, trial_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from ray.tune import Callback, ResultGrid

TUNE_ENVIRONMENT = {
    # Ctrl-C must end the sweep as it ends any command; Tune would catch it and return half a result.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's newer output ignores `verbose=0`; the table of this package is what a person reads.
    "RAY_AIR_NEW_OUTPUT": "0",
}

GIB_A_WORKER = 2.0
"""Memory set aside for each worker of a trial when the number of trials at a time is worked out."""
RESTARTS = 3
"""Times a trial is started again whose process died, as often as the workers of a training are."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a sweep is about, `sweep.json`."""

    subject: str
    data: str
    data_hash: str
    sweep: SweepConfig
    base: Any
    """Config that the trials' points change, of the subject's kind."""
    start: str | None
    parent_run_id: str

    @classmethod
    def read(cls, storage: Storage, name: str) -> _Plan:
        """Of a sweep that was begun."""
        path = f"sweeps/{name}/sweep.json"
        if not storage.exists(path):
            raise InputError(f"there is no sweep {name!r} at {storage.uri('sweeps')} to take up again")
        said = storage.read_json(path)
        base = subject_named(said["subject"]).config_class
        settings = {"sweep": from_dict(SweepConfig, said["sweep"]), "base": from_dict(base, said["base"])}
        return cls(**said | settings)


def planned(subject: Subject, config: SweepConfig) -> SweepConfig:
    """The settings with a name, and with the subject's own space where none is given. Raises InputError where the
    subject cannot be swept like that.
    """
    name = check_name(config.name or f"sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    check_name(trial_name(name, config.trials - 1))
    config = replace(config, name=name, space=config.space or subject.space)
    subject.check(config)
    return config


def run_sweep(
    settings: Settings,
    subject: Subject,
    data_name: str,
    config: SweepConfig,
    base: Any,
    *,
    start: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> SweepResult:
    """Try `config.trials` points around `base` and write down the best. Ray is started where it is not up.

    Every trial begins with the weights of the bundle `start`, where one is given.

    ShopreelError where every trial failed; the reasons are in it.
    """
    storage = Storage(settings.storage_root)
    dataset, config = Dataset.open(storage, data_name), planned(subject, config)
    name = config.name
    if storage.exists(f"sweeps/{name}/sweep.json"):
        raise InputError(
            f"sweep {name!r} exists at {storage.uri(f'sweeps/{name}')}; take it up again with --resume {name}, or give "
            "this one another --name"
        )
    trials = {trial_name(name, number) for number in range(config.trials)}
    if taken := sorted(trials.intersection(storage.list("runs"))):
        raise InputError(
            f"run {taken[0]!r} exists at {storage.uri(f'runs/{taken[0]}')} and is no trial of this sweep; delete that "
            "folder, or give the sweep another --name"
        )
    plan = _Plan(
        subject=subject.name,
        data=data_name,
        data_hash=dataset.content_hash(),
        sweep=config,
        base=subject.prepared(base, config, dataset),
        start=str(start.resolve()) if start else None,
        parent_run_id="",
    )
    return _run(settings, storage, plan, callbacks)


def begun(settings: Settings, name: str, subject: Subject) -> SweepConfig:
    """What a sweep was begun with. Raises InputError where there is none of that name, or of another subject."""
    plan = _Plan.read(Storage(settings.storage_root), check_name(name))
    if plan.subject != subject.name:
        raise InputError(f"sweep {name!r} is one of the {plan.subject}; resume it with `shopreel tune {plan.subject}`")
    return plan.sweep


def resume_sweep(settings: Settings, name: str, *, callbacks: tuple[Callback, ...] = ()) -> SweepResult:
    """Take up a sweep whose driver was killed: trials that ended stay as they are, the others go on from their newest
    checkpoints, each in the MLflow run it had. A sweep that was finished is measured up again.
    """
    storage = Storage(settings.storage_root)
    plan = _Plan.read(storage, check_name(name))
    if Dataset.open(storage, plan.data).content_hash() != plan.data_hash:
        raise InputError(f"dataset {plan.data!r} has changed since sweep {name!r} began; start a new sweep")
    return _run(settings, storage, plan, callbacks)


def _run(settings: Settings, storage: Storage, plan: _Plan, callbacks: tuple[Callback, ...]) -> SweepResult:
    config, name = plan.sweep, plan.sweep.name
    params = {"sweep": to_dict(config), "base": to_dict(plan.base)}
    tracked = TrackedRun(
        settings,
        name,
        kind="sweep",
        run_id=plan.parent_run_id or None,
        params=params,
        lineage={"data_name": plan.data, "data_hash": plan.data_hash, "code_version": code_version()},
    )
    told = f"sweep {name!r} is being run by another command"
    with alone(storage, f"sweeps/{name}", told, "give this one another --name"), tracked as run:
        # Before Ray starts, which takes a while: a sweep that is killed meanwhile is known by its name, and its run.
        plan = replace(plan, parent_run_id=run.run_id)
        storage.write_json(f"sweeps/{name}/sweep.json", vars(plan) | params)
        trials = _tried(settings, storage, plan, callbacks)
        best = min((trial for trial in trials if trial.objective is not None), key=lambda trial: trial.objective)
        _write_down(storage, plan, run, trials, best)
    return SweepResult(
        name=name,
        parent_run_id=run.run_id,
        trials=tuple(trials),
        best=best,
        best_config_path=storage.uri(f"sweeps/{name}/best.yaml"),
        report_path=storage.uri(f"sweeps/{name}/report.html"),
    )


def _tried(settings: Settings, storage: Storage, plan: _Plan, callbacks: tuple[Callback, ...]) -> list[TrialOutcome]:
    """What came of all trials; of one at least, a held-out measure."""
    trials: list[TrialOutcome] = []
    with ray_session(settings), _children_closed(settings, plan.parent_run_id, trials):
        trials += _outcomes(_tune(settings, storage, plan, callbacks), storage)
    name, wanted = plan.sweep.name, plan.sweep.trials
    if len(trials) < wanted:
        raise ShopreelError(
            f"sweep {name!r}: {len(trials)} trials of {wanted} ran, for Ray Tune could not take up its own state; "
            f"delete {storage.uri(f'sweeps/{name}/tune')} and --resume {name}: what was trained is kept"
        )
    if all(trial.objective is None for trial in trials):
        reasons = "; ".join(sorted({trial.error for trial in trials if trial.error})) or "none ran to its end"
        raise ShopreelError(f"sweep {name!r}: no trial of {len(trials)} finished: {reasons}")
    return trials


def _write_down(
    storage: Storage, plan: _Plan, run: TrackedRun, trials: Sequence[TrialOutcome], best: TrialOutcome
) -> None:
    """The best settings and the report, below the storage root and in MLflow."""
    name, subject = plan.sweep.name, subject_named(plan.subject)
    finished = sum(trial.objective is not None for trial in trials)
    best_yaml = yaml.safe_dump(_best_config(subject, plan.base, best), sort_keys=False)
    run.log_metrics({"best_objective": best.objective, "trials": len(trials), "finished": finished}, step=0)
    run.set_tag("best_trial", best.name)
    run.set_tag("best_settings", best_yaml)
    storage.write_bytes(f"sweeps/{name}/best.yaml", best_yaml.encode())
    page = report(storage, subject, plan.sweep, trials, best)
    storage.write_bytes(f"sweeps/{name}/report.html", page.encode())
    with tempfile.TemporaryDirectory() as scratch:
        for file, text in (("best.yaml", best_yaml), ("report.html", page)):
            (Path(scratch) / file).write_text(text, encoding="utf-8")
        run.log_folder(Path(scratch), "sweep")


def _best_config(subject: Subject, base: Any, best: TrialOutcome) -> dict[str, Any]:
    """What `best.yaml` says: all that the best trial was trained with, the base's settings as well as its own."""
    return said_of(apply(base, best.settings), best.settings, left_out=subject.of_trials)


def _tune(settings: Settings, storage: Storage, plan: _Plan, callbacks: tuple[Callback, ...]) -> ResultGrid:
    os.environ.update(TUNE_ENVIRONMENT)
    # It tells of every trial that takes its turn again before its log has been copied to the storage.
    logging.getLogger("ray.tune.logger.logger").setLevel(logging.ERROR)
    import ray
    from ray import tune

    from tuning.schedulers import scheduler
    from tuning.search import OptunaSearch
    from tuning.space import settings_of
    from tuning.trial import run

    config, name, subject = plan.sweep, plan.sweep.name, subject_named(plan.subject)
    task = TrialTask(
        settings=settings,
        sweep_name=name,
        data_name=plan.data,
        base=plan.base,
        steps=config.steps,
        stops=config.scheduler in ("asha", "median"),
        start=Path(plan.start) if plan.start else None,
        workers=config.workers_per_trial,
        parent_run_id=plan.parent_run_id,
        exploits=config.scheduler == "pbt",
    )
    cluster = resources_within_reach()
    needed = subject.resources(config.workers_per_trial, cluster.get("GPU", 0))
    at_a_time = min(config.trials, config.concurrency or room(subject, config.workers_per_trial, cluster))
    if task.exploits:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if memory := memory_of_a_slot(machines, needed, at_a_time):
            needed |= {"memory": memory}
    trainable = tune.with_parameters(run, task=task, module=subject.trial_module)
    trainable = tune.with_resources(trainable, needed)
    if has_trials(storage, f"sweeps/{name}/tune"):
        folder = storage.path(f"sweeps/{name}/tune")
        restored = tune.Tuner.restore(folder, trainable, storage_filesystem=storage.filesystem)
        # Tune's state holds the callbacks of the process that was broken off; it has no public way to give it others.
        restored._local_tuner._run_config.callbacks = list(callbacks)
        return restored.fit()
    storage.delete(f"sweeps/{name}/tune")
    search = OptunaSearch(config, Journal(settings.storage_root, name), first=settings_of(plan.base, config.space))
    # Tune's population based training takes no search: its trials begin at points that are drawn beforehand.
    drawn = [search.suggest(str(number))["settings"] for number in range(config.trials if task.exploits else 0)]
    numbers = tune.grid_search(list(range(config.trials)))
    begin = {"number": numbers, "settings": tune.sample_from(lambda point: drawn[point["number"]])}
    tuner = tune.Tuner(
        trainable,
        param_space=begin if task.exploits else None,
        tune_config=tune.TuneConfig(
            num_samples=1 if task.exploits else config.trials,
            max_concurrent_trials=None if task.exploits else at_a_time,
            search_alg=None if task.exploits else search,
            reuse_actors=True,
            scheduler=scheduler(config, turns=at_a_time < config.trials),
            trial_name_creator=lambda trial: trial_name(name, trial.config["number"]),
            trial_dirname_creator=lambda trial: trial_name(name, trial.config["number"]),
        ),
        run_config=tune.RunConfig(
            # A folder of its own: when it takes up its state Tune copies all JSON files beside that, and keeps putting
            # its copies back, the journal's among them.
            name="tune",
            storage_path=storage.path(f"sweeps/{name}"),
            storage_filesystem=storage.filesystem,
            failure_config=tune.FailureConfig(max_failures=RESTARTS),
            callbacks=list(callbacks),
            verbose=0,
        ),
    )
    return tuner.fit()


def has_trials(storage: Storage, folder: str) -> bool:
    """Whether Tune's newest state in that folder can be taken up. Killed before it had written one, Tune would run one
    trial of all; the journal and the folders of the runs know more than that.
    """
    states = [name for name in storage.list(folder) if name.startswith("experiment_state-")]
    try:
        return bool(states) and bool(storage.read_json(f"{folder}/{states[-1]}")["trial_data"])
    except InputError:  # cut off in the middle
        return False


def room(subject: Subject, workers: int, cluster: Mapping[str, float]) -> int:
    """Trials that these resources of a Ray cluster (memory in bytes) have room for, at least 1: whole sets of workers,
    by GPU where the subject learns on it, else by CPU and memory.
    """
    if subject.learns_on_gpu and cluster.get("GPU", 0) >= workers:
        return int(cluster["GPU"] // workers)
    by_memory = cluster.get("memory", 0) / 1024**3 // (GIB_A_WORKER * workers)
    return max(1, int(min(cluster.get("CPU", 1) // workers, by_memory)))


def _outcomes(grid: ResultGrid, storage: Storage) -> list[TrialOutcome]:
    outcomes = []
    for result in grid:
        reported = result.metrics or {}
        name = Path(result.path).name
        objective = None if result.error else reported.get(OBJECTIVE)
        outcomes.append(
            TrialOutcome(
                name=name,
                status="failed" if result.error else "stopped early" if objective is None else "finished",
                settings=result.config["settings"],
                steps=reported.get(STEP, 0),
                running=reported.get(RUNNING),
                objective=objective,
                parts=None if objective is None else tuple(reported[name] for name in PARTS),
                seconds=reported.get("time_total_s", 0.0),
                run_id=RunFolder(storage, name).noted().get("run_id"),
                error=_reason(result.error) if result.error else None,
            )
        )
    return sorted(outcomes, key=lambda outcome: outcome.name)


def _reason(error: Exception) -> str:
    """Last line of the innermost error: what went wrong, without Ray's stack traces."""
    lines = [line.strip() for line in str(getattr(error, "cause", None) or error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def _children_closed(settings: Settings, parent_run_id: str, outcomes: list[TrialOutcome]) -> Iterator[None]:
    """Tune ends a trial by ending its thread or process: what MLflow says of the child runs is put right afterwards.

    `outcomes` is filled inside the block; a child without one was broken off together with the sweep. Where MLflow is
    away this is left undone, with a warning: what the sweep found is worth more.
    """
    try:
        yield
    finally:
        known = {outcome.name: outcome.status for outcome in outcomes}
        try:
            _close_children(connect(settings.tracking_uri), parent_run_id, known)
        except (*failures(), StorageError) as error:
            where = without_password(settings.tracking_uri)
            log.warning("MLflow at %s could not be told how the trials ended: %s", where, error)


def _close_children(client: MlflowClient, parent_run_id: str, outcomes: Mapping[str, str]) -> None:
    statuses = {"finished": "FINISHED", "stopped early": "FINISHED", "failed": "FAILED"}
    experiment = client.get_run(parent_run_id).info.experiment_id
    children = f"tags.mlflow.parentRunId = '{parent_run_id}'"
    for run in client.search_runs([experiment], children, max_results=10_000):
        outcome = outcomes.get(run.info.run_name)
        if outcome == "stopped early":
            client.set_tag(run.info.run_id, "stopped_early", "true")
        if run.info.status != statuses.get(outcome, "KILLED"):
            client.set_terminated(run.info.run_id, statuses.get(outcome, "KILLED"))
