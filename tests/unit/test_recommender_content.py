import numpy as np
import pyarrow as pa
import pytest

from tests.recommender_log import products_table
from trainables.data.schemas import ATTRIBUTES
from trainables.data.style_code import CODE_DIM
from trainables.recommender.content import ContentConfig, content_features

NOTHING = np.full((6, CODE_DIM), np.nan, np.float32)


def catalogue(**columns):
    return products_table([f"p{i}" for i in range(6)], ["lamp", "lamp", "lamp", "chair", "chair", "chair"], **columns)


def similarity(products, codes=NOTHING, **weights):
    features = content_features(products, codes, ContentConfig(**weights))
    return features @ features.T


def test_same_category_is_nearer_than_another():
    s = similarity(catalogue())
    assert s[0, 1] == pytest.approx(1, abs=1e-6)
    assert s[0, 3] < 0


def test_words_tags_creator_and_price_tell_products_of_one_category_apart():
    base = {"category": 0.0, "look": 0.0}
    titled = catalogue(title=["red oak lamp", "red oak lamp two", "blue steel", "x", "y", "z"])
    assert similarity(titled, **base)[0, 1] > similarity(titled, **base)[0, 2] + 0.3
    tagged = catalogue(tags=[["a", "b"], ["a", "b"], ["c"], ["c"], ["e"], None])
    assert similarity(tagged, **base)[0, 1] > similarity(tagged, **base)[0, 2] + 0.3
    made = catalogue(creator=["Ann", "Ann", "Bo", "Bo", None, None])
    assert similarity(made, **base)[0, 1] > similarity(made, **base)[0, 2] + 0.3
    priced = catalogue(price=[10.0, 11.0, 900.0, None, 50.0, -1.0])
    assert similarity(priced, **base)[0, 1] > 0 > similarity(priced, **base)[0, 2]


def test_attributes_of_the_source_tell_products_apart():
    kinds = [{"finish": "matt"}, {"finish": "matt"}, {"finish": "gloss"}, {"finish": "gloss"}, {}, None]
    column = pa.array([list((kind or {}).items()) for kind in kinds], ATTRIBUTES)
    finished = catalogue().set_column(catalogue().column_names.index("attributes"), "attributes", column)
    s = similarity(finished, category=0.0)
    assert s[0, 1] == pytest.approx(1, abs=1e-6)
    assert s[0, 2] < 0 == s[0, 4]


def test_looks_that_are_alike_are_near():
    codes = np.random.default_rng(0).normal(0, 1, (6, CODE_DIM)).astype(np.float32)
    codes[1] = codes[0] + 0.01
    s = similarity(catalogue(), codes, category=0.0)
    assert s[0, 1] > 0.95 > s[0, 2]


def test_a_product_with_nothing_says_nothing():
    bare = products_table(["p0", "p1"])
    features = content_features(bare, NOTHING[:2], ContentConfig())
    assert features.shape[0] == 2
    assert not features.any()


def test_features_have_length_one_and_no_empty_columns():
    features = content_features(catalogue(), NOTHING, ContentConfig())
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    assert (features != 0).any(0).all()
    assert features.dtype == np.float32


def test_settings_out_of_range_name_themselves():
    with pytest.raises(ValueError, match="content.look"):
        ContentConfig(look=-1)
    with pytest.raises(ValueError, match="content.hash_dims"):
        ContentConfig(hash_dims=1)
