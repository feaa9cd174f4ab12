"""Distance functions, outlines and the cached field agree with distances known by hand."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.data.sample import sdf
from trainables.data.sample.field import Field
from trainables.data.sample.outline import Lathe, Plate, polygon_distance, rounded, smooth_curve
from trainables.data.sample.points import Points, constant


def at(*spots: tuple[float, float, float]) -> Points:
    return Points(*(torch.tensor(column) for column in zip(*spots, strict=True)))


KNOWN = {
    "sphere": (lambda p: sdf.sphere(p, 1.0), [((0, 0, 0), -1.0), ((3, 4, 0), 4.0), ((0, 1, 0), 0.0)]),
    "box": (lambda p: sdf.box(p, (1, 2, 3)), [((0, 0, 0), -1.0), ((2, 3, 0), math.sqrt(2)), ((0, 0, 5), 2.0)]),
    "rounded box": (lambda p: sdf.box(p, (1, 1, 1), 0.5), [((1, 0, 0), 0.0), ((1, 1, 0), 0.5 * math.sqrt(2) - 0.5)]),
    "cylinder": (lambda p: sdf.cylinder(p, 1, 2), [((3, 0, 0), 2.0), ((0, 4, 0), 2.0), ((4, 6, 0), 5.0)]),
    "cone": (lambda p: sdf.cone(p, 1, 1, 2), [((3, 0, 0), 2.0), ((0, 5, 0), 3.0), ((0, 0, 0), -1.0)]),
    "torus": (lambda p: sdf.torus(p, 2, 0.5), [((2, 0, 0), -0.5), ((0, 0, 0), 1.5), ((2, 3, 0), 2.5)]),
    "full arc": (lambda p: sdf.arc(p, 2, 0.5, 180), [((0, -2, 0), -0.5), ((3, 0, 0), 0.5), ((0, 2, 4), 3.5)]),
    "half arc": (lambda p: sdf.arc(p, 2, 0.5, 90), [((0, 2, 0), -0.5), ((2, -3, 0), 2.5)]),
    "capsule": (lambda p: sdf.capsule(p, (0, 0, 0), (0, 2, 0), 0.5), [((1, 1, 0), 0.5), ((0, 4, 0), 1.5)]),
    "ellipsoid surface": (lambda p: sdf.ellipsoid(p, (1, 2, 3)), [((1, 0, 0), 0.0), ((0, 0, -3), 0.0)]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_primitive_has_known_distances(name: str) -> None:
    shape, cases = KNOWN[name]
    spots, expected = zip(*cases, strict=True)
    torch.testing.assert_close(shape(at(*spots)), torch.tensor(expected, dtype=torch.float32), atol=2e-6, rtol=0)


def test_smooth_union_blends_within_its_zone_only() -> None:
    a, b = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    # At a = b iq's quadratic minimum lies k/4 below; beyond |a − b| = k it is the minimum itself.
    torch.testing.assert_close(sdf.smooth_union(a, b, 0.4), torch.tensor([-0.1, 0.0, 0.0]))


def test_cut_and_common_are_set_operations() -> None:
    inner, outer = torch.tensor([-1.0]), torch.tensor([2.0])
    assert sdf.cut(inner, inner).item() == 1.0
    assert sdf.common(inner, outer).item() == 2.0
    assert sdf.union(inner, outer).item() == -1.0


def test_turning_points_keeps_lengths_and_goes_the_right_way() -> None:
    x = at((1, 0, 0)).turned_y(90)
    torch.testing.assert_close(torch.stack(x).view(-1), torch.tensor([0.0, 0.0, 1.0]), atol=1e-6, rtol=0)
    p = at((1, 2, 3)).turned_x(33).turned_z(-71)
    assert p.dot(p).item() == pytest.approx(14.0, rel=1e-5)


def test_polygon_distance_of_a_square() -> None:
    square = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    u, v = torch.tensor([0.0, 3.0, 2.0, 0.5]), torch.tensor([0.0, 0.0, 2.0, 0.0])
    torch.testing.assert_close(polygon_distance(u, v, square), torch.tensor([-1.0, 2.0, math.sqrt(2), -0.5]))


def test_lathe_of_a_rectangle_is_a_cylinder() -> None:
    lathe = Lathe([(0.0, -1.0), (0.5, -1.0), (0.5, 1.0), (0.0, 1.0)])
    points = Points(*(torch.rand(500, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in range(3)))
    gap = lathe(points) - sdf.cylinder(points, 0.5, 1.0)
    assert gap.abs().max() < 0.01  # the table's cell is 0.0063 wide


def test_plate_of_a_square_is_a_box() -> None:
    plate = Plate([(-0.4, -0.6), (0.4, -0.6), (0.4, 0.6), (-0.4, 0.6)], "xy", 0.3)
    points = Points(*(torch.rand(500, generator=torch.Generator().manual_seed(i)) * 1.2 - 0.6 for i in range(3)))
    assert (plate(points) - sdf.box(points, (0.4, 0.6, 0.3))).abs().max() < 0.01


def test_smooth_curve_passes_through_its_corners() -> None:
    corners = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0), (4.0, 4.0)]
    curve = smooth_curve(corners, steps=5)
    assert all(min(math.dist(corner, point) for point in curve) < 1e-9 for corner in corners)
    assert len(rounded(corners, 0.1, steps=4)) == 4 * 5


def test_field_agrees_with_its_function_and_knows_its_sweep() -> None:
    def ball(p: Points) -> torch.Tensor:
        return sdf.sphere(p.at(x=0.2, y=0.6), 0.5)

    field = Field(ball, reach=1.0, cells=64)
    # Points within the cached box, which is the ball's with a margin.
    x, y, z = (torch.rand(2000, generator=torch.Generator().manual_seed(i)) - 0.5 for i in range(3))
    points = Points(x + 0.2, y + 0.6, z)
    assert (field.near(points) - ball(points)).abs().max() < field.cell
    heights, radii = field.swept()
    assert radii.max().item() == pytest.approx(0.7, abs=field.cell)
    assert (heights.min().item(), heights.max().item()) == pytest.approx((0.1, 1.1), abs=field.cell)


def test_marching_meets_a_sphere_where_the_quadratic_says() -> None:
    field = Field(lambda p: sdf.sphere(p.at(y=0.6), 0.5), reach=1.0, cells=64)
    origin = constant(0.0, 0.6, 3.0)
    slopes = torch.linspace(-0.4, 0.4, 81)
    rays = Points(slopes, torch.zeros(81), -torch.ones(81)).unit()
    hit, depth = field.march(origin, rays, 1e-4)
    middle = 3.0 * -rays.z
    square = middle**2 - (9.0 - 0.25)
    expected = torch.nonzero(square > 1e-3).view(-1)
    assert set(expected.tolist()) <= set(hit.tolist())
    assert set(hit.tolist()) <= set(torch.nonzero(square > -2e-2).view(-1).tolist())
    exact = dict(zip(expected.tolist(), (middle - square.clamp_min(0).sqrt())[expected].tolist(), strict=True))
    found = dict(zip(hit.tolist(), depth.tolist(), strict=True))
    assert all(found[ray] == pytest.approx(exact[ray], abs=0.02) for ray in exact)


def test_an_empty_field_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="reach"):
        Field(lambda p: sdf.sphere(p.at(x=9.0), 0.5), reach=1.0, cells=32)
