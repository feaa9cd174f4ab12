"""`shopreel evaluate recommender`: a protocol of the literature, every baseline rerun beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.result_files import check_folder, writing
from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.data.dataset import Dataset
    from trainables.recommender.protocols.result import Result

RATINGS = ("A", "M", "loo", "time")
BY_TIME = ("kuairand", "cold")


def command(
    protocol: Annotated[str, typer.Option(help="A, M, loo, time (ratings); kuairand, cold (viewing logs).")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and report.html.")],
    data: Annotated[str | None, typer.Option(help="Dataset to evaluate on, see `shopreel data list`.")] = None,
    wheel: Annotated[Path | None, typer.Option(help="Or MovieLens-100k out of a wheel of recbole.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of protocols that draw; the others need one.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, help="A, M, loo: seeds are counted from this one.")] = 0,
    days: Annotated[float, typer.Option(min=0.01, help="kuairand: days tested at the end of the log.")] = 3.0,
    model: Annotated[str | None, typer.Option(help="kuairand: judge the settings of recommender@ALIAS or /N.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
) -> None:
    """Measure the recommender against simple methods, tuned and run in the same process, by full ranking.

    \b
    A: 80/10/10 of each viewer at random. M: 75/25. loo: the last row of each viewer. time: the last tenth of the log.
    kuairand: the last days of a viewing log. cold: a fifth of the products held out of training.
    Examples:
      shopreel evaluate recommender --protocol A --wheel recbole-1.2.1-py3-none-any.whl --out report-a
      shopreel evaluate recommender --protocol A --wheel recbole-1.2.1-py3-none-any.whl --first-seed 10 --out report-b
      shopreel evaluate recommender --protocol kuairand --data kuairand --out report
    """
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.protocols.report import write_report

    if protocol not in (*RATINGS, *BY_TIME):
        raise InputError(f"--protocol is {protocol!r}; choose one of {', '.join((*RATINGS, *BY_TIME))}")
    if (data is None) == (wheel is None):
        raise InputError("give either --data NAME or --wheel FILE")
    if model is not None and protocol != "kuairand":
        raise InputError(f"--model goes with --protocol kuairand; protocol {protocol} trains on its own splits")
    if first_seed and protocol not in RATINGS:
        raise InputError(f"--first-seed goes with {', '.join(RATINGS)}; protocol {protocol} has seeds of its own")
    check_folder(out)
    settings = Settings.load(tracking_uri=tracking_uri)
    console = Console(stderr=True)
    with console.status("reading …") as status, tempfile.TemporaryDirectory() as scratch:
        dataset = Dataset.open(Storage(settings.storage_root), data) if wheel is None else _movielens(wheel, scratch)
        drawn = range(first_seed, first_seed + seeds)
        result = _run(dataset, protocol, drawn, days, model, settings, lambda step: status.update(f"{step} …"))
    with writing(out):
        write_report(result, out)
    Console().print(table(result))
    Console().print(f"→ {out / 'evaluation.json'}, {out / 'report.html'}", highlight=False)


def _movielens(wheel: Path, folder: str) -> Dataset:
    from cluster.pseudonym import KEY_BYTES, Pseudonymiser
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.data.importers.movielens import import_movielens

    storage = Storage(folder)
    # Nothing of it is kept: a key for one run is as good as any.
    import_movielens(storage, "movielens", Pseudonymiser(bytes(KEY_BYTES)), wheel=wheel)
    return Dataset.open(storage, "movielens")


def _run(
    dataset: Dataset,
    protocol: str,
    seeds: range,
    days: float,
    model: str | None,
    settings: Settings,
    on_step: Callable[[str], None],
) -> Result:
    from trainables.recommender.train import read_training_data

    data = read_training_data(dataset)
    ids = data.products["product_id"].to_pylist()
    if protocol in RATINGS:
        from trainables.recommender.protocols.log import log_of_ratings
        from trainables.recommender.protocols.ratings import run_ratings

        return run_ratings(protocol, lambda seed: log_of_ratings(data.events, ids, seed), seeds, on_step)
    if protocol == "cold":
        from trainables.recommender.protocols.cold import run_cold

        return run_cold(data, len(seeds), on_step)
    from trainables.generator.restyle.presets import preset_codes
    from trainables.recommender.protocols.by_time import run_by_time
    from trainables.recommender.settings import RecommenderTrainConfig

    judged = _model(model, settings)
    return run_by_time(data, preset_codes(), RecommenderTrainConfig(), days=days, model=judged, on_step=on_step)


def _model(reference: str | None, settings: Settings):
    if reference is None:
        return None
    from cluster.registry import Registry
    from trainables.recommender.bundle import load_model

    version = Registry(settings).resolve(reference, "recommender")
    return load_model(Registry(settings).fetch(version))


def table(result: Result) -> Table:
    """The methods, ours last, with intervals."""
    from trainables.recommender.protocols.report import COLUMNS, cell

    title = f"protocol {result.protocol} at {result.k}: {result.viewers:,} viewers, {result.seeds} seed(s)"
    drawn = Table(title=title, title_style="bold")
    for name in ("method", *COLUMNS, "seconds"):
        drawn.add_column(name.replace("_", " "), justify="left" if name == "method" else "right")
    for summary in result.methods:
        values = (cell(summary, name) for name in COLUMNS)
        style = "bold green" if summary.method == result.ours else None
        drawn.add_row(summary.method, *values, f"{summary.seconds:.1f}", style=style)
    return drawn
