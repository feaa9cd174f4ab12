"""`shopreel data`: which datasets there are, and what is in one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.settings import Settings

app = typer.Typer(no_args_is_help=True)
status = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the datasets under SHOPREEL_HOME.

    \b
    Examples:
      shopreel data list
    """
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset, list_datasets
    from trainables.data.schemas import TABLES

    storage = Storage(Settings.load().storage_root)
    rows = []
    for name in list_datasets(storage):
        dataset = Dataset.open(storage, name)
        imports = [entry["source"] for entry in dataset.manifest["imports"]]
        rows.append({"name": name, **{table: dataset.count(table) for table in TABLES}, "imports": imports})
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        status.print("no datasets yet; make one with [bold]shopreel import sample --as sample[/]")
        return
    table = Table("dataset", *TABLES, "imported from")
    for column in table.columns[1:4]:
        column.justify = "right"
    for row in rows:
        counts = [f"{row[name]:,}" for name in TABLES]
        table.add_row(row["name"], *counts, escape("\n".join(dict.fromkeys(row["imports"]))))
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Dataset, as in `shopreel data list`.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Where the contact sheet goes; default: contact-sheet.png beside the dataset.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show counts, ranges and imports of a dataset, and write a contact sheet of its clips.

    \b
    Examples:
      shopreel data show sample
      shopreel data show sample --sheet clips.png
    """
    from cluster.errors import StorageError
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.data.summary import dataset_sheet, summarise

    storage = Storage(Settings.load().storage_root)
    dataset = Dataset.open(storage, name)
    summary = summarise(dataset)
    image = dataset_sheet(dataset)
    if image is not None:
        data = io.BytesIO()
        image.save(data, "PNG")
        if sheet is None:
            try:
                storage.write_bytes(dataset.folder("contact-sheet.png"), data.getvalue())
            except StorageError as error:  # whoever may only read the dataset still sees what is in it
                note = f"no contact sheet: {error}, or say where it goes with --sheet"
                status.print(note, highlight=False, soft_wrap=True, markup=False)
            else:
                summary["contact_sheet"] = storage.uri(dataset.folder("contact-sheet.png"))
        else:
            try:
                sheet.write_bytes(data.getvalue())
            except OSError as error:
                raise StorageError(f"cannot write {sheet}: {error.strerror}; give another --sheet") from error
            summary["contact_sheet"] = str(sheet)
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    _print(summary)


def _print(summary: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]{summary['name']}[/]  content {summary['content_hash'][:12]}", highlight=False)
    for name, facts in summary["tables"].items():
        table = Table(title=f"{name}: {facts['rows']:,} rows", title_justify="left", title_style="bold")
        for column in ("column", "type", "range", "distinct", "empty", "meaning"):
            table.add_column(column, overflow="fold", justify="right" if column in ("distinct", "empty") else "left")
        for column in facts["columns"]:
            table.add_row(
                column["name"],
                column["type"],
                f"{_short(column['min'])} … {_short(column['max'])}" if column.get("min") is not None else "",
                f"{column['unique']:,}" if "unique" in column else "",
                f"{column['nulls']:,}" if "nulls" in column else "",
                column["note"],
            )
        console.print(table)
    if summary["events"]:
        events = summary["events"]
        counts = ", ".join(f"{kind} {count:,}" for kind, count in events["by_type"].items())
        console.print(f"events: {counts}", highlight=False)
        console.print(
            f"{events['viewers']:,} viewers, {events['products_seen']:,} products seen, "
            f"{_short(events['first'])} … {_short(events['last'])} UTC",
            highlight=False,
        )
    for entry in summary["imports"]:
        added = ", ".join(f"{count:,} {table}" for table, count in entry["added"].items())
        more = ", ".join(f"{entry[key]:,} {key.replace('_', ' ')}" for key in ("known", "set_aside") if entry.get(key))
        console.print(
            f"import {entry['kind']} from {escape(entry['source'])}: {added} added{', ' + more if more else ''}",
            highlight=False,
        )
    if "contact_sheet" in summary:
        console.print(f"contact sheet: {summary['contact_sheet']}", highlight=False, soft_wrap=True, markup=False)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value[:16].replace("T", " ") if isinstance(value, str) else f"{value:,}"
