"""`shopreel serve`: the whole chain behind one HTTP endpoint."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import InputError
from cluster.settings import Settings

console = Console(stderr=True)


def command(
    data: Annotated[str, typer.Option(help="Dataset with the catalogue, its clips and the viewing log.")],
    generator: Annotated[str, typer.Option(help="Model reference, NAME@ALIAS or NAME/VERSION.")] = "generator@champion",
    recommender: Annotated[str, typer.Option(help="Model reference of the recommender.")] = "recommender@champion",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    gpus_per_replica: Annotated[
        float, typer.Option(min=0, help="GPUs of one generator replica; 0.5 shares one, 0 renders on the CPU.")
    ] = 0.0,
    max_replicas: Annotated[int, typer.Option(min=1, help="Most generator replicas under load.")] = 2,
    viewer: Annotated[
        list[str] | None, typer.Option(help="Viewer offered by the storefront, ID or ID=LABEL; repeat for more.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="YAML or JSON with what the shop pins, blocks and boosts in slates.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting by its dotted name, e.g. rerank.most_of_category=3; repeat for more."),
    ] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow tracking and registry URI.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to serve on; starts Ray here without it.")] = None,
) -> None:
    """Serve recommendations and restyled clips over HTTP until Ctrl-C.

    The model aliases are resolved once, now; a later promotion is served after the next start.

    \b
    Examples:
      shopreel serve --data shop
      shopreel serve --data shop --viewer mia --viewer tom="Tom, likes neon" --port 9000
      shopreel serve --data shop --rules rules.yaml --set rerank.diversity=0.1 --set rerank.most_of_creator=2
      shopreel serve --data shop --host 0.0.0.0 --set limits.key_rate=50 --set uploads.max_seconds=60
      shopreel serve --data shop --generator generator/3 --gpus-per-replica 0.5 --max-replicas 4
    """
    from serving.args import AppArgs
    from serving.run import serve_app, with_keys_decided
    from trainables.recommender.reranking.rules import Rules

    settings = Settings.load(tracking_uri=tracking_uri)
    if rules is not None:
        Rules.load(rules)  # a fault is named with its file
    args = AppArgs.for_settings(
        settings,
        data,
        generator=generator,
        recommender=recommender,
        generator_replicas={"num_gpus": gpus_per_replica, "max_replicas": max_replicas},
        rules=Rules.read(rules) if rules else {},
        demo_viewers=[_viewer(text) for text in viewer or ()],
    ).override(set_ or ())
    args = with_keys_decided(args, host)
    stop = threading.Event()
    with (
        console.status("Starting: models are loaded and warmed up (about 20 s)") as status,
        serve_app(args.model_dump(), host=host, port=port, address=address or settings.ray_address) as base_url,
    ):
        status.stop()
        if args.access.keys == "always":
            console.print("Every request needs an API key: `shopreel keys create --name … --scope read`")
        console.print(f"Serving at [bold]{base_url}/[/] (API docs at {base_url}/docs). Ctrl-C ends it.")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
        console.print("Shutting down")


def _viewer(text: str) -> dict[str, str]:
    raw_id, _, label = text.partition("=")
    if not raw_id:
        raise InputError(f"--viewer {text!r} has no id; write ID or ID=LABEL")
    return {"id": raw_id, "label": label or raw_id}
