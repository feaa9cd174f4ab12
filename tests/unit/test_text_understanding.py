"""A description becomes kind, look, colour, scene and motion; what it does not say stays None."""

from __future__ import annotations

import csv
import logging
import socket
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import InputError
from trainables.generator.restyle.presets import PRESETS
from trainables.generator.text import embedding
from trainables.generator.text.embedding import EMBEDDING_DIM, TextEmbedder, text_embedder
from trainables.generator.text.understanding import AXES, names, understand

# description | kind | look | colour | scene | motion; an empty cell: the text does not say.
SAID = """
Red leather handbag with a gold chain|handbag||red||
Vintage brown leather backpack, spinning slowly|backpack|vintage|brown||turntable
A minimalist white ceramic mug on a kitchen counter|mug|minimal|white|kitchen|
Neon pink running shoes at night in the city|sneaker|neon|pink|night|
Navy blue blazer for the office|outwear||navy|office|
Blue denim jeans with a straight leg|pants||blue||
Black over-ear headphones, the camera orbits around them|headphones||black||orbit
Yellow raincoat with a hood, on a city street|outwear||yellow|city|
Green cotton t-shirt with a print|t-shirt||green||
Wooden toy car, red and white|toy car||red||
A silver wristwatch, zoom in on the dial|wristwatch||silver||push_in
Floral summer dress, worn on the beach|dress|||beach|
Gold engagement ring with a diamond|ring||gold||
Ink drawing of a porcelain teapot|teapot|ink|||
Cinematic shot of a beige armchair beside the fireplace|chair|warm_film|beige|living room|
Sporty orange water bottle for hiking in the mountains|bottle|sport|orange|nature|
Grey wool beanie|hat||grey||
Purple pleated skirt, static|skirt||purple||none
A scented candle in an amber jar, studio shot|candle||yellow|studio|
Turquoise ceramic vase, panning from left to right|vase||teal||pan
Khaki cargo shorts with six pockets|shorts||olive||
Burgundy leather boots|shoes||burgundy||
White oxford shirt with a button-down collar|shirt||white||
Charcoal turtleneck sweater|longsleeve||grey||
Retro film camera in black and chrome|camera|vintage|black||
Terracotta plant pot with a cactus|plant pot||orange||
Brass desk lamp with a green shade|table lamp||gold|office|
Bluetooth speaker with a teal knit cover, by the pool|speaker||teal||
Tortoiseshell sunglasses|sunglasses||||
Granny Smith apples are green and sour, and are used in pies.|grocery||green||
Lemons have yellow peel and a sour taste. The juice is used in cooking and baking.|grocery||yellow||
Bananas are rich in potassium and are yellow when ripe.|grocery||yellow||
A carton of organic milk, 3 % fat|grocery||||
Aubergine, or eggplant, is usually dark violet with white pulp, and is always eaten cooked.|grocery||purple||
The carrot is sweet and crunchy, and is eaten raw or in soups.|grocery||||
Yoghurt with vanilla taste, enriched with vitamins.|grocery||||
A yellow power drill with a black handle|tools||yellow||
A blue plastic fork|kitchenware||blue||
Not red but blue: a canvas tote|handbag||blue||
Bag without a logo, for the gym|||||
Our best seller of the year|||||
Free shipping on orders over fifty dollars|||||
Made by hand with love|||||
"""
# No word of the tables appears; the nearest concept must be found, or nothing.
MEANT = """
Frock for a summer party|dress||||
A seater with upholstered cushions and wooden legs, furniture for your dining table|chair||||
Wide leg denim trouser|pants||||
Insulated steel drinking vessel keeps water cold|bottle||||
Wireless earpiece for listening to music with noise cancelling|headphones||||
Diamond jewellery for her finger|ring||||
Wax that burns with a flame and a wick|candle||||
Knitted headwear for winter|hat||||
"""


def rows(table: str) -> list[tuple[str, dict[str, str | None]]]:
    lines = [line.split("|") for line in table.strip().splitlines()]
    return [(text, {axis: cell or None for axis, cell in zip(AXES, cells, strict=True)}) for text, *cells in lines]


def found(text: str) -> dict[str, str | None]:
    understanding = understand(text)
    scored = {axis: getattr(understanding, axis) for axis in AXES}
    return {axis: value.name if value else None for axis, value in scored.items()}


def test_table_is_large_enough() -> None:
    assert len(rows(SAID)) + len(rows(MEANT)) >= 50


@pytest.mark.parametrize(
    ("axis", "least"), [("kind", 0.97), ("look", 0.97), ("colour", 0.97), ("scene", 0.9), ("motion", 0.97)]
)
def test_accuracy_on_descriptions(axis: str, least: float) -> None:
    cases = [(text, wanted[axis], found(text)[axis]) for text, wanted in rows(SAID)]
    wrong = [case for case in cases if case[1] != case[2]]
    assert 1 - len(wrong) / len(cases) >= least, wrong


def test_kinds_that_are_only_meant_are_mostly_found() -> None:
    cases = [(text, wanted["kind"], found(text)["kind"]) for text, wanted in rows(MEANT)]
    assert sum(wanted == got for _, wanted, got in cases) >= 0.75 * len(cases), cases


def test_titles_of_the_sample_shop_name_their_kind() -> None:
    with (files("trainables.data.sample") / "products.csv").open() as file:
        products = list(csv.DictReader(file))
    got = [(row["category"], found(row["title"])["kind"]) for row in products]
    assert np.mean([wanted == kind for wanted, kind in got]) >= 0.95
    assert np.mean([kind not in (wanted, None) for wanted, kind in got]) <= 0.02


def test_real_grocery_descriptions_are_groceries(shared_data: Path) -> None:
    texts = [path.read_text() for path in sorted((shared_data / "grocery").rglob("*_Description.txt"))]
    kinds = [found(text)["kind"] for text in texts]
    assert len(kinds) == 81
    assert kinds.count("grocery") >= 0.9 * len(kinds)
    assert set(kinds) <= {"grocery", None}


def test_a_word_that_appears_wins_with_full_score() -> None:
    understanding = understand("A teal lamp shaped like a teapot")
    assert (understanding.colour.name, understanding.colour.score) == ("teal", 1.0)
    assert understanding.kind.score == 1.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Dress watch with a leather strap", "wristwatch"),
        ("Dress shirt", "shirt"),
        ("Leather doctor bag with a camera pocket", "handbag"),
        ("Backpack with a bottle holder", "backpack"),
        ("Set of four mugs", "mug"),
        ("Headphones, cream cups", "headphones"),
    ],
)
def test_the_noun_that_is_meant_is_the_last_of_the_first_clause(text: str, kind: str) -> None:
    assert found(text)["kind"] == kind


@pytest.mark.parametrize("text", ["", "   ", "!!!", "1234567890", "的的的", "\x00\x01"], ids=repr)
def test_text_that_says_nothing_gives_nothing(text: str) -> None:
    assert set(found(text).values()) == {None}


@pytest.mark.parametrize(
    ("text", "axis"), [("not a dress", "kind"), ("a dress that isn’t red", "colour"), ("a mug, no beach", "scene")]
)
def test_what_is_said_not_to_be_meant_is_not_guessed_at_either(text: str, axis: str) -> None:
    assert found(text)[axis] is None


@pytest.mark.parametrize(
    ("text", "kind", "motion"),
    [
        ("The camera slowly zooms in on a teapot", "teapot", "push_in"),
        ("handbag, the camera moves around", "handbag", "orbit"),
        ("The camera pans across a vase", "vase", "pan"),
        ("Camera rotates on a turntable", "camera", "turntable"),
        ("Vintage camera, zoom in", "camera", "push_in"),
    ],
)
def test_the_camera_that_films_is_not_the_product(text: str, kind: str, motion: str) -> None:
    assert (found(text)["kind"], found(text)["motion"]) == (kind, motion)


@pytest.mark.parametrize(
    ("text", "kind", "colour"), [("Navy‑blue t‑shirt", "t-shirt", "navy"), ("ＭＵＧ in ＲＥＤ", "mug", "red")]
)
def test_letters_of_word_processors_are_read_as_plain_ones(text: str, kind: str, colour: str) -> None:
    assert (found(text)["kind"], found(text)["colour"]) == (kind, colour)


def test_scores_are_between_the_least_and_one() -> None:
    for text, _ in rows(SAID) + rows(MEANT):
        for axis in AXES:
            scored = getattr(understand(text), axis)
            assert scored is None or AXES[axis].least <= scored.score <= 1
            assert scored is None or scored.name in names(axis)


def test_a_very_long_text_is_cut() -> None:
    assert found("red mug " + "word " * 100_000)["kind"] == "mug"


def test_looks_are_the_presets() -> None:
    assert tuple(names("look")) == PRESETS


def test_embeddings_have_length_one_and_know_what_is_alike() -> None:
    dress, gown, drill, empty = text_embedder().embed(["summer dress", "evening gown", "power drill", ""])
    assert dress.shape == (EMBEDDING_DIM,)
    assert np.linalg.norm(dress) == pytest.approx(1, abs=1e-5)
    assert dress @ gown > dress @ drill
    assert not empty.any()


def test_embedding_does_not_depend_on_its_neighbours() -> None:
    alone = text_embedder().embed(["red mug"])[0]
    np.testing.assert_array_equal(alone, text_embedder().embed(["x " * 200, "red mug"])[1])


def test_weights_are_read_once_without_network_or_new_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    embedding.text_embedder.cache_clear()
    handlers = list(logging.getLogger().handlers)
    assert understand("red mug").kind.name == "mug"
    assert text_embedder() is text_embedder()
    assert logging.getLogger().handlers == handlers


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"l2_supercat_256\.safetensors"):
        TextEmbedder(tmp_path)
