"""`shopreel erase`: take a viewer out of datasets and models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.result_files import check_file, writing
from cluster.errors import InputError
from cluster.settings import Settings

app = typer.Typer(no_args_is_help=True)
notes = Console(stderr=True)


@app.callback()
def erase() -> None:
    """Take a viewer out of datasets and models."""


@app.command("viewer")
def viewer(
    data: Annotated[str, typer.Option(help="Dataset, as in `shopreel data list`.")],
    raw_id: Annotated[str | None, typer.Argument(help="The viewer's id in the shop's own log.")] = None,
    pseudonym: Annotated[str | None, typer.Option(help="Or the pseudonym, as in the dataset.")] = None,
    model: Annotated[
        str | None, typer.Option(help="recommender@ALIAS or recommender/VERSION to make a version without the viewer.")
    ] = None,
    receipt: Annotated[Path | None, typer.Option(help="JSON file for the receipt; it is kept in any case.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow registry; default SQLite under SHOPREEL_HOME.")
    ] = None,
) -> None:
    """Remove everything a viewer did from a dataset, and from a model trained on it; write a receipt.

    The new model version equals one trained without the viewer. It becomes the challenger: promote it to serve it.

    \b
    Examples:
      shopreel erase viewer 4711 --data shop --model recommender@champion
      shopreel erase viewer --pseudonym v0123456789abcdef0123 --data shop --receipt 4711.json
    """
    from cluster.pseudonym import Pseudonymiser
    from trainables.recommender.privacy.erasure_job import run_erasure

    if (raw_id is None) == (pseudonym is None):
        raise InputError("say whom to erase: either the raw id or --pseudonym")
    if receipt is not None:
        check_file(receipt, "--receipt")  # a second erasure, for another file, would find nothing to tell of any more
    settings = Settings.load(tracking_uri=tracking_uri)
    name = pseudonym or Pseudonymiser.load(settings).of(str(raw_id).strip())  # as at import
    with notes.status("erasing") as status:
        found = run_erasure(settings, data, name, model, on_step=status.update)
    text = json.dumps(found, indent=2, sort_keys=True)
    if receipt is not None:
        with writing(receipt, "--receipt"):
            receipt.write_text(text + "\n")
    if as_json:
        print(text)
    else:
        _show(found)


def _show(receipt: dict[str, Any]) -> None:
    dataset, console = receipt["dataset"], Console()
    if not sum(dataset["rows_removed"].values()):
        notes.print(f"dataset {dataset['dataset']!r} holds nothing of viewer {receipt['viewer']}", highlight=False)
    table = Table(title=f"viewer {receipt['viewer']} in {dataset['dataset']}", title_style="bold")
    table.add_column("rows of")
    table.add_column("removed", justify="right")
    for name, count in dataset["rows_removed"].items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    console.print(table)
    if (made := receipt["model"]) and made["to"]:
        console.print(f"{made['from']} → [bold]{made['to']}[/] without the viewer (challenger)", highlight=False)
    for note in receipt["notes"]:
        notes.print(note, highlight=False, soft_wrap=True, markup=False)
    if receipt["still_registered"]:
        names = ", ".join(receipt["still_registered"])
        notes.print(f"still registered, trained before on this dataset: {names}", highlight=False, soft_wrap=True)
    if receipt["kept_bundles"]:
        folders = ", ".join(receipt["kept_bundles"])
        notes.print(f"still kept, bundles of such trainings: {folders}", highlight=False, soft_wrap=True)
