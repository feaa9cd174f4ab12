"""Features of products: one scale for all modalities, nothing said by what is missing, attributes read as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import StorageReadError
from cluster.storage import Storage
from tests.recommender_log import products_table
from tests.tiny_shop import make_tiny_shop
from trainables.data.audio import MEL_BANDS
from trainables.data.schemas import ATTRIBUTES
from trainables.data.style_code import CODE_DIM
from trainables.recommender.content import WEIGHTS, ContentConfig, content_features
from trainables.recommender.features.attributes import attribute_block, catalogue_blocks, choices, soft_bins
from trainables.recommender.features.blocks import joined, normalised, standardised
from trainables.recommender.features.extract import (
    MODALITIES,
    Extractor,
    Footage,
    audio_statistics,
    motion_energy,
    text_and_price,
)
from trainables.recommender.features.table import (
    content_blocks,
    read_modalities,
    read_sources,
    source_of,
    write_rows,
)


def test_normalised_rows_have_length_one_and_missing_ones_are_zero() -> None:
    block = np.array([[1.0, 2.0], [3.0, -1.0], [np.nan, 0.0], [0.0, 0.0], [5.0, 5.0]])
    made = normalised(block)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), [1, 1, 0, 0, 1], atol=1e-6)
    centred = block[[0, 1, 4]] - block[[0, 1, 4]].mean(0)
    np.testing.assert_allclose(made[[0, 1, 4]], centred / np.linalg.norm(centred, axis=1, keepdims=True), rtol=1e-5)
    assert not normalised(np.full((3, 2), np.nan)).any()


def test_joined_blocks_weigh_their_cosines_and_a_missing_one_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    look, words = rng.normal(size=(6, 4)), 1000 * rng.normal(size=(6, 3))
    features = joined({"look": look, "words": words}, {"look": 3.0})
    cosines = [normalised(block) @ normalised(block).T for block in (look, words)]
    np.testing.assert_allclose(features @ features.T, (3 * cosines[0] + cosines[1]) / 4, atol=1e-5)
    words[2] = np.nan
    features = joined({"look": look, "words": words})
    assert np.linalg.norm(features[2]) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="no feature block is called 'wrods'"):
        joined({"words": words}, {"wrods": 1.0})
    with pytest.raises(ValueError, match="weight of block 'words' is -1"):
        joined({"words": words}, {"words": -1.0})


def test_standardised_columns_ignore_missing_rows_and_clip_outliers() -> None:
    block = np.concatenate([np.arange(20.0), [1e9], [np.nan]])[:, None]
    made = standardised(block)
    assert np.isnan(made[-1, 0])
    assert made[-2, 0] == 3.0


def test_soft_bins_sum_to_one_and_near_values_share_them() -> None:
    values = np.append(np.random.default_rng(0).lognormal(size=200), np.nan)
    block = soft_bins(values)
    np.testing.assert_allclose(block[:-1].sum(1), 1, atol=1e-6)
    assert not block[-1].any()
    order = np.argsort(values[:-1])
    assert block[order[50]] @ block[order[51]] > 5 * block[order[50]] @ block[order[150]]


def test_attributes_are_read_as_numbers_dates_or_choices() -> None:
    numbers = [str(3.5 * i) for i in range(40)]
    assert attribute_block("seconds", numbers).shape == (40, 12)
    assert attribute_block("music_id", numbers).shape == (40, 0)  # an id is no number, and nobody shares one
    assert attribute_block("kind", ["a", "b", "a", None, "b", "c"]).tolist() == [
        [1, 0], [0, 1], [1, 0], [0, 0], [0, 1], [0, 0],
    ]  # fmt: skip
    days = [f"2022-04-{day:02d}" for day in range(1, 29)]
    dated = attribute_block("upload_dt", days)
    assert dated[0] @ dated[1] > dated[0] @ dated[14] == 0


def test_a_catalogue_becomes_blocks_and_what_says_nothing_is_left_out() -> None:
    table = products_table(
        ["a", "b", "c", "d"],
        ["shoe", "shoe", "lamp", "lamp"],
        tags=[["x", "y"], ["x"], ["y"], None],
        creator=["m", None, "n", "k"],
        attributes=pa.array([[("kind", "p"), ("same", "1")]] * 2 + [[("kind", "q")]] * 2, ATTRIBUTES),
    )
    blocks = catalogue_blocks(table)
    assert sorted(blocks) == ["attribute kind", "category", "tags"]
    assert blocks["tags"].tolist() == [[1, 1], [1, 0], [0, 1], [0, 0]]
    assert choices([("z",), ("z", "z"), ()]).tolist() == [[1], [1], [0]]


def footage(seed: int, side: int = 48) -> Footage:
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 255, (1, side, side, 3), dtype=np.uint8), 6, axis=0)
    return Footage(frames_THWC=frames, fps=8.0, style_code=rng.normal(size=MODALITIES["style"]))


def test_every_modality_has_its_size_and_frames_do_not_depend_on_the_batch() -> None:
    extractor = Extractor()
    with_sound = Footage(
        frames_THWC=footage(1).frames_THWC,
        fps=8.0,
        style_code=footage(1).style_code,
        audio_logmel=np.random.default_rng(0).normal(size=(6, MEL_BANDS)),
        source_seconds=9.0,
    )
    first, second = extractor.footage([footage(0), with_sound])
    assert {name: value.shape for name, value in {**second, **text_and_price("red lamp", None, 3.0)}.items()} == {
        name: (size,) for name, size in MODALITIES.items()
    }
    assert first["audio"] is None
    np.testing.assert_allclose(first["duration"], np.log1p(6 / 8), rtol=1e-6)
    np.testing.assert_allclose(second["duration"], np.log1p(9.0), rtol=1e-6)
    np.testing.assert_allclose(extractor.footage([with_sound])[0]["frames"], second["frames"], atol=1e-4)
    assert np.abs(first["frames"] - second["frames"]).max() > 0.01


def test_sound_motion_text_and_price_say_what_they_are() -> None:
    mel = np.tile(np.arange(MEL_BANDS, dtype=float), (4, 1))
    mel[1::2] += 2
    made = audio_statistics(mel)
    np.testing.assert_allclose(made.reshape(3, -1), [np.arange(MEL_BANDS) + 1, np.ones(64), np.full(64, 2.0)])
    assert audio_statistics(np.full((4, MEL_BANDS), np.nan)) is None
    still = np.zeros((3, 8, 8, 3), np.uint8)
    assert motion_energy(still).tolist() == [0, 0]
    still[2] = 7
    np.testing.assert_allclose(motion_energy(still), np.log1p([3.5, 7.0]), rtol=1e-6)
    assert motion_energy(still[:1]) is None
    assert text_and_price("", None, float("nan")) == {"text": None, "price": None}
    assert text_and_price("", None, -3.0)["price"] is None
    lamp, light, shoe = (text_and_price(title, None, None)["text"] for title in ("table lamp", "desk light", "boot"))
    assert lamp @ light > lamp @ shoe


def test_rows_come_back_the_latest_of_each_product_and_nan_where_missing(storage: Storage) -> None:
    dataset = make_tiny_shop(storage, products=3, viewers=0)
    rng = np.random.default_rng(0)
    rows = [
        {"product_id": "p00", "source": "s0", "text": rng.normal(size=256), "price": np.array([1.0])},
        {"product_id": "p02", "source": "s2", "text": None, "style": rng.normal(size=36)},
    ]
    write_rows(dataset, rows)
    write_rows(dataset, [{"product_id": "p00", "source": "s1", "text": rows[0]["text"] + 1}])
    assert read_sources(dataset) == {"p00": "s1", "p02": "s2"}
    found = read_modalities(dataset, ["p02", "p01", "p00"])
    assert sorted(found) == ["style", "text"]  # of the latest rows nobody has a price
    np.testing.assert_allclose(found["text"][2], rows[0]["text"] + 1, rtol=1e-6)
    assert np.isnan(found["text"][:2]).all()
    np.testing.assert_allclose(found["style"][0], rows[1]["style"], rtol=1e-6)


def test_what_was_built_becomes_content(storage: Storage) -> None:
    dataset = make_tiny_shop(storage, products=4, viewers=0)
    ids = [f"p{i:02d}" for i in range(4)]
    assert read_modalities(dataset, ids) == {}
    text = np.random.default_rng(0).normal(size=(4, 256))
    text[1] = text[0] + 0.01
    write_rows(dataset, [
        {"product_id": i, "source": i, "text": text[row], "price": np.ones(1)} for row, i in enumerate(ids[:3])
    ])  # fmt: skip
    modalities = read_modalities(dataset, ids)
    assert np.isnan(modalities["text"][3]).all()
    prices = content_blocks({"price": np.array([[0.5], [0.7], [0.2], [np.nan]])})["price"]
    np.testing.assert_allclose(prices.sum(1), [1, 1, 1, 0], atol=1e-6)
    silent = dict.fromkeys(WEIGHTS, 0.0)
    codes = np.full((4, CODE_DIM), np.nan, np.float32)
    config = ContentConfig(**silent | {"text": 1.0})
    content = content_features(dataset.arrow("products"), codes, config, content_blocks(modalities))
    np.testing.assert_allclose(np.linalg.norm(content, axis=1), [1, 1, 1, 0], atol=1e-5)
    assert content[0] @ content[1] > 0.99 > content[0] @ content[2] + 0.5


def test_a_row_is_out_of_date_when_what_it_was_made_of_changes() -> None:
    product = {"product_id": "a", "title": "lamp", "description": None, "price": 3.0}
    before = source_of(product, "clip")
    assert before == source_of(dict(product), "clip")
    assert len({before, source_of({**product, "title": "lamps"}, "clip"), source_of(product, None)}) == 3


def test_a_catalogue_without_attributes_is_fine() -> None:
    table = pa.table({"category": ["a", "a"], "tags": [None, None], "creator": [None, None]})
    assert catalogue_blocks(table) == {}


def test_a_part_that_cannot_be_read_is_named(storage: Storage) -> None:
    dataset = make_tiny_shop(storage, products=1, viewers=0)
    part = Path(storage.path(dataset.folder("product_features/part-000000-x.parquet")))
    part.mkdir(parents=True)
    with pytest.raises(StorageReadError, match=rf"cannot read {part}"):
        read_sources(dataset)
