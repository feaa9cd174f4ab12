"""The demo's run: one function a step, in the order a shop would take them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import config
from cluster.cli.demo.asking import Answers, ask
from cluster.cli.demo.progress import Steps, bar, console, print_summary
from cluster.cli.demo.shop import DemoShop, real_shop, sample_shop
from cluster.cli.demo.summary import rows, summarise
from cluster.cli.demo.viewers import DemoViewer, viewers_of_different_taste
from cluster.errors import ShopreelError
from cluster.pseudonym import Pseudonymiser
from cluster.registry import ModelVersion, PromotionRefusedError, Registry
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from trainables.promotion import Promotion, promote
from trainables.trained import TrainedModel
from tuning.sweep import SweepResult

if TYPE_CHECKING:
    from trainables.generator.restyle.config import RestyleTrainConfig

USUAL_PORT = 8000
FINE_TUNING_RATES, FINE_TUNING_CONTENT, FINE_TUNING_BATCHES = (2e-5, 2e-4), (0.02, 0.1), (2, 4)
"""What the sweep tries: the starter weights have been trained to their end, and higher rates undo more of that than a
few steps bring back.
"""
FINE_TUNING = ("frame_size=96", "batch_size=4", "optimizer.learning_rate=1e-4")
"""Windows as large as those the starter weights learned on."""
LOGICAL_CPUS = 4
"""Ray's logical CPUs at least: drivers and replicas mostly wait, so two cores carry four."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the command line asked for; the meaning of each is in its `--help`."""

    photos: Path | None
    log: Path | None
    products: int
    steps: int
    trials: int
    workers: int
    port: int | None
    keep_serving: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything the summary tells of."""

    shop: DemoShop
    recommender: TrainedModel
    starter: ModelVersion
    generator: TrainedModel
    sweep: SweepResult
    promotions: dict[str, Promotion]
    viewers: list[DemoViewer]
    answers: Answers
    steps: Steps
    folder: Path


def run_demo(options: DemoOptions) -> None:
    """Run all steps; leaves demo/summary.json, demo/contact-sheet.png and demo/clips/*.mp4 under the storage root."""
    settings = Settings.load()
    storage = Storage(settings.storage_root)
    if not storage.is_local:
        raise ShopreelError(f"the demo leaves pictures in a folder; SHOPREEL_HOME is {settings.storage_root}, unset it")
    folder = Path(storage.path("demo"))
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "clips").mkdir(parents=True)
    with ExitStack() as open_things:
        open_things.enter_context(ray_session(settings, num_cpus=max(LOGICAL_CPUS, os.cpu_count() or 1)))
        base_url, outcome = _run(options, settings, storage, folder, open_things)
        summary = summarise(outcome)
        storage.write_json("demo/summary.json", summary)
        print_summary(rows(summary))
        if options.keep_serving:
            _wait_for_interrupt(base_url)


def _run(
    options: DemoOptions, settings: Settings, storage: Storage, folder: Path, open_things: ExitStack
) -> tuple[str, Outcome]:
    steps, registry = Steps(total=6), Registry(settings)
    with steps.step("Import products, clips and the viewing log"):
        shop = _import(options, storage, Pseudonymiser.load(settings))
    with steps.step("Train the recommender on Ray"):
        recommender = _train_recommender(settings, shop)
    starter = _starter(settings, registry, shop)
    with steps.step(f"Sweep learning rate × λ × batch size: {options.trials} trials"):
        sweep = _sweep(settings, shop, options)
    with steps.step(f"Fine-tune the GAN: {options.steps} steps in {options.workers} DDP workers"):
        generator = _train_generator(settings, shop, options, sweep)
    with steps.step("Gate: may the challengers become champions?"):
        promotions = {name: _promote(registry, f"{name}@challenger", shop) for name in ("recommender", "generator")}
    with steps.step("Serve, and ask for three viewers of different taste"):
        champion = registry.fetch(registry.resolve("recommender@champion"))
        viewers = viewers_of_different_taste(shop, champion, count=3)
        base_url = open_things.enter_context(_served(settings, shop, viewers, options.port))
        answers = ask(base_url, viewers, folder)
    outcome = Outcome(
        shop=shop,
        recommender=recommender,
        starter=starter,
        generator=generator,
        sweep=sweep,
        promotions=promotions,
        viewers=viewers,
        answers=answers,
        steps=steps,
        folder=folder,
    )
    return base_url, outcome


def _import(options: DemoOptions, storage: Storage, pseudonymiser: Pseudonymiser) -> DemoShop:
    if options.photos and options.log:
        return real_shop(storage, pseudonymiser, options.photos, options.log, options.products)
    return sample_shop(storage, pseudonymiser)


def _train_recommender(settings: Settings, shop: DemoShop) -> TrainedModel:
    from trainables.recommender.job import run_training
    from trainables.recommender.ranking.config import RankerConfig
    from trainables.recommender.settings import RecommenderTrainConfig

    # A ranker takes minutes to learn, and scores impressions: nothing here asks for that.
    config = RecommenderTrainConfig(ranker=RankerConfig(enabled=False))
    with bar("reading the log") as update:
        return run_training(
            settings,
            shop.dataset.name,
            None,
            config,
            on_progress=lambda stage, done, total: update(done, total, stage),
        )


def _starter(settings: Settings, registry: Registry, shop: DemoShop) -> ModelVersion:
    """The packaged generator as a version, and as champion where there is none: what the shop's own must beat."""
    from trainables.generator.starter.registration import register_starter

    starter = register_starter(settings, "restyle")
    if not any("champion" in version.aliases for version in registry.versions(starter.name)):
        _promote(registry, starter.reference, shop)
    return starter


def _sweep(settings: Settings, shop: DemoShop, options: DemoOptions) -> SweepResult:
    from trainables.generator.starter import starter_bundle
    from tuning.config import SweepConfig
    from tuning.generator.subject import SUBJECT, space
    from tuning.sweep import run_sweep
    from tuning.table import LiveTable

    around = space(
        learning_rate=FINE_TUNING_RATES, content_weight=FINE_TUNING_CONTENT, batch_size=FINE_TUNING_BATCHES
    )
    sweep = SweepConfig(trials=options.trials, steps=max(10, options.steps // 8), space=around)
    base, data = _fine_tuning_config(), shop.dataset.name
    start = starter_bundle(base.task)
    with LiveTable("sweep", sweep, console) as table:
        return run_sweep(settings, SUBJECT, data, sweep, base, start=start, callbacks=(table,))


def _train_generator(settings: Settings, shop: DemoShop, options: DemoOptions, sweep: SweepResult) -> TrainedModel:
    from trainables.generator.job import run_training
    from trainables.generator.starter import starter_bundle

    best = config.merge(_fine_tuning_config(), config.read_yaml(sweep.best_config_path))
    best = config.override(best, [f"steps={options.steps}"])
    with bar("starting workers") as update:

        def on_step(step: int, terms: dict[str, float]) -> None:
            update(step, best.steps, f"style {terms['loss/style']:.3f}  content {terms['loss/content']:.3f}")

        return run_training(
            settings,
            shop.dataset.name,
            None,
            best,
            workers=options.workers,
            on_step=on_step,
            start=starter_bundle(best.task),
        )


def _fine_tuning_config() -> RestyleTrainConfig:
    from trainables.generator.restyle.config import RestyleTrainConfig

    return config.override(RestyleTrainConfig(), FINE_TUNING)


def _promote(registry: Registry, reference: str, shop: DemoShop) -> Promotion:
    challenger = registry.resolve(reference)
    outcome = promote(registry, challenger, shop.dataset)
    for reason in outcome.decision.reasons:
        console.print(f"      {challenger.reference}: {reason}", highlight=False)
    if not outcome.decision.passed and outcome.champion is None:
        raise PromotionRefusedError(
            f"the gate refused the first {challenger.name}, so there is nothing to serve; its reasons are above"
        )
    return outcome


def _served(
    settings: Settings, shop: DemoShop, viewers: list[DemoViewer], port: int | None
) -> AbstractContextManager[str]:
    from serving.run import serve_app

    arguments = {
        "data": shop.dataset.name,
        "storage_root": settings.storage_root,
        "tracking_uri": settings.tracking_uri,
        "event_store_url": settings.event_store_url,
        "demo_viewers": [{"id": viewer.raw_id, "label": viewer.label} for viewer in viewers],
    }
    return serve_app(arguments, host="127.0.0.1", port=port or _usual_port())


def _usual_port() -> int:
    """8000, or a free port where something else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_interrupt(base_url: str) -> None:
    console.print(f"\nServing at [bold]{base_url}/[/] (API docs at {base_url}/docs). Ctrl-C ends it.")
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    signal.signal(signal.SIGTERM, lambda *_: interrupted.set())
    interrupted.wait()
