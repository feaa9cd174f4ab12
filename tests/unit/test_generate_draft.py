"""Warps and drafts: silhouettes land where they should, wishes are met, and a draft depends on its own generator."""

import numpy as np
import pytest
import torch

from cluster.errors import InputError
from tests.generate_tiny import disc, tiny_memory
from trainables.generator.generate.damage import damaged
from trainables.generator.generate.draft import Drafter, Wish
from trainables.generator.generate.layers import fill, to_lab, to_tensors
from trainables.generator.generate.memory import SIDE, Memory
from trainables.generator.generate.warp import identity, lay_onto, read, signed_distance, spread


@pytest.fixture(scope="module")
def drafter() -> Drafter:
    return Drafter(tiny_memory())


def test_reading_at_the_identity_changes_nothing():
    picture = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(read(picture, identity(16)), picture, atol=1e-5, rtol=0)


def test_one_silhouette_is_laid_onto_another():
    target, source = (torch.from_numpy(disc(number, wide)[1])[None] for number, wide in ((0, 0.7), (3, 0.3)))
    source = source.roll((9, -14), (1, 2))
    laid = read(source[:, None], lay_onto(target, source, SIDE))[:, 0]
    before = torch.minimum(target, source).sum() / torch.maximum(target, source).sum()
    after = torch.minimum(target, laid).sum() / torch.maximum(target, laid).sum()
    assert before < 0.5
    assert after > 0.93


def test_signed_distance_of_a_square():
    matte = np.zeros((1, 9, 9), np.float32)
    matte[:, 2:7, 2:7] = 1
    field = signed_distance(matte)[0]
    assert field[4, 4] == 2.5
    assert field[4, 2] == 0.5
    assert field[4, 1] == -0.5
    assert field[4, 0] == -1.5


def test_colours_spread_from_what_is_known_alone():
    picture = torch.full((1, 3, 16, 16), 0.25)
    known = torch.zeros(1, 1, 16, 16)
    known[..., 6:10, 6:10] = 1
    picture[:, :, 0, 0] = 9.0  # not known, so it must not show
    torch.testing.assert_close(spread(picture, known), torch.full_like(picture, 0.25), atol=1e-4, rtol=0)


def test_a_filled_hole_shows_nothing_of_what_was_in_it():
    picture, hole = torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, 1, 64, 64)
    hole[..., 20:40, 20:40] = 1
    picture[..., 20:40, 20:40] = -1
    torch.testing.assert_close(fill(picture, hole), torch.full_like(picture, 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", ["disc", "coin"])
def test_a_draft_is_a_function_of_its_generator(drafter, kind):
    def draw():
        rng = np.random.default_rng(5)
        return drafter.draft(rng, drafter.choose(rng, kind), Wish(), frames=3)

    first, second = draw(), draw()
    assert torch.equal(first.rgb_NCHW, second.rgb_NCHW)
    assert len(first.rgb_NCHW) == (3 if kind == "coin" else 1)
    assert first.rgb_NCHW.abs().max() <= 1


def test_shape_and_surface_never_come_from_one_exemplar(drafter):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        draft = drafter.draft(rng, drafter.choose(rng), Wish(), frames=1)
        assert draft.used[0] != draft.used[1]


def test_a_colour_wished_for_is_met(drafter):
    wished = (0.55, 0.12, 0.06)
    rng = np.random.default_rng(1)
    draft = drafter.draft(rng, drafter.choose(rng, "disc"), Wish(colour=wished), frames=1)
    lab = to_lab(draft.rgb_NCHW)
    inside = draft.matte_N1HW > 0.99
    mean = [float(channel[inside[:, 0]].mean()) for channel in lab.unbind(1)]
    assert mean == pytest.approx(wished, abs=0.06)


def test_the_mix_decides_where_no_kind_is_wished_for():
    memory = tiny_memory()
    drafter = Drafter(Memory(memory.entries, memory._pictures, {"scans": 1.0}))
    rng = np.random.default_rng(0)
    assert {drafter.choose(rng).kind for _ in range(20)} == {"coin"}
    assert drafter.choose(rng, "disc").kind == "disc"


def test_a_memory_too_small_to_recombine_is_refused():
    memory = tiny_memory()
    with pytest.raises(InputError, match="train on more"):
        Drafter(Memory(memory.entries[:2], memory._pictures[:2]))
    with pytest.raises(InputError, match="was not seen to spin; kinds are coin, disc"):
        Drafter(memory).choose(np.random.default_rng(0), "disc", spins=True)


def test_a_damaged_picture_is_near_its_answer_but_not_it():
    picture, matte = to_tensors(*disc(2))
    broken, silhouette = damaged(np.random.default_rng(0), picture, matte)
    off = (broken - picture).abs().mean()
    assert 0.01 < off < 0.2
    assert (silhouette - matte).abs().mean() < 0.1
