import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.tiny_shop import make_tiny_shop
from trainables.generator.clips import DatasetClips
from trainables.generator.sampler import ShardSampler, crop, sample_frames, shard
from trainables.generator.split import split_products


def test_every_clip_once_an_epoch_and_another_order_each_epoch():
    sampler = ShardSampler(5, seed=0, rank=0)
    epochs = [[draw.clip for draw in sampler.next(5)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_sampler_set_to_a_position_goes_on_exactly_there():
    straight = ShardSampler(7, seed=3, rank=1)
    draws = straight.next(20)
    resumed = ShardSampler(7, seed=3, rank=1, position=9)
    assert resumed.next(11) == draws[9:]
    assert resumed.position == straight.position
    clip = np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), np.uint8)
    for first, second in zip(draws[9:], ShardSampler(7, seed=3, rank=1, position=9).next(11), strict=True):
        assert crop(clip, 32, first.rng()).equal(crop(clip, 32, second.rng()))


def test_ranks_draw_differently():
    assert [d.seed for d in ShardSampler(4, seed=0, rank=0).next(4)] != [
        d.seed for d in ShardSampler(4, seed=0, rank=1).next(4)
    ]


def test_shards_are_disjoint_and_cover_everything():
    items = [f"p{i}" for i in range(11)]
    shards = [shard(items, rank, 3) for rank in range(3)]
    assert sorted(sum(shards, [])) == sorted(items)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_frames_are_in_order_and_short_clips_are_held_at_their_end():
    long = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(50):
        frames, gaps = sample_frames(long, 4, rng)
        steps = np.diff(frames[:, 0, 0, 0].astype(int))
        np.testing.assert_array_equal(steps, gaps)
        assert steps.min() >= 1
        assert steps.max() <= 3
    frames, _ = sample_frames(long[:2], 4, rng)
    assert frames[:, 0, 0, 0].tolist() == [0, 1, 1, 1]


def test_a_crop_is_the_same_window_in_every_frame():
    still = np.random.default_rng(0).integers(0, 255, (1, 70, 50, 3), np.uint8).repeat(3, 0)
    window = crop(still, 32, np.random.default_rng(1))
    assert window.shape == (3, 3, 32, 32)
    assert window[:, 0].equal(window[:, 2])
    assert window.abs().max() <= 1


@pytest.mark.filterwarnings("error")
def test_a_picture_that_may_not_be_written_is_cropped_without_a_warning():
    picture = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    wanted = torch.from_numpy(picture.copy()).permute(3, 0, 1, 2).float() / 127.5 - 1
    picture.flags.writeable = False
    torch.set_warn_always(True)
    try:
        found = [crop(picture, 32, np.random.default_rng(seed)) for seed in range(6)]
    finally:
        torch.set_warn_always(False)
    mirrored = [not frames.equal(wanted) for frames in found]
    assert all(frames.equal(wanted.flip(-1) if flip else wanted) for frames, flip in zip(found, mirrored, strict=True))
    assert len(set(mirrored)) == 2


def test_the_split_holds_a_tenth_out_and_never_moves_a_product():
    few, many = [f"p{i}" for i in range(100)], [f"p{i}" for i in range(1000)]
    train_few, held_few = split_products(few)
    train_many, held_many = split_products(many)
    assert 70 <= len(held_many) <= 130
    assert set(held_few) <= set(held_many)
    assert not set(train_many) & set(held_many)
    assert len(train_few) + len(held_few) == 100
    assert [len(part) for part in split_products(["a", "b"])] == [1, 1]


def test_the_clip_cache_stays_within_its_room():
    class Source:
        def __init__(self):
            self.reads = []

        def clip(self, product_id):
            self.reads.append(product_id)
            return type("Clip", (), {"frames_THWC": np.zeros((1, 10, 10, 3), np.uint8)})

    source = Source()
    clips = DatasetClips(source, ["a", "b", "c"], cache_bytes=650)
    for index in (0, 1, 0, 2, 0, 1):
        assert clips[index].shape == (1, 10, 10, 3)
    assert source.reads == ["a", "b", "c", "b"]


def test_clips_carry_what_the_catalogue_says_of_them(storage):
    dataset = make_tiny_shop(storage, products=2, viewers=0)
    row = {"product_id": ["x"], "title": ["Shade"], "category": ["Table_Lamp"]}
    dataset.append("products", pa.table(row), "test")
    clips = DatasetClips(dataset, ["p01", "x", "nowhere"])
    labels = [clips.label(index) for index in range(3)]
    assert [label.kind for label in labels] == ["disc", "table lamp", "product"]
    assert [label.title for label in labels] == ["disc p01", "Shade", "nowhere"]
    assert {label.group for label in labels} == {"tiny"}
