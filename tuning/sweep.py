"""A sweep: Ray Tune over Ray Train runs, ASHA against time, Optuna for the points, MLflow for the record.

One parent run in MLflow, one child run a trial. A trial that fails, fails alone. The best settings are written to
`sweeps/NAME/best.yaml` below the storage root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cluster.config import to_dict
from cluster.errors import InputError, ShopreelError
from cluster.mlflow_store import connect
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun, code_version
from trainables.data.dataset import Dataset, check_name
from tuning.outcome import SweepResult, TrialOutcome
from tuning.space import SearchSpace, as_partial_config

if TYPE_CHECKING:
    from mlflow.entities import Run
    from ray.tune import Callback, ResultGrid

    from trainables.generator.restyle.config import RestyleTrainConfig

TUNE_ENVIRONMENT = {
    # Ctrl-C must end the sweep as it ends any command; Tune would catch it and return half a result.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's newer output ignores `verbose=0`; the table of this package is what a person reads.
    "RAY_AIR_NEW_OUTPUT": "0",
}

GIB_A_WORKER = 2.0
"""Memory set aside for each worker of a trial when the number of trials at a time is worked out."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """One sweep of the generator's settings."""

    trials: int = 8
    """Points of the space to try, ≥ 1. The first one is the base config's own settings."""
    name: str | None = None
    """Name of the sweep; None makes one from the time."""
    steps: int = 100
    """Training steps of a trial that is not stopped early, ≥ 4."""
    concurrency: int | None = None
    """Trials at a time, ≥ 1; None works it out from the cluster's GPUs, CPUs and memory."""
    workers_per_trial: int = 1
    """DDP workers of a trial, ≥ 1."""
    reduction_factor: float = 2.0
    """ASHA lets the best 1/reduction_factor of trials pass a rung, > 1; the first rung is a quarter of the steps."""
    seed: int = 0
    """Of the sampler."""
    space: SearchSpace = field(default_factory=SearchSpace)

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("steps", 4), ("concurrency", 1), ("workers_per_trial", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; set it to {least} or above")
        if self.reduction_factor <= 1:
            raise ValueError(f"reduction_factor is {self.reduction_factor}; set it above 1; 2 keeps the better half")


def run_sweep(
    settings: Settings,
    data_name: str,
    config: SweepConfig,
    base: RestyleTrainConfig,
    *,
    start: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
) -> SweepResult:
    """Try `config.trials` points around `base` and write down the best. Ray is started where it is not up.

    Every trial begins with the weights of the bundle `start`, where one is given.

    ShopreelError where every trial failed; the reasons are in it.
    """
    storage = Storage(settings.storage_root)
    dataset = Dataset.open(storage, data_name)
    name = check_name(config.name or f"sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if storage.exists(f"sweeps/{name}"):
        raise InputError(f"sweep {name!r} exists at {storage.uri(f'sweeps/{name}')}; give this one another --name")
    wrong = [size for size in config.space.batch_size if size % config.workers_per_trial]
    if wrong:
        raise InputError(f"space.batch_size holds {wrong}; give multiples of the {config.workers_per_trial} workers")
    base = replace(base, steps=config.steps, checkpoint_every=config.steps, sheet_every=config.steps)
    lineage = {"data_name": data_name, "data_hash": dataset.content_hash(), "code_version": code_version()}
    params = {"sweep": to_dict(config), "base": to_dict(base)}
    trials: list[TrialOutcome] = []
    with (
        TrackedRun(settings, name, kind="sweep", params=params, lineage=lineage) as run,
        ray_session(settings),
        _children_closed(settings, run.run_id, trials),
    ):
        grid = _tune(settings, storage, name, data_name, config, base, start, run.run_id, callbacks)
        run_ids = {child.info.run_name: child.info.run_id for child in _children(settings, run.run_id)}
        trials += _outcomes(grid, name, run_ids)
        finished = [trial for trial in trials if trial.objective is not None]
        if not finished:
            reasons = "; ".join(sorted({trial.error for trial in trials if trial.error})) or "none ran to its end"
            raise ShopreelError(f"sweep {name!r}: no trial of {len(trials)} finished: {reasons}")
        best = min(finished, key=lambda trial: trial.objective)
        best_yaml = yaml.safe_dump(as_partial_config(best.settings), sort_keys=False)
        storage.write_bytes(f"sweeps/{name}/best.yaml", best_yaml.encode())
        run.log_metrics({"best_objective": best.objective, "trials": len(trials), "finished": len(finished)}, step=0)
        run.set_tag("best_trial", best.name)
        run.set_tag("best_settings", best_yaml)
    return SweepResult(
        name=name,
        parent_run_id=run.run_id,
        trials=tuple(trials),
        best=best,
        best_config_path=storage.uri(f"sweeps/{name}/best.yaml"),
    )


def _tune(
    settings: Settings,
    storage: Storage,
    name: str,
    data_name: str,
    config: SweepConfig,
    base: RestyleTrainConfig,
    start: Path | None,
    parent_run_id: str,
    callbacks: tuple[Callback, ...],
) -> ResultGrid:
    os.environ.update(TUNE_ENVIRONMENT)
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from tuning.objective import RUNNING, STEP
    from tuning.search import OptunaSearch
    from tuning.space import settings_of
    from tuning.trial import TrialTask, resources, run_trial, trial_name

    task = TrialTask(
        settings=settings,
        sweep_name=name,
        data_name=data_name,
        base=base,
        start=start,
        workers=config.workers_per_trial,
        parent_run_id=parent_run_id,
    )
    needed = resources(config.workers_per_trial, ray.cluster_resources().get("GPU", 0))
    trainable = tune.with_resources(tune.with_parameters(run_trial, task=task), needed)
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=config.trials,
            max_concurrent_trials=config.concurrency or _room(config.workers_per_trial),
            search_alg=OptunaSearch(config.space, seed=config.seed, first=settings_of(base)),
            reuse_actors=True,
            scheduler=ASHAScheduler(
                time_attr=STEP,
                metric=RUNNING,
                mode="min",
                max_t=config.steps + 1,  # the last report comes at `steps` and must not be cut off
                grace_period=max(1, config.steps // 4),
                reduction_factor=config.reduction_factor,
            ),
            trial_name_creator=lambda trial: trial_name(name, trial.config["number"]),
            trial_dirname_creator=lambda trial: trial_name(name, trial.config["number"]),
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=storage.path("sweeps"),
            storage_filesystem=storage.filesystem,
            callbacks=list(callbacks),
            verbose=0,
        ),
    )
    return tuner.fit()


def _room(workers: int) -> int:
    """Trials the cluster has room for: whole sets of workers by GPU, else by CPU and memory."""
    import ray

    resources = ray.cluster_resources()
    if resources.get("GPU", 0) >= workers:
        return int(resources["GPU"] // workers)
    by_memory = resources.get("memory", 0) / 1024**3 // (GIB_A_WORKER * workers)
    return max(1, int(min(resources.get("CPU", 1) // workers, by_memory)))


def _outcomes(grid: ResultGrid, sweep_name: str, run_ids: dict[str, str]) -> list[TrialOutcome]:
    from tuning.objective import OBJECTIVE, RUNNING, STEP
    from tuning.trial import trial_name

    outcomes = []
    for result in grid:
        reported = result.metrics or {}
        name = trial_name(sweep_name, result.config["number"])
        objective = None if result.error else reported.get(OBJECTIVE)
        outcomes.append(
            TrialOutcome(
                name=name,
                status="failed" if result.error else "stopped early" if objective is None else "finished",
                settings=result.config["settings"],
                steps=reported.get(STEP, 0),
                running=reported.get(RUNNING),
                objective=objective,
                seconds=reported.get("time_total_s", 0.0),
                run_id=run_ids.get(name),
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

    `outcomes` is filled inside the block; a child without one was broken off together with the sweep.
    """
    statuses = {"finished": "FINISHED", "stopped early": "FINISHED", "failed": "FAILED"}
    try:
        yield
    finally:
        client, known = connect(settings.tracking_uri), {outcome.name: outcome.status for outcome in outcomes}
        for run in _children(settings, parent_run_id):
            outcome = known.get(run.info.run_name)
            if outcome == "stopped early":
                client.set_tag(run.info.run_id, "stopped_early", "true")
            if run.info.status != statuses.get(outcome, "KILLED"):
                client.set_terminated(run.info.run_id, statuses.get(outcome, "KILLED"))


def _children(settings: Settings, parent_run_id: str) -> list[Run]:
    """The sweep's child runs."""
    client = connect(settings.tracking_uri)
    experiment = client.get_run(parent_run_id).info.experiment_id
    return list(client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent_run_id}'", max_results=10_000))
