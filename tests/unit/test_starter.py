"""The packaged weights load without any training code's state, keep to their sizes, and say what they are."""

import argparse
import json
import shutil

import numpy as np
import pytest

from cluster.config import override, to_dict
from cluster.errors import NotFoundError
from cluster.registry import Registry
from tests.generator_tiny import SMALL, TINY, Clips
from trainables.data.style_code import style_code
from trainables.generator.bundles import read_task_bundle
from trainables.generator.restyle.presets import PRESETS, preset_codes
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter import (
    make_enhance,
    make_generate,
    make_repair,
    make_restyle,
    start_bundle,
    starter_bundle,
)
from trainables.generator.starter.corpus import Corpus
from trainables.generator.starter.registration import register_starter
from trainables.generator.starter.training import train_starter
from trainables.generator.task import TASKS, task_named

MEGABYTE = 1024**2
MOST = {"restyle": 4, "repair": 4, "enhance": 4, "generate": 12}
"""Megabytes a bundle may weigh; 24 together."""


@pytest.mark.parametrize("task", TASKS)
def test_a_bundle_is_small_in_half_precision_and_tells_data_settings_figures_and_limits(task):
    folder = starter_bundle(task)
    bundle = read_task_bundle(folder, task)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MOST[task] * MEGABYTE
    assert not any(value.dtype in (np.float32, np.float64) for value in bundle.tensors.values())
    assert all(bundle.card[field] for field in ("model", "trained_on", "held_out", "settings", "limits", "figures"))


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("restyle", make_restyle.SETTINGS),
        ("repair", (*make_repair.SETTINGS, *make_repair.SECOND_SETTINGS)),
        ("enhance", (*make_enhance.SETTINGS, *make_enhance.STAGES["third"])),
        ("generate", make_generate.SETTINGS),
    ],
)
def test_the_script_of_a_bundle_trains_with_the_settings_on_its_card(task, settings):
    """What the defaults become must not change how packaged weights are made again."""
    card = json.loads((starter_bundle(task) / "card.json").read_text())
    assert json.loads(json.dumps(to_dict(override(task_named(task).config_class(), settings)))) == card["settings"]


def test_restyling_moves_a_clip_towards_every_preset():
    restyler = Restyler.from_bundle(starter_bundle("restyle"))
    clip = np.full((3, 64, 64, 3), 225, np.uint8)
    clip[:, 16:48, 20:44] = (180, 40, 60)
    codes = np.stack([preset_codes()[name] for name in PRESETS])
    for name, restyled, code in zip(PRESETS, restyler.restyle([clip] * len(PRESETS), codes), codes, strict=True):
        assert np.linalg.norm(style_code(restyled) - code) < 0.8 * np.linalg.norm(style_code(clip) - code), name


def test_the_starter_is_registered_once_and_becomes_a_version_like_any_other(settings):
    first = register_starter(settings, "restyle")
    assert register_starter(settings, "restyle").reference == first.reference == "generator/1"
    folder = Registry(settings).fetch(first)
    packaged = json.loads((starter_bundle("restyle") / "config.json").read_text())
    assert json.loads((folder / "config.json").read_text()) == packaged


def test_a_training_that_was_through_when_it_was_cut_off_writes_its_bundle(tmp_path):
    clips = Clips()
    corpus = Corpus(np.stack(clips), [{"source": "sample", "held_out": "0"}] * len(clips))
    arguments = argparse.Namespace(run=tmp_path / "run", out=tmp_path / "bundle", settings=["steps=2"])
    written = []
    for _ in range(2):
        train_starter(arguments, type(TINY), SMALL, corpus, ("sample",))
        written.append((arguments.out / "model.safetensors").read_bytes())
        shutil.rmtree(arguments.out)
    assert written[0] == written[1]


def test_what_start_names(tmp_path):
    assert start_bundle(None, "restyle") is None
    assert start_bundle("starter", "restyle") == starter_bundle("restyle")
    assert start_bundle(str(tmp_path), "restyle") == tmp_path
    with pytest.raises(NotFoundError, match="no starter weights for 'dance'"):
        starter_bundle("dance")
