"""The jobs of each task: which file is made from which, and by what call of the task's inference class.

Dims: T frames, H height, W width, B clips, S style code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import InputError, ShopreelError
from trainables.data.style_code import style_code
from trainables.generator.batch.files import (
    ENDINGS,
    NPY_FPS,
    Format,
    clip_files,
    only,
    picture_files,
    read_clip,
    read_mask,
    read_pairs,
    read_picture,
)
from trainables.generator.batch.work import Job, Outcome
from trainables.generator.enhance.relight import check_light
from trainables.generator.provenance import Provenance
from trainables.generator.restyle.presets import PRESETS, preset_codes

if TYPE_CHECKING:
    from trainables.generator.enhance.enhancer import Enhancer
    from trainables.generator.generate.clip_maker import ClipMaker
    from trainables.generator.repair.repairer import Repairer
    from trainables.generator.restyle.restyler import Restyler
    from trainables.generator.usability.gate import UsabilityGate

Plan = tuple[list[Job], Outcome]
"""Jobs, and an outcome that names what could not become a job."""


def plan_restyle(
    restyler: Restyler,
    model: str,
    clips: Path,
    pairs: Path,
    styles: Path,
    out: Path,
    *,
    strength: float = 1.0,
    format: Format | None = None,
    gate: UsabilityGate | None = None,
) -> Plan:
    """`CLIP__STYLE` for every pair; a style is a picture of `styles` or, where there is none of its name, a preset.

    `gate` checks each result against its clip.
    """
    files, pictures = clip_files(clips), picture_files(styles)
    _check_folders(clips, out)
    read, code_of = lru_cache(maxsize=1)(read_clip), lru_cache(maxsize=256)(partial(_code, pictures, styles))

    def make(clip: Path, style: str) -> tuple[np.ndarray, float]:
        source = read(clip)
        code_BS = code_of(style)[None]
        return restyler.restyle([source.frames_THWC], code_BS, strength)[0], source.fps

    def check(clip: Path, frames_THWC: np.ndarray) -> tuple[str, ...]:
        return gate.check(frames_THWC, read(clip).frames_THWC).reasons

    jobs, outcome = [], Outcome()
    taken: dict[str, tuple[str, str]] = {}
    for clip, style in read_pairs(pairs):
        name = f"{clip}__{style}"
        try:
            first = taken.setdefault(name, (clip, style))
            if first != (clip, style):
                raise InputError(
                    f"{pairs}: {clip},{style} and {','.join(first)} give one name; rename a clip or a style"
                )
            path = only(files, clip, clips, "clip")
            if not style or Path(style).name != style:
                raise InputError(f"{pairs}: style {style!r} is no name of a picture")
        except ShopreelError as error:
            outcome.failed.append((name, str(error)))
            continue
        provenance = Provenance(task="restyle", model=model, product=clip, look=style)
        target = out / f"{name}{_ending(path, format)}"
        job = Job(name=name, out=target, make=partial(make, path, style), provenance=provenance)
        jobs.append(replace(job, check=partial(check, path)) if gate else job)
    if not jobs and not outcome.failed:
        raise InputError(f"{pairs} has no rows; it needs one for each clip and style")
    return jobs, outcome


def plan_repair(
    repairer: Repairer,
    model: str,
    clips: Path,
    masks: Path | None,
    out: Path,
    *,
    format: Format | None = None,
) -> Plan:
    """Every clip, mended where its mask of the same name says, or where damage is found without `masks`."""
    if masks is not None and not masks.is_dir():
        raise InputError(f"there is no folder {masks} with masks")

    def make(path: Path) -> tuple[np.ndarray, float]:
        source = read_clip(path)
        mask = read_mask(masks / f"{path.stem}.npy", source.frames_THWC.shape) if masks else None
        return repairer.repair(source.frames_THWC, mask), source.fps

    return _plan_each("repair", model, clips, out, make, format)


def plan_enhance(
    enhancer: Enhancer,
    model: str,
    clips: Path,
    out: Path,
    *,
    scale: int = 1,
    mode: str = "faithful",
    brightness: float | None = None,
    contrast: float | None = None,
    format: Format | None = None,
) -> Plan:
    """Every clip, at its own or at twice its size."""
    check_light(brightness, contrast)

    def make(path: Path) -> tuple[np.ndarray, float]:
        source = read_clip(path)
        enhanced = enhancer.enhance(source.frames_THWC, scale, mode, brightness=brightness, contrast=contrast)
        return enhanced, source.fps

    return _plan_each("enhance", model, clips, out, make, format)


def plan_generate(
    maker: ClipMaker,
    model: str,
    out: Path,
    *,
    count: int,
    seed: int,
    text: str | None = None,
    kind: str | None = None,
    size: int = 128,
    frames: int = 16,
    format: Format | None = None,
    gate: UsabilityGate | None = None,
) -> Plan:
    """`clip-SEED-0000` and so on; a clip depends on seed, number and description, not on `count`. Wishes that cannot be
    met are refused here, once.
    """
    if count < 1:
        raise InputError(f"count is {count}; ask for at least 1 clip")
    _check_out(out)
    make = partial(maker.make, seed=seed, kind=kind, text=text, size=size, frames=frames)
    make(0)  # checks the wishes

    provenance = Provenance(task="generate", model=model, product=kind, look=text)
    ending = f".{format or 'mp4'}"
    jobs = [
        Job(
            name=f"clip-{seed}-{number:04d}",
            out=out / f"clip-{seed}-{number:04d}{ending}",
            make=partial(lambda number: (make(1, first=number)[0], NPY_FPS), number),
            provenance=provenance,
            check=(lambda frames_THWC: gate.check(frames_THWC).reasons) if gate else None,
        )
        for number in range(count)
    ]
    return jobs, Outcome()


def _plan_each(
    task: str,
    model: str,
    clips: Path,
    out: Path,
    make: Callable[[Path], tuple[np.ndarray, float]],
    format: Format | None,
) -> Plan:
    files = clip_files(clips)
    _check_folders(clips, out)
    if not files:
        raise InputError(f"{clips} holds no clips; they end in {' or '.join(ENDINGS)}")
    jobs, outcome = [], Outcome()
    for name in files:
        try:
            path = only(files, name, clips, "clip")
        except ShopreelError as error:
            outcome.failed.append((name, str(error)))
            continue
        provenance = Provenance(task=task, model=model, product=name)
        target = out / f"{path.stem}{_ending(path, format)}"
        jobs.append(Job(name=name, out=target, make=partial(make, path), provenance=provenance))
    return jobs, outcome


def _check_folders(clips: Path, out: Path) -> None:
    if out.resolve() == clips.resolve():
        raise InputError(f"out is {out}, the folder of the inputs; name another so that they are kept")
    _check_out(out)


def _check_out(out: Path) -> None:
    """Known before anything is computed."""
    if out.exists() and not out.is_dir():
        raise InputError(f"out is {out}, a file; name a folder")


def _ending(path: Path, format: Format | None) -> str:
    return f".{format}" if format else path.suffix.lower()


def _code(pictures: dict[str, list[Path]], folder: Path, style: str) -> np.ndarray:
    if style not in pictures and style in PRESETS:
        return preset_codes()[style].copy()
    return style_code(read_picture(only(pictures, style, folder, "style")))
