"""The layers of a draft: a product's surface on a silhouette, its colours, what is behind it, and all of it together.

Dims: N pictures of a draft (1, or the frames of a spin), C = 3 channels, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.generator.generate.memory import SIDE
from trainables.generator.generate.warp import fit_boxes, lay_onto, read, signed_distance, spread
from trainables.generator.restyle.palette import Oklab

CALM = 3.0
"""How much the warps of neighbouring frames hold on to each other."""
MAIN_COLOUR = (0.3, 0.08, 0.08)
"""How far from a product's mean Oklab a pixel still is of its main colour."""
Lab = tuple[float, float, float]
_OKLAB = Oklab()


def to_lab(rgb_NCHW: Tensor) -> Tensor:
    """Oklab of pictures in [-1, 1]."""
    return _OKLAB.from_rgb(rgb_NCHW.clamp(-1, 1))


def to_rgb(lab_NCHW: Tensor) -> Tensor:
    return _OKLAB.to_rgb(lab_NCHW)


def to_tensors(rgb: np.ndarray, matte: np.ndarray) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) in [-1, 1] and (N, 1, H, W) of one picture or of frames."""
    if rgb.ndim == 3:
        rgb, matte = rgb[None], matte[None]
    return torch.from_numpy(np.array(rgb)).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(matte)[:, None]


def soften(maps_NCHW: Tensor, radius: int) -> Tensor:
    """Blurred twice over windows of that radius, pixels."""
    for _ in range(2):
        maps_NCHW = F.avg_pool2d(F.pad(maps_NCHW, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)
    return maps_NCHW


def mean_inside(values_NCHW: Tensor, silhouette_N1HW: Tensor) -> Tensor:
    """Mean (1, C, 1, 1) over the pixels that are wholly product."""
    inside = (silhouette_N1HW > 0.9).float()
    return ((values_NCHW * inside).sum((0, 2, 3)) / inside.sum().clamp(min=1)).view(1, -1, 1, 1)


def mixed_silhouette(shape_N1HW: Tensor, surface_N1HW: Tensor, share: float, grid_NHWC: Tensor) -> Tensor:
    """Silhouette between the shape's and, by `share`, the surface's laid into its box, placed by the grid."""
    boxed = read(surface_N1HW, fit_boxes(shape_N1HW[:, 0], surface_N1HW[:, 0], SIDE), "bilinear")
    field = (1 - share) * signed_distance(shape_N1HW[:, 0].numpy()) + share * signed_distance(boxed[:, 0].numpy())
    # Softened, because the distance to a contour of whole pixels still has their stairs.
    moved = soften(read(torch.from_numpy(field)[:, None], grid_NHWC, "bilinear"), 1)
    return torch.sigmoid(2.5 * moved)


def surfaced(
    silhouette_N1HW: Tensor, surface: tuple[Tensor, Tensor], shape: tuple[Tensor, Tensor], folds: float
) -> tuple[Tensor, Tensor]:
    """The surface (picture, matte) laid onto the silhouette, with that share of the shape's own folds in its light; and
    the matte it then has: its own contour, which has the edges of cloth and not those of a stencil.
    """
    calm = CALM if len(silhouette_N1HW) > 1 else 0.0
    grid = lay_onto(silhouette_N1HW[:, 0], surface[1][:, 0], SIDE, calm=calm)
    solid = -F.max_pool2d(-(surface[1] > 0.9).float(), 3, stride=1, padding=1)
    lab = to_lab(read(spread(surface[0], solid), grid))
    own = to_lab(spread(shape[0], (shape[1] > 0.9).float()))[:, :1]
    lab[:, :1] += folds * (own - soften(own, 8)).clamp(-0.12, 0.12)
    return to_rgb(lab), ((read(surface[1], grid) - 0.25) / 0.6).clamp(0, 1)


def recoloured(product_NCHW: Tensor, silhouette_N1HW: Tensor, goal: Lab, share: float) -> Tensor:
    """Mean colour moved that share of the way to a mean Oklab; contrast follows where light has less room."""
    lab = to_lab(product_NCHW)
    mean = mean_inside(lab, silhouette_N1HW)
    move = share * (torch.tensor(goal).view(1, 3, 1, 1) - mean)
    light, before = (float(value[0, 0]) for value in (mean + move, mean))
    room = float(np.clip(min(light, 1 - light) / max(min(before, 1 - before), 0.08), 0.6, 1.4))
    apart = (lab - mean) / torch.tensor(MAIN_COLOUR).view(1, 3, 1, 1)
    # Other colours of a print keep more of their own than the main colour does.
    follow = 0.35 + 0.65 * torch.exp(-0.5 * apart.square().sum(1, keepdim=True))
    return to_rgb(mean + (lab - mean) * torch.tensor([room, 1.0, 1.0]).view(1, 3, 1, 1) + move * follow)


def fill(rgb_NCHW: Tensor, hole_N1HW: Tensor) -> Tensor:
    """A hole (1 inside, else 0) takes colours from around it and texture from beside it."""
    known = 1 - hole_N1HW
    base = spread(rgb_NCHW, known)
    texture = (rgb_NCHW - soften(base, 6)) * known
    detail, missing = torch.zeros_like(rgb_NCHW), hole_N1HW.clone()
    for reach in (24, 40, 56, 72):
        for way in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            moved = tuple(reach * step for step in way)
            have = known.roll(moved, (2, 3)) * missing
            detail = detail + texture.roll(moved, (2, 3)) * have
            missing = missing * (1 - have)
    return torch.where(hole_N1HW > 0, (soften(base, 6) + 0.9 * detail).clamp(-1, 1), rgb_NCHW)


def compose(
    rng: np.random.Generator, product: Tensor, silhouette: Tensor, backdrop: Tensor, shadow: tuple[float, float]
) -> Tensor:
    """Product over backdrop, with the soft shadow it throws, of a depth from that range."""
    across, down = rng.integers(-4, 5), rng.integers(0, 5)
    thrown = soften(silhouette.roll((int(down), int(across)), (2, 3)), int(rng.integers(2, 6)))
    shaded = (backdrop + 1) * (1 - rng.uniform(*shadow) * thrown) - 1
    return (product * silhouette + shaded * (1 - silhouette)).clamp(-1, 1)


def plain_backdrop(rgb_NCHW: Tensor, matte_N1HW: Tensor) -> Tensor:
    """The colour (1, 3, 1, 1) of a spin's backdrop."""
    return rgb_NCHW[:1].flatten(2)[..., matte_N1HW[0].flatten() < 0.05].median(-1).values[..., None, None]
