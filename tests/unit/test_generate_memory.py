"""Mattes, spins and the memory that holds them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.generate_tiny import LabelledDiscs, disc, tiny_memory, turning
from trainables.generator.generate.draft import with_rare_kinds_together
from trainables.generator.generate.matte import product_matte
from trainables.generator.generate.memory import Label, Memory, is_spin, learn, plain_mattes, remember


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_matte_finds_the_product(number):
    picture, true = disc(number)
    matte, trust = product_matte(picture)
    overlap = np.minimum(matte, true).sum() / np.maximum(matte, true).sum()
    assert overlap > 0.93
    assert trust > 0.9


def test_a_picture_without_a_product_is_not_trusted():
    noise = np.random.default_rng(0).normal(200, 6, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    assert product_matte(noise)[1] < 0.5


def test_only_a_product_that_turns_before_a_still_backdrop_is_a_spin():
    assert is_spin(turning(0))
    assert not is_spin(np.repeat(disc(0)[0][None], 16, 0))
    moved = np.stack([np.roll(disc(0)[0], 2 * step, 1) for step in range(16)])
    assert not is_spin(moved + np.linspace(0, 60, 16, dtype=np.uint8)[:, None, None, None] // 4)


def test_mattes_before_a_plain_backdrop_follow_the_product_to_a_pixel():
    frames = turning(1)
    true = (frames != frames[0, 0, 0]).any(-1)
    for matte, solid in zip(plain_mattes(frames) > 0.5, true, strict=True):
        assert not (matte & ~ndimage.binary_dilation(solid)).any()
        assert not (ndimage.binary_erosion(solid) & ~matte).any()


def test_a_memory_survives_its_tensors():
    memory = tiny_memory()
    again = Memory.from_tensors(Memory(memory.entries, memory._pictures, {"photos": 1.0}).tensors())
    assert again.entries == memory.entries
    assert again.mix == {"photos": 1.0}
    for index in range(len(memory)):
        np.testing.assert_array_equal(again.first_frame(index), memory.first_frame(index))
    assert again.kinds() == {"disc": 4, "coin": 4}


def test_clips_are_learned_with_their_labels_and_without():
    clips = LabelledDiscs()[:1]
    assert learn(clips).entries[0].kind == "product"
    labelled = learn(LabelledDiscs())
    assert [entry.spins for entry in labelled.entries] == [False] * 4 + [True] * 4
    assert labelled.entries[0].title == "disc 0"


def test_a_merged_memory_keeps_the_best_mattes_and_the_first_mix():
    memory = tiny_memory()
    merged = Memory.merged([Memory((), (), {"scans": 1.0}), memory], stills=2, spins=3)
    assert [entry.spins for entry in merged.entries] == [False] * 2 + [True] * 3
    best = sorted((entry.trust for entry in memory.entries if not entry.spins), reverse=True)[:2]
    assert [entry.trust for entry in merged.entries[:2]] == best
    assert merged.mix == {"scans": 1.0}


def test_a_blank_clip_is_not_remembered():
    assert remember(np.full((16, 128, 128, 3), 200, np.uint8), Label()) is None


def of_shop(memory: Memory) -> Memory:
    """The same exemplars, as a shop's own."""
    return Memory([replace(entry, group="shop") for entry in memory.entries], memory._pictures)


def test_a_shops_own_exemplars_take_their_share_of_the_mix_and_come_first():
    known = Memory(tiny_memory().entries, tiny_memory()._pictures, {"photos": 0.75, "scans": 0.25})
    grown = Memory.enlarged(known, of_shop(tiny_memory()), stills=6, spins=6)
    assert Counter((entry.group, entry.spins) for entry in grown.entries) == {
        ("shop", False): 4,
        ("shop", True): 4,
        ("photos", False): 2,
        ("scans", True): 2,
    }
    assert grown.mix == {"photos": 0.375, "scans": 0.125, "shop": 0.5}
    again = Memory.enlarged(grown, of_shop(tiny_memory()), stills=99, spins=99)
    assert again.mix == grown.mix
    assert Memory.enlarged(known, Memory((), ()), stills=99, spins=99).mix == known.mix


def test_kinds_too_rare_to_recombine_are_drawn_together():
    memory = tiny_memory().renamed(["mug", "mug", "mug", "lamp", "coin", "ring", "bowl", "bowl"])
    kinds = [entry.kind for entry in with_rare_kinds_together(memory).entries]
    assert kinds == ["mug", "mug", "mug", *["product"] * 5]
