import numpy as np
import pytest
from PIL import Image

from cluster.errors import InputError
from trainables.generator.restyle.looks import LookConfig, make_looks, read_styles
from trainables.generator.restyle.presets import PRESETS, preset_codes, preset_image


def test_the_six_presets():
    assert PRESETS == ("vintage", "sport", "neon", "minimal", "warm_film", "ink")


def test_preset_pictures_are_pictures_and_always_the_same():
    for name in PRESETS:
        picture = preset_image(name, 96)
        assert picture.shape == (96, 96, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, preset_image(name, 96))
        assert not np.array_equal(picture, preset_image(name, 96, seed=1))


def test_codes_of_different_presets_are_far_apart_and_of_one_preset_close():
    from trainables.data.style_code import style_code

    codes = preset_codes()
    for name in PRESETS:
        other_motif = style_code(preset_image(name, 128, seed=9))
        distances = {other: np.linalg.norm(other_motif - codes[other]) for other in PRESETS}
        assert min(distances, key=distances.get) == name
        assert min(np.linalg.norm(codes[name] - codes[other]) for other in PRESETS if other != name) > 4


def test_an_unknown_preset_is_named_with_the_choice():
    with pytest.raises(InputError, match="'sepia' is no preset; choose one of vintage, sport"):
        preset_image("sepia")


def test_looks_are_presets_then_own_pictures_then_variants():
    own = [("poster", np.full((160, 200, 3), 90, np.uint8))]
    looks = make_looks(LookConfig(references=2, variants=1), seed=0, styles=own)
    assert [look.name for look in looks[:7]] == [*PRESETS, "poster"]
    assert [look.is_variant for look in looks] == [False] * 7 + [True] * 7
    assert len(looks[0].pictures) == 2


def test_a_styles_folder_is_read_and_a_bad_file_in_it_is_named(tmp_path):
    Image.new("RGB", (400, 300), "red").save(tmp_path / "red.png")
    ((name, picture),) = read_styles(tmp_path)
    assert name == "red"
    assert min(picture.shape[:2]) == 160
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.raises(InputError, match="broken.jpg"):
        read_styles(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_styles(tmp_path / "missing")


def test_pictures_are_learned_as_they_are_looked_at_upright_and_over_white(tmp_path):
    """`clips restyle` reads the same file with `read_photo`."""
    wide = Image.fromarray(np.full((200, 400, 3), 90, np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6  # held upright
    wide.save(tmp_path / "held.jpg", exif=turned)
    Image.fromarray(np.zeros((200, 200, 4), np.uint8), "RGBA").save(tmp_path / "seen-through.png")
    pictures = dict(read_styles(tmp_path))
    assert pictures["held"].shape == (320, 160, 3)
    assert (pictures["seen-through"] == 255).all()
