"""`shopreel evaluate generator`: its figures on held-out clips, beside baselines and floors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from trainables.generator.scoring.report import Evaluation, Material

app = typer.Typer(no_args_is_help=True)
notes = Console(stderr=True)
LABELS = ("source", "damage", "method")
"""Columns that say what a row is of; the others are measures."""
NARROWEST = 11
"""Characters of the column of methods at least, with border and padding."""


@app.callback()
def evaluate() -> None:
    """Measure a model on data it never saw."""


@app.command("generator")
def generator(
    task: Annotated[str, typer.Option(help="restyle, repair, enhance or generate.")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.json and sheet.png.")],
    data: Annotated[str | None, typer.Option(help="Dataset whose held-out products are measured on.")] = None,
    clips: Annotated[
        list[Path] | None, typer.Option("--in", help="Or folders of clips, NAME.npy or NAME.mp4; repeat at will.")
    ] = None,
    styles: Annotated[Path | None, typer.Option(help="Pictures of looks to restyle with; default the presets.")] = None,
    known: Annotated[
        Path | None, typer.Option(help="Folder of training clips: generated copies of them are looked for.")
    ] = None,
    most_clips: Annotated[int, typer.Option(min=1, help="Clips measured on at most, evenly chosen.")] = 67,
    most_styles: Annotated[int, typer.Option(min=1, help="Looks measured with at most, evenly chosen.")] = 6,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="starter (default), generator@ALIAS, generator/VERSION, or the folder of a bundle; repeat it for "
            "trainings with different seeds.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow registry; default SQLite under SHOPREEL_HOME.")
    ] = None,
) -> None:
    """Measure a generator at one task; JSON, a contact sheet and a table with baselines and floors.

    Features for scoring are of a network that no loss, no discriminator and no gate uses. With --data the clips of the
    training products are the ones that copies are looked for in.

    With --model given several times each training has its own rows, and the mean and the sample deviation over the
    trainings follow; the contact sheet is of the first.

    \b
    Examples:
      shopreel evaluate generator --task restyle --data shop --styles paintings --out report
      shopreel evaluate generator --task repair --in turntables --in garments --model generator@champion --out report
      shopreel evaluate generator --task enhance --in clips --model seed0 --model seed1 --model seed2 --out report
    """
    from trainables.generator.batch.models import STARTER, choose_device, choose_trainings
    from trainables.generator.scoring.report import evaluate_bundles
    from trainables.generator.task import task_named

    name = task_named(task).name
    if (data is None) == (not clips):
        raise InputError("say what to measure on: either --data DATASET or --in FOLDER")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    bundles = choose_trainings(name, models or [STARTER], tracking_uri)
    material = _material(name, data, clips or [], styles, known, most_clips, most_styles)
    with Progress(
        SpinnerColumn(), TextColumn("measuring, {task.completed:.0f} done"), TimeElapsedColumn(), console=notes
    ) as progress:
        bar = progress.add_task("measuring", total=None)
        found = evaluate_bundles(
            name,
            bundles,
            material,
            device=choose_device(device),
            on_progress=lambda: progress.update(bar, advance=1),
        )
    found.write(out)
    console = Console()
    for table in _tables(found, console.width):
        console.print(table)
    notes.print(f"{out / 'evaluation.json'} and {out / 'sheet.png'}", highlight=False, soft_wrap=True)


def _material(
    task: str,
    data: str | None,
    folders: list[Path],
    styles: Path | None,
    known: Path | None,
    most_clips: int,
    most_styles: int,
) -> Material:
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.generator.scoring.material import material_of_dataset, material_of_folders, read_styles

    if styles is not None and task != "restyle":
        raise InputError(f"--styles are looks to restyle with, which {task} does not; leave --styles out")
    if known is not None and task != "generate":
        raise InputError(f"--known are clips that copies are looked for in, which {task} makes none of; leave it out")
    pictures = read_styles(styles, most_styles) if task == "restyle" else {}
    if data is None:
        return material_of_folders(folders, pictures, most_clips, known)
    if known is not None:
        raise InputError("--known goes with --in; with --data the training products are known")
    dataset = Dataset.open(Storage(Settings.load().storage_root), data)
    return material_of_dataset(dataset, pictures, most_clips, known=task == "generate")


def _tables(found: Evaluation, width: int) -> list[Table]:
    """The rows in tables one below the other, each with as many measures as `width` characters hold in full."""
    names = list(dict.fromkeys(key for row in found.rows for key in row))
    labels = [name for name in names if name in LABELS]
    cells = {name: [_cell(row.get(name, "")) for row in found.rows] for name in names}
    # With its border and padding; the words of a header go one below the other, a label stays on its line.
    wide = {name: 3 + max(map(len, [*name.split("_"), *cells[name]])) for name in names}
    # A model's long name is folded, so that there is room for the widest measure.
    room = width - 1 - sum(wide[name] for name in labels)
    lacking = max(wide[name] for name in names if name not in LABELS) - room
    if lacking > 0:
        wide["method"], room = max(wide["method"] - lacking, NARROWEST), room + lacking
    of = found.models[0] if len(found.models) == 1 else f"{len(found.models)} trainings"
    parts: list[list[str]] = [[]]
    for name in names:
        if name not in LABELS:
            if parts[-1] and sum(wide[other] for other in parts[-1]) + wide[name] > room:
                parts.append([])
            parts[-1].append(name)
    tables = []
    for part in parts:
        shown = [*labels, *part]
        title = f"{found.task}: {of} on {len(found.clips)} clips" if part is parts[0] else None
        table = Table(title=title, title_style="bold")
        for name in shown:
            left = name in LABELS
            table.add_column(
                name.replace("_", " "), justify="left" if left else "right", width=wide[name] - 3, overflow="fold"
            )
        for row in zip(*(cells[name] for name in shown), strict=True):
            table.add_row(*row)
        tables.append(table)
    return tables


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
