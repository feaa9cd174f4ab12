"""The renderer: deterministic, really turning, lit as the studio says, and its parts within their promises."""

from __future__ import annotations

import pytest
import torch

from trainables.data.sample import sdf
from trainables.data.sample.catalogue import KINDS, LOOKS, catalogue
from trainables.data.sample.encode import write_clip
from trainables.data.sample.make import parse
from trainables.data.sample.materials import Material, plastic
from trainables.data.sample.model import Model, Part, View
from trainables.data.sample.noise import cells, fractal, noise
from trainables.data.sample.palette import COLOURS, FAMILIES, to_linear, to_srgb
from trainables.data.sample.patterns import checks, front, mix, plain, stripes
from trainables.data.sample.points import Points
from trainables.data.sample.render import Shot, Turntable, render
from trainables.data.sample.shading import film

SMALL = Shot(frames=4, pixels=32)
TINY = Shot(frames=1, pixels=24)


def die() -> Model:
    """A cube whose right half is red and whose left half is blue."""
    paint = mix("cobalt", "scarlet", lambda p: (p.x > 0).float())
    return Model(
        parts=(Part(lambda p: sdf.box(p.at(y=0.5), (0.5, 0.5, 0.5), 0.05), plastic(paint)),),
        view=View(turn=0.0, reach=1.0),
    )


def test_same_seed_same_pixels_and_another_seed_others() -> None:
    product = next(product for product in catalogue() if "speckle" in product.design.title.lower())
    first, again = (render(product.model(3), product.design.paper, TINY) for _ in range(2))
    other = render(product.model(4), product.design.paper, TINY)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_turntable_turns_once_in_a_clip() -> None:
    clip = render(die(), "fog", SMALL).float()
    assert clip.shape == (4, 32, 32, 3)
    redness = clip[..., 0] - clip[..., 2]
    left, right = redness[:, 8:28, 6:15].mean((1, 2)), redness[:, 8:28, 17:26].mean((1, 2))
    assert right[0] - left[0] > 60  # red to the right at first
    assert left[2] - right[2] > 60  # and to the left after half a turn
    # A quarter turn brings the red side, then the blue one, to the front.
    middle = redness[:, 12:26, 13:19].mean((1, 2))
    assert abs(middle[1] - middle[3]) > 80


def test_a_full_turn_closes_the_loop() -> None:
    with torch.inference_mode():
        table = Turntable(die(), "fog", SMALL)
        gap = (table.frame(0).int() - table.frame(4).int()).abs()
    assert gap.max() <= 2


def test_the_product_stays_inside_the_frame_and_casts_a_shadow() -> None:
    clip = render(die(), "snow", Shot(frames=4, pixels=48)).float()
    brightness = clip.mean(-1)
    border = torch.cat([clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]], 1)
    colourful = (border.amax(-1) - border.amin(-1)).max()
    assert colourful < 30  # nothing but paper
    # The key light comes from the left: paper to the right of the cube is darker than to its left.
    assert brightness[0, 36:42, 40:46].mean() < brightness[0, 36:42, 2:8].mean() - 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_designs_that_render(kind: str) -> None:
    products = [product for product in catalogue() if product.kind == kind]
    assert len(products) == 8
    clip = render(products[0].model(), products[0].design.paper, TINY)
    assert clip.dtype == torch.uint8 and clip.shape == (1, 24, 24, 3)
    assert clip.float().std() > 10  # more than empty paper


def test_designs_are_complete_and_distinct() -> None:
    products = catalogue()
    assert len({product.product_id for product in products}) == len(products)
    assert len({product.design.title for product in products}) == len(products)
    assert len({product.design.description for product in products}) == len(products)
    for product in products:
        design = product.design
        assert design.colour in COLOURS and design.paper in COLOURS, product.product_id
        assert design.look in LOOKS and design.price > 0 and len(design.tags) >= 2, product.product_id
        assert product.row()["colour"] in FAMILIES


def test_noise_is_smooth_bounded_and_seeded() -> None:
    x = torch.linspace(-3, 3, 3001)
    line = Points(x, torch.full_like(x, 0.3), torch.full_like(x, -0.7))
    values = noise(line, 2.0, 5)
    assert values.min() >= 0 and values.max() <= 1
    assert (values[1:] - values[:-1]).abs().max() < 0.01
    assert not torch.equal(values, noise(line, 2.0, 6))
    assert torch.equal(fractal(line, 2.0, 5), fractal(line, 2.0, 5))
    first, second, tag = cells(line, 2.0, 5)
    assert (second >= first).all() and (tag >= 0).all() and (tag < 1).all()


def test_patterns_cover_the_share_they_promise() -> None:
    u = torch.rand(40_000, generator=torch.Generator().manual_seed(0)) * 8 - 4
    v = torch.rand(40_000, generator=torch.Generator().manual_seed(1)) * 8 - 4
    p = Points(u, v, torch.zeros_like(u))
    assert stripes(front, 0.5, 0.3)(p).mean().item() == pytest.approx(0.3, abs=0.01)
    assert checks(front, 0.5, 0.5)(p).mean().item() == pytest.approx(0.5, abs=0.01)
    assert plain("cobalt")(p).shape == (3, 40_000)


def test_srgb_curve_round_trips_and_film_keeps_order() -> None:
    ramp = torch.linspace(0, 1, 101)
    torch.testing.assert_close(to_srgb(to_linear(ramp)), ramp, atol=1e-4, rtol=0)
    grey = torch.linspace(0, 6, 200).expand(3, -1)
    shown = film(grey)
    assert (shown[:, 1:] >= shown[:, :-1]).all() and shown.max() <= 1


def test_bad_settings_name_the_field_and_the_fix() -> None:
    with pytest.raises(ValueError, match=r"material\.roughness is 2"):
        Material(paint=plain("snow"), roughness=2)
    with pytest.raises(ValueError, match=r"view\.elevation is 90"):
        View(elevation=90)
    with pytest.raises(ValueError, match=r"shot\.frames is 0"):
        Shot(frames=0)
    with pytest.raises(SystemExit):
        parse(["--out", "x", "--workers", "0"])


def test_encoding_is_reproducible(tmp_path) -> None:
    clip = render(die(), "fog", SMALL)
    sizes = [write_clip(clip, tmp_path / name) for name in ("a.mp4", "b.mp4")]
    assert sizes[0] == sizes[1] == (tmp_path / "a.mp4").stat().st_size
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
