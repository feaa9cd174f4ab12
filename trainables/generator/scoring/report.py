"""One evaluation of one model at one task: what is measured on which clips, as JSON, a table and a contact sheet.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cluster.errors import InputError
from trainables.generator.scoring.features import SMALLEST_SCORED, ScoringFeatures
from trainables.generator.scoring.floor import STORED
from trainables.generator.scoring.trainings import row_name, with_means

FRAMES = 16
"""Frames of a clip that are measured."""
SHEET_ROWS = 12
FEATURES = "EfficientNet-Lite2 (ImageNet), which no loss, no discriminator and no gate uses"


@dataclass(frozen=True, kw_only=True)
class Material:
    """Held-out clips and what else a task is measured with."""

    clips: Sequence[np.ndarray]
    """uint8 (T, H, W, 3), T ≥ 2."""
    names: Sequence[str]
    sources: Sequence[str]
    """Where each clip comes from, such as its folder; repair is tabled by it."""
    styles: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Pictures uint8 (H, W, 3) by name, for restyling."""
    known: Sequence[np.ndarray] | None = None
    """Training clips, to find copies of among made ones."""

    def __post_init__(self) -> None:
        if not self.clips:
            raise InputError("there is no held-out clip to measure on")
        if short := [name for clip, name in zip(self.clips, self.names, strict=True) if len(clip) < 2]:
            raise InputError(f"clips of one frame cannot be measured: {', '.join(short[:5])}; leave them out")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was found."""

    task: str
    models: Sequence[str]
    """One, or several trainings of the task."""
    clips: Sequence[str]
    measures: Mapping[str, str]
    """What every number means."""
    rows: Sequence[Mapping[str, Any]]
    """A method a row, and for repair a source and a kind of damage; baselines and floors beside the model. Of several
    models each has its own, and their mean and deviation follow."""
    sheet: Image.Image
    """Of the first model."""

    def write(self, folder: Path) -> None:
        """`evaluation.json` and `sheet.png`."""
        folder.mkdir(parents=True, exist_ok=True)
        said = {
            "task": self.task,
            **({"model": self.models[0]} if len(self.models) == 1 else {"models": list(self.models)}),
            "features": FEATURES,
            "clips": list(self.clips),
            "measures": dict(self.measures),
            "rows": [_finite(row) for row in self.rows],
        }
        (folder / "evaluation.json").write_text(json.dumps(said, indent=2) + "\n")
        self.sheet.save(folder / "sheet.png")


def evaluate_bundles(
    task: str,
    bundles: Mapping[str, Path],
    material: Material,
    *,
    device: str = "cpu",
    on_progress: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure bundles of a task, folders by the models' names, in one table; clips are cut to 16 frames. `on_progress`
    is called now and then.
    """
    clips = [np.ascontiguousarray(clip[:FRAMES]) for clip in material.clips]
    measures, rows, sheet = _EVALUATIONS[task](bundles, clips, material, device, on_progress)
    models = list(bundles)
    rows = with_means(rows, _OWN[task], models, measures)
    return Evaluation(task=task, models=models, clips=material.names, measures=measures, rows=rows, sheet=sheet)


_Found = tuple[Mapping[str, str], Sequence[Mapping[str, Any]], Image.Image]


def _restyle(
    bundles: Mapping[str, Path],
    clips: list[np.ndarray],
    material: Material,
    device: str,
    on_progress: Callable[[], None],
) -> _Found:
    from trainables.generator.restyle.restyler import Restyler
    from trainables.generator.scoring import restyle

    if not material.styles:
        raise InputError("restyling is measured with pictures of looks; name their folder")
    small = [n for clip, n in zip(clips, material.names, strict=True) if min(clip.shape[1:3]) < SMALLEST_SCORED]
    if small:
        raise InputError(
            f"restyling is measured on sides of {SMALLEST_SCORED} pixels and more; leave out {', '.join(small[:5])}"
        )
    restylers, pictures = _read(bundles, "model", Restyler, device), list(material.styles.values())
    table = restyle.compare(restylers, clips, pictures, ScoringFeatures(device), on_progress)
    chosen = _spread(len(clips))
    shown = [clips[place] for place in chosen], [material.names[place] for place in chosen]
    sheet = restyle.sheet(
        _first(restylers), *shown, pictures, list(material.styles), "restyle: held-out clips and looks"
    )
    return restyle.MEASURES, _named(table), sheet


def _repair(
    bundles: Mapping[str, Path],
    clips: list[np.ndarray],
    material: Material,
    device: str,
    on_progress: Callable[[], None],
) -> _Found:
    from trainables.generator.repair import evaluation
    from trainables.generator.repair.repairer import Repairer

    measures = {
        "psnr": f"dB over damaged pixels, 60 at most; floor: the clean clip {STORED}",
        "ssim": "of luma over damaged pixels; floor: the same",
        "flicker": "change between frames inside the damage over the clean clip's, 1 moves like it; floor: the same",
    }
    repairers = _read(bundles, "repair", Repairer, device)
    rows: list[evaluation.Row] = []
    for place, clip in enumerate(clips):
        rows += evaluation.evaluate(repairers, [clip], [material.names[place]], [material.sources[place]])
        on_progress()
    chosen = _spread(len(clips))
    shown = [clips[place] for place in chosen], [material.names[place] for place in chosen]
    sheet = evaluation.sheet(_first(repairers), *shown, "repair: held-out clips, planted damage")
    return measures, evaluation.table(rows), sheet


def _enhance(
    bundles: Mapping[str, Path],
    clips: list[np.ndarray],
    material: Material,
    device: str,
    on_progress: Callable[[], None],
) -> _Found:
    from trainables.generator.enhance import evaluation
    from trainables.generator.enhance.enhancer import Enhancer

    measures = {
        "psnr": f"dB against the clean clip, 60 at most; floor: the clean clip {STORED}",
        "ssim": "of luma against the clean clip; floor: the same",
        "sharpness": "gradient magnitude over the clean clip's; floor: the same",
        "static_flicker": "grey levels where the clean clip stands still; floor: the same",
        "perceptual": "distance of feature maps to the clean clip's; floor: the same",
        "perceptual_share": "the perceptual distance as a share of bicubic's; floor: the same",
    }
    evaluation.check_sizes(clips, material.names)
    enhancers = {model: Enhancer.from_bundle(folder, device) for model, folder in bundles.items()}
    features = ScoringFeatures(device)
    methods = {
        row_name(mode, model, bundles): evaluation.modes_of(enhancer)[mode]
        for mode in _OWN["enhance"]
        for model, enhancer in enhancers.items()
    }
    tables = []
    for clip in clips:
        tables.append(evaluation.compare(methods, [clip], features=features))
        on_progress()
    means = {
        method: {name: float(np.mean([table[method][name] for table in tables])) for name in measures}
        for method in tables[0]
    }
    for row in means.values():
        row["perceptual_share"] = row["perceptual"] / means["bicubic"]["perceptual"]
    chosen = _spread(len(clips))
    shown = [clips[place] for place in chosen], [material.names[place] for place in chosen]
    return (
        measures,
        _named(means),
        evaluation.sheet(_first(enhancers), *shown, "enhance: held-out clips, spoilt and brought back"),
    )


def _generate(
    bundles: Mapping[str, Path],
    clips: list[np.ndarray],
    material: Material,
    device: str,
    on_progress: Callable[[], None],
) -> _Found:
    from trainables.generator.generate.clip_maker import SIZES, ClipMaker
    from trainables.generator.scoring import generate

    shapes = {clip.shape for clip in clips}
    if len(shapes) > 1 or next(iter(shapes))[1:3] not in [(size, size) for size in SIZES]:
        raise InputError(f"generated clips are held against square clips of one size of {SIZES}, not {sorted(shapes)}")
    frames, size = clips[0].shape[:2]
    makers = _read(bundles, "model", ClipMaker, device)
    known = [clip[:FRAMES] for clip in material.known] if material.known is not None else None

    makes = {name: partial(maker.make, size=size, frames=frames) for name, maker in makers.items()}
    table = generate.compare(makes, clips, ScoringFeatures(device), known, on_set=on_progress)
    return generate.MEASURES, _named(table), generate.sheet(_first(makes)(min(64, len(clips)), 0), "generate: seed 0")


_EVALUATIONS = {"restyle": _restyle, "repair": _repair, "enhance": _enhance, "generate": _generate}
_OWN = {"restyle": ("model",), "repair": ("repair",), "enhance": ("faithful", "vivid"), "generate": ("model",)}
"""Methods that are the model's."""


def _read(bundles: Mapping[str, Path], own: str, kind: type, device: str) -> dict[str, Any]:
    """Models of a class with `from_bundle`, by the names of their rows."""
    return {row_name(own, model, bundles): kind.from_bundle(folder, device) for model, folder in bundles.items()}


def _first(models: Mapping[str, Any]) -> Any:
    return next(iter(models.values()))


def _named(table: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [{"method": method, **row} for method, row in table.items()]


def _spread(count: int) -> list[int]:
    """At most `SHEET_ROWS` places, evenly."""
    return np.linspace(0, count - 1, min(SHEET_ROWS, count)).round().astype(int).tolist()


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what could not be measured is null."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
