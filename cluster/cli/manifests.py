"""`shopreel manifests`: what runs shopreel on a cluster, rendered and checked without one."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.errors import InputError

if TYPE_CHECKING:
    from cluster.manifests.description import ClusterDescription

app = typer.Typer(no_args_is_help=True)
notes = Console(stderr=True)

Config = Annotated[Path | None, typer.Option(help="YAML file with settings of the cluster; may be partial.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, e.g. gpus=4 or cpu_workers.max_replicas=16; repeat.")
]


@app.command("render")
def render_manifests(
    config: Config = None,
    set_: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Folder for NAME.yaml; without it they are printed.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="raycluster, rayjob-train, rayjob-tune, rayservice, monitoring or ray-up.")
    ] = None,
) -> None:
    """Render the manifests of a cluster from one description: KubeRay, Kueue, Prometheus, Grafana, `ray up`.

    \b
    Settings (all of them: shopreel manifests settings):
      image=REGISTRY/shopreel:VERSION-rayVERSION    gpus=4 (0: no GPU group)    namespace=shops    queue=null
      stores.home=s3://bucket/prefix    stores.tracking_uri=http://mlflow:5000    redis.address=redis:6379

    \b
    Examples:
      shopreel manifests render --set image=registry.example.com/shopreel:0.1.0-ray2.60.0 --set gpus=4 --out manifests
      shopreel manifests render --config cluster.yaml --only rayservice | kubectl apply -f -
      shopreel manifests render --only ray-up > ray-up.yaml && ray up ray-up.yaml
    """
    from cluster.manifests.render import MANIFESTS, render

    names = only or list(MANIFESTS)
    for name in names:
        if name not in MANIFESTS:
            raise InputError(f"--only {name!r} is no manifest; there are: {', '.join(MANIFESTS)}")
    texts = {name: text for name, text in render(_description(config, set_)).items() if name in names}
    if out is None:
        print("---\n".join(texts.values()), end="")
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / f"{name}.yaml").write_text(text)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}; name a folder") from error
    notes.print(f"{len(texts)} manifests in {out}; check them with [bold]shopreel manifests check {out}[/]")


@app.command("settings")
def settings(config: Config = None, set_: Settings = None) -> None:
    """Print the whole description as YAML, for --config.

    \b
    Examples:
      shopreel manifests settings --set gpus=4 > cluster.yaml
    """
    from cluster.config import to_dict
    from cluster.manifests.text import to_yaml

    values = to_dict(_description(config, set_))
    values["ray_up"]["worker_ips"] = list(values["ray_up"]["worker_ips"])
    print(to_yaml(values), end="")


@app.command("check")
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Manifests, folders, Dockerfiles; default: what render gives."),
    ] = None,
    config: Config = None,
    set_: Settings = None,
) -> None:
    """Check manifests without a cluster; every mistake is named with its file and line, and the exit code is 2.

    Fields and types of every object; quantities, replicas and names; serveConfigV2 against Ray's schema and the
    application's own deployments and arguments; what replicas ask for against what worker groups offer; commands of
    jobs against this command line; versions of images and of a Dockerfile against this library; secrets and config
    maps against those there are; dashboards against the metrics that are exported. Files checked together may refer to
    each other. A secret made elsewhere is listed in the annotation shopreel.io/external-secrets.

    \b
    Examples:
      shopreel manifests check manifests Dockerfile
      shopreel manifests check --set gpus=0
    """
    from cluster.manifests.check import check_manifests, read_manifests
    from cluster.manifests.render import render

    if paths:
        if config or set_:
            raise InputError("--config and --set go with no PATH: they are for manifests that are not yet rendered")
        texts, dockerfiles = read_manifests(paths)
    else:
        texts = {f"{name}.yaml": text for name, text in render(_description(config, set_)).items()}
        dockerfiles = [path for path in (Path("Dockerfile"),) if path.is_file()]
    problems = check_manifests(texts, command_error, dockerfiles)
    for problem in problems:
        print(problem)
    checked = f"{len(texts)} manifests" + (f" and {len(dockerfiles)} Dockerfile" if dockerfiles else "")
    if problems:
        notes.print(f"[bold red]{len(problems)} problem{'s' * (len(problems) != 1)}[/] in {checked}")
        raise typer.Exit(InputError.exit_code)
    notes.print(f"no problems in {checked}")


def command_error(arguments: Sequence[str]) -> str | None:
    """What this command line would refuse about arguments; nothing is run."""
    from typer.core import TyperGroup
    from typer.exceptions import TyperException

    from cluster.cli.main import app as command_line

    command, rest = typer.main.get_command(command_line), list(arguments)
    while isinstance(command, TyperGroup):
        name = rest.pop(0) if rest else ""
        if name not in command.commands:
            close = get_close_matches(name, command.commands, n=1)
            return f"no command {name!r}; " + (f"did you mean {close[0]}?" if close else ", ".join(command.commands))
        command = command.commands[name]
    try:
        command.make_context("shopreel", rest)
    except typer.Exit:  # --help
        return None
    except TyperException as error:
        return error.format_message()
    return None


def _description(config: Path | None, assignments: list[str] | None) -> ClusterDescription:
    from cluster.config import load
    from cluster.manifests.description import ClusterDescription

    return load(ClusterDescription, config, assignments or ())
