"""Photos of every kind come in upright RGB; what cannot be used is refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from cluster.errors import InputError
from tests.media import photo_bytes, textured_photo
from trainables.data.photos import LARGEST_PIXELS, read_photo


def test_cmyk_becomes_rgb() -> None:
    photo = textured_photo()
    read = read_photo(photo_bytes(photo.convert("CMYK"), "JPEG", quality=95), "print.jpg").rgb_HWC
    assert read.shape == (320, 240, 3)
    assert np.abs(read.astype(int) - np.asarray(photo)).mean() < 4


def swapped_profile() -> bytes:
    """A profile in which red and green are exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def test_colours_are_those_of_the_embedded_profile() -> None:
    red = Image.new("RGB", (20, 20), (220, 30, 30))
    read = read_photo(photo_bytes(red, "PNG", icc_profile=swapped_profile()), "phone.png").rgb_HWC
    assert np.abs(read.astype(int) - (30, 220, 30)).max() <= 2
    clear = red.convert("RGBA")
    clear.putalpha(0)
    assert (read_photo(photo_bytes(clear, "PNG", icc_profile=swapped_profile()), "clear.png").rgb_HWC >= 254).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()], ids=["damaged", "of another colour space"])
def test_a_profile_that_does_not_fit_changes_nothing(mode: str, profile: bytes) -> None:
    picture = Image.new("RGB", (20, 20), (220, 220, 220)).convert(mode)
    plain = read_photo(photo_bytes(picture, "TIFF"), "a.tif").rgb_HWC
    assert np.array_equal(read_photo(photo_bytes(picture, "TIFF", icc_profile=profile), "b.tif").rgb_HWC, plain)


def test_of_an_animation_the_first_frame_is_taken_and_noted() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    photo = read_photo(data.getvalue(), "spin.gif")
    assert (photo.rgb_HWC == (255, 0, 0)).all()
    assert "animated" in photo.note


def test_the_further_pictures_of_a_phone_photo_are_no_animation() -> None:
    data = io.BytesIO()
    textured_photo(64, 48).save(data, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert read_photo(data.getvalue(), "phone.jpg").note is None


def test_transparency_lies_over_white() -> None:
    picture = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 10, 20))
    read = read_photo(photo_bytes(picture, "PNG"), "cut-out.png").rgb_HWC
    assert (read[:, :10] == (200, 0, 0)).all()
    assert (read[:, 10:] == 255).all()


def test_exif_orientation_is_applied() -> None:
    picture = Image.new("RGB", (60, 40), "black")
    picture.paste("white", (0, 0, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    read = read_photo(photo_bytes(picture, "JPEG", exif=exif), "phone.jpg").rgb_HWC
    assert read.shape == (60, 40, 3)
    assert read[:25].mean() > 240
    assert read[35:].mean() < 15


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "I;16"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((20, 20), 32768, np.uint16))
    else:
        picture = Image.new("L", (20, 20), 128).convert(mode)
    read = read_photo(photo_bytes(picture, "PNG"), "grey.png").rgb_HWC
    assert read.shape == (20, 20, 3)
    assert abs(float(read.mean()) - 128) < (129 if mode == "1" else 3)


def test_a_large_photo_is_reduced_once() -> None:
    read = read_photo(photo_bytes(Image.new("RGB", (5000, 3000), "teal"), "PNG"), "large.png").rgb_HWC
    assert max(read.shape) == 2048


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "is empty", id="zero bytes"),
        pytest.param(photo_bytes(Image.new("RGB", (1, 1)), "PNG"), "is 1×1", id="one pixel"),
        pytest.param(photo_bytes(Image.new("RGB", (300, 15)), "PNG"), "is 300×15", id="a side below 16"),
        pytest.param(b"words, not pixels", "is no picture", id="text"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC .* convert it to JPEG or PNG", id="HEIC"),
        pytest.param(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix", "HEIC .* convert it to JPEG or PNG", id="HEIC by and by"),
        pytest.param(b"\0\0\0\x14ftypisom\0\0\0\0mp42heic", "is no picture", id="MP4"),
        pytest.param(photo_bytes(textured_photo())[:2000], "damaged or truncated", id="truncated JPEG"),
        pytest.param(photo_bytes(textured_photo(), "PNG")[:9000], "damaged or truncated", id="truncated PNG"),
        pytest.param(photo_bytes(textured_photo(), "PNG")[:20], "no picture|damaged", id="header only"),
    ],
)
def test_a_bad_photo_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=rf"bad\.jpg.*({reason})"):
        read_photo(data, "bad.jpg")


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    side = int(LARGEST_PIXELS**0.5) + 100
    bomb = photo_bytes(Image.new("1", (side, side)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(InputError, match=r"bomb\.png is .* megapixels"):
        read_photo(bomb, "bomb.png")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"])
def test_damage_anywhere_is_an_input_error_or_a_picture(kind: str) -> None:
    """Bytes overwritten at random in a valid file, or in its first ones, never raise anything else."""
    rng = np.random.default_rng(7)
    whole = np.frombuffer(photo_bytes(textured_photo(64, 48), kind), np.uint8)
    for reach in [len(whole)] * 60 + [min(300, len(whole))] * 60:
        damaged = whole.copy()
        damaged[rng.integers(0, reach, 12)] = rng.integers(0, 256, 12)
        try:
            assert read_photo(damaged.tobytes(), "damaged").rgb_HWC.dtype == np.uint8
        except InputError as error:
            assert str(error).startswith("damaged ")
