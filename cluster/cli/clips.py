"""`shopreel clips`: a folder of clips through one task of the generator, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cluster.errors import InputError

if TYPE_CHECKING:
    from trainables.generator.batch.plans import Plan

app = typer.Typer(no_args_is_help=True)
notes = Console(stderr=True)

In = Annotated[
    Path, typer.Option("--in", help="Folder with NAME.npy (uint8, frames × height × width × 3) or NAME.mp4.")
]
Out = Annotated[Path, typer.Option(help="Folder for the results; made when missing.")]
Model = Annotated[
    str,
    typer.Option(
        help="starter (the packaged weights), generator@ALIAS or generator/VERSION. For repair, enhance and generate "
        "the registry's names are generator-repair, generator-enhance and generator-generate; `generator` stands for "
        "them here. The folder of a bundle will do too."
    ),
]
Form = Annotated[str | None, typer.Option("--format", help="mp4 or npy; default: as the input.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make results again that are already there.")]
Check = Annotated[
    bool, typer.Option(help="Name results that the usability gate would not let be shown; they are kept either way.")
]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow registry; default SQLite under SHOPREEL_HOME.")]


@app.command("restyle")
def restyle(
    clips: In,
    pairs: Annotated[Path, typer.Option(help="CSV with the columns clip and style, names without ending.")],
    styles: Annotated[Path, typer.Option(help="Folder of style pictures, NAME.png, .jpg or .webp.")],
    out: Out,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 gives the clip itself, 1 the whole look.")] = 1.0,
    model: Model = "starter",
    form: Form = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    check: Check = True,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show products in a look: a result CLIP__STYLE for every pair, with the clip's length and size.

    A style is a picture of the styles folder; where there is none of its name, a preset (vintage, sport, neon,
    minimal, warm_film, ink). Frames of an MP4 keep their number and mean rate; its sound is not carried over.

    \b
    Examples:
      shopreel clips restyle --in clips --pairs pairs.csv --styles paintings --out restyled
      shopreel clips restyle --in clips --pairs pairs.csv --styles paintings --out half --strength 0.5
    """
    from trainables.generator.batch.models import choose_device, choose_model
    from trainables.generator.batch.plans import plan_restyle
    from trainables.generator.restyle.restyler import Restyler
    from trainables.generator.usability.gate import UsabilityGate

    chosen = choose_model("restyle", model, tracking_uri)
    restyler = Restyler.from_bundle(chosen.folder, choose_device(device))
    plan = plan_restyle(
        restyler,
        chosen.reference,
        clips,
        pairs,
        styles,
        out,
        strength=strength,
        format=_checked(form),
        gate=UsabilityGate() if check else None,
    )
    _run("restyling", plan, out, overwrite)


@app.command("repair")
def repair(
    clips: In,
    out: Out,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder with NAME.npy (uint8 or bool, frames × height × width), non-zero = damaged. "
            "Default: damage is detected."
        ),
    ] = None,
    model: Model = "starter",
    form: Form = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Mend clips: holes, logos, scratches, lost and frozen frames. Undamaged pixels stay as they are.

    MP4 results are compressed again, without sound; use --format npy where untouched pixels must be identical.

    \b
    Examples:
      shopreel clips repair --in clips --masks masks --out mended
      shopreel clips repair --in clips --out mended --format npy
    """
    from trainables.generator.batch.models import choose_device, choose_model
    from trainables.generator.batch.plans import plan_repair
    from trainables.generator.repair.repairer import Repairer

    chosen = choose_model("repair", model, tracking_uri)
    repairer = Repairer.from_bundle(chosen.folder, choose_device(device))
    _run("mending", plan_repair(repairer, chosen.reference, clips, masks, out, format=_checked(form)), out, overwrite)


@app.command("enhance")
def enhance(
    clips: In,
    out: Out,
    scale: Annotated[int, typer.Option(min=1, max=2, help="1 keeps the size, 2 doubles it.")] = 1,
    mode: Annotated[str, typer.Option(help="faithful (least error) or vivid (sharper to the eye).")] = "faithful",
    brightness: Annotated[float | None, typer.Option(help="Mean lightness wanted, 0 to 1; default: as it is.")] = None,
    contrast: Annotated[float | None, typer.Option(help="Deviation of lightness wanted, 0 to 0.5.")] = None,
    model: Model = "starter",
    form: Form = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Improve clips: less noise and blocking, sharper, at double size, with another light.

    Frames of an MP4 keep their number and mean rate; its sound is not carried over.

    \b
    Examples:
      shopreel clips enhance --in clips --out better --scale 2
      shopreel clips enhance --in clips --out better --mode vivid --brightness 0.7
    """
    from trainables.generator.batch.models import choose_device, choose_model
    from trainables.generator.batch.plans import plan_enhance
    from trainables.generator.enhance.enhancer import Enhancer

    if mode not in ("faithful", "vivid"):
        raise InputError(f"mode is {mode!r}; choose faithful or vivid")
    chosen = choose_model("enhance", model, tracking_uri)
    enhancer = Enhancer.from_bundle(chosen.folder, choose_device(device))
    plan = plan_enhance(
        enhancer,
        chosen.reference,
        clips,
        out,
        scale=scale,
        mode=mode,
        brightness=brightness,
        contrast=contrast,
        format=_checked(form),
    )
    _run("enhancing", plan, out, overwrite)


@app.command("generate")
def generate(
    count: Annotated[int, typer.Option(min=1, help="Clips to make.")],
    out: Out,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clips.")] = 0,
    text: Annotated[str | None, typer.Option(help="Description, such as 'a red mug on a dark table'.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of product, such as dress or mug; default: any.")] = None,
    size: Annotated[int, typer.Option(help="Side in pixels: 64 or 128.")] = 128,
    frames: Annotated[int, typer.Option(min=2, help="Frames of a clip.")] = 16,
    model: Model = "starter",
    form: Annotated[str, typer.Option("--format", help="mp4 or npy.")] = "mp4",
    device: Device = "auto",
    overwrite: Overwrite = False,
    check: Check = True,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make new clips from nothing but a seed, and a kind or a description where one is given.

    \b
    Examples:
      shopreel clips generate --count 16 --seed 7 --out new
      shopreel clips generate --count 4 --kind dress --text "black dress, warm light" --size 64 --out new
    """
    from trainables.generator.batch.models import choose_device, choose_model
    from trainables.generator.batch.plans import plan_generate
    from trainables.generator.generate.clip_maker import ClipMaker
    from trainables.generator.usability.gate import UsabilityGate

    if size not in (64, 128):
        raise InputError(f"size is {size}; choose 64 or 128")
    chosen = choose_model("generate", model, tracking_uri)
    maker = ClipMaker.from_bundle(chosen.folder, choose_device(device))
    plan = plan_generate(
        maker,
        chosen.reference,
        out,
        count=count,
        seed=seed,
        text=text,
        kind=kind,
        size=size,
        frames=frames,
        format=_checked(form),
        gate=UsabilityGate() if check else None,
    )
    _run("generating", plan, out, overwrite)


def _checked(form: str | None) -> str | None:
    if form not in (None, "mp4", "npy"):
        raise InputError(f"format is {form!r}; choose mp4 or npy")
    return form


def _run(doing: str, plan: Plan, out: Path, overwrite: bool) -> None:
    """Work through a plan with a bar, name what failed; InputError at the end if anything did."""
    from trainables.allocator import keep_freed_memory
    from trainables.generator.batch.work import run_jobs

    keep_freed_memory()
    jobs, outcome = plan
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}"),
    )
    with Progress(*columns, console=notes) as progress:
        bar = progress.add_task(doing, total=len(jobs), name="")
        run_jobs(jobs, outcome, overwrite=overwrite, on_job=lambda name: progress.update(bar, advance=1, name=name))
    for name, reasons in outcome.doubtful:
        notes.print(
            f"[yellow]{escape(name)}[/] is not fit to be shown: {escape(reasons)}", highlight=False, soft_wrap=True
        )
    for name, reason in outcome.failed:
        notes.print(f"[red]{escape(name)}[/]: {escape(reason)}", highlight=False, soft_wrap=True)
    kept = f", {len(outcome.skipped)} already there (--overwrite makes them again)" if outcome.skipped else ""
    notes.print(f"{len(outcome.made)} made{kept} in {escape(str(out))}", highlight=False, soft_wrap=True)
    if outcome.failed:
        total = len(outcome.failed) + len(outcome.made) + len(outcome.skipped)
        raise InputError(f"{len(outcome.failed)} of {total} clips failed; they are named above")
