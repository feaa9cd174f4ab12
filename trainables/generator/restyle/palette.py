"""The palette skip: a smooth colour grading of a whole clip towards the palette that a style code carries.

One grading a clip, never a frame, so it cannot flicker. Before any training it is a moderated Monge–Kantorovich
transport (Pitié & Kokaram 2007, the linear map between two Gaussians) in Oklab (Ottosson 2020); training adds to it.
Dims: B batch, C = 3 channels, T frames, H height, W width, S style code, N pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.data.style_code import CENTRE, LINEAR_TO_LMS, LMS_TO_OKLAB, SCALE

STATISTICS = 9
"""Numbers of `clip_statistics`: mean (3), deviation (3), correlation La, Lb, ab (3)."""
KNOTS = 7
TABLE = 33
"""Levels of red, green and blue in the table of a grading."""
_CHROMA_90 = 15
"""Place of the 90 % quantile of chroma in a style code."""
_PAIRS = ((0, 1), (0, 2), (1, 2))
Grading = Callable[[Tensor], Tensor]
"""Clips (B, 3, T, H, W) in [-1, 1] → the same, graded."""


class Oklab(nn.Module):
    """sRGB in [-1, 1] ↔ Oklab, channels at dim 1; differentiable everywhere."""

    def __init__(self) -> None:
        super().__init__()
        lms, lab = torch.tensor(LINEAR_TO_LMS), torch.tensor(LMS_TO_OKLAB)
        for name, matrix in (("lms", lms), ("lab", lab), ("unlab", lab.inverse()), ("unlms", lms.inverse())):
            self.register_buffer(name, matrix.float(), persistent=False)

    def from_rgb(self, rgb_BCX: Tensor) -> Tensor:
        value = ((rgb_BCX + 1) / 2).clamp(0, 1)
        linear = torch.where(value <= 0.04045, value / 12.92, ((value.clamp(min=0.04) + 0.055) / 1.055) ** 2.4)
        root = mix(self.lms, linear).clamp(min=1e-5) ** (1 / 3)
        return mix(self.lab, root)

    def to_rgb(self, lab_BCX: Tensor) -> Tensor:
        linear = mix(self.unlms, mix(self.unlab, lab_BCX) ** 3)
        value = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.003) ** (1 / 2.4) - 0.055)
        return value.clamp(0, 1) * 2 - 1


def mix(matrix: Tensor, value_BCX: Tensor) -> Tensor:
    """Apply a (3, 3) or (B, 3, 3) matrix to dim 1."""
    flat = value_BCX.reshape(value_BCX.shape[0], 3, -1)
    return (matrix @ flat).reshape(value_BCX.shape)


def clip_statistics(lab_BCN: Tensor) -> Tensor:
    """Mean, deviation and correlations (B, 9) of Oklab pixels (B, 3, N)."""
    mean = lab_BCN.mean(-1)
    centred = lab_BCN - mean[..., None]
    deviation = centred.square().mean(-1).add(1e-8).sqrt()
    unit = centred / deviation[..., None].clamp(min=1e-3)
    correlation = torch.stack([(unit[:, i] * unit[:, j]).mean(-1) for i, j in _PAIRS], -1)
    return torch.cat([mean, deviation, correlation], -1)


def code_statistics(code_BS: Tensor) -> Tensor:
    """The first nine numbers of a style code in their own units, (B, 9)."""
    centre = torch.as_tensor(CENTRE[:STATISTICS], device=code_BS.device)
    scale = torch.as_tensor(SCALE[:STATISTICS], device=code_BS.device)
    return code_BS[:, :STATISTICS].float() * scale + centre


def transport(source_B9: Tensor, target_B9: Tensor, floor: float, least: float, most: float) -> Tensor:
    """Monge–Kantorovich map (B, 3, 3) between the two Gaussians; deviations below `floor` count as `floor`
    and the map's own eigenvalues stay within `least`…`most`, so a plain backdrop's noise is never blown up.
    """
    cov_x, cov_y = _covariance(source_B9, floor), _covariance(target_B9, 0.004)
    root, inverse_root = _power(cov_x, 0.5), _power(cov_x, -0.5)
    plan = inverse_root @ _power(root @ cov_y @ root, 0.5) @ inverse_root
    values, vectors = torch.linalg.eigh((plan + plan.mT) / 2)
    return vectors @ torch.diag_embed(values.clamp(least, most)) @ vectors.mT


def _covariance(statistics_B9: Tensor, floor: float) -> Tensor:
    deviation = statistics_B9[:, 3:6].clamp(min=floor)
    correlation = torch.eye(3, device=deviation.device).repeat(len(deviation), 1, 1)
    for value, (i, j) in zip(statistics_B9[:, 6:9].clamp(-0.95, 0.95).unbind(-1), _PAIRS, strict=True):
        correlation[:, i, j] = correlation[:, j, i] = value
    return deviation[:, :, None] * correlation * deviation[:, None, :]


def _power(matrix_BCC: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix_BCC)
    return vectors @ torch.diag_embed(values.clamp(min=1e-7) ** exponent) @ vectors.mT


def _knees(light: Tensor, low: float = 0.22, high: float = 0.92) -> Tensor:
    """Bend lightness into 0…1 below `low` and above `high`, with equal slopes: deep shade keeps its detail."""
    toe = low * torch.exp((light.clamp(max=low) - low) / low)
    shoulder = 1 - (1 - high) * torch.exp((high - light.clamp(min=high)) / (1 - high))
    return torch.where(light < low, toe, torch.where(light > high, shoulder, light))


def _limit_chroma(ab_B2N: Tensor, code_BS: Tensor) -> Tensor:
    """Bend chroma below a limit set by the style's own 90 % quantile: a grey look stays grey on a vivid product."""
    quantile = code_BS[:, _CHROMA_90].float() * float(SCALE[_CHROMA_90]) + float(CENTRE[_CHROMA_90])
    limit = (2.5 * quantile.clamp(min=0) + 0.008).view(-1, 1, 1)
    chroma = (ab_B2N.square().sum(1, keepdim=True) + 1e-8).sqrt()
    return ab_B2N * (limit / chroma) * torch.tanh(chroma / limit)


def _table(grade: Grading, like_BX: Tensor) -> Tensor:
    """What a grading does to an even grid of colours, (B, 3, blue, green, red): `grid_sample` wants the coordinate of
    the last axis first.
    """
    levels = torch.linspace(-1, 1, TABLE, device=like_BX.device, dtype=like_BX.dtype)
    blue, green, red = torch.meshgrid(levels, levels, levels, indexing="ij")
    colours = torch.stack([red, green, blue])
    return grade(colours.expand(len(like_BX), -1, -1, -1, -1))


def _look_up(table_BCBGR: Tensor, clip_BCTHW: Tensor) -> Tensor:
    """Trilinear between the entries of a table."""
    places = clip_BCTHW.permute(0, 2, 3, 4, 1)
    return F.grid_sample(table_BCBGR, places, mode="bilinear", padding_mode="border", align_corners=True)


class PaletteSkip(nn.Module):
    """Makes the grading of a clip towards code (B, S): an affine map of Oklab, then a tone curve and split
    toning over lightness. The transport is fixed; a small network, zero at first, corrects map, shift and curves.
    """

    def __init__(self, condition: int, *, hidden: int = 64, moderation: float = 0.9) -> None:
        super().__init__()
        self.oklab = Oklab()
        self.moderation = moderation
        self.tabulated = True
        """Outside training, read the grading off a table of colours: the same to a grey level, three times sooner."""
        self.correct = nn.Sequential(nn.Linear(condition, hidden), nn.SiLU(), nn.Linear(hidden, 12 + 3 * KNOTS))
        nn.init.zeros_(self.correct[-1].weight)
        nn.init.zeros_(self.correct[-1].bias)

    def forward(self, code_BS: Tensor, source_B9: Tensor, condition_BX: Tensor) -> Grading:
        """The grading of clips with these statistics (B, 9)."""
        batch = len(code_BS)
        with torch.no_grad():
            target_B9 = code_statistics(code_BS)
            plan = transport(source_B9, target_B9, floor=0.025, least=0.08, most=2.6)
            eye = torch.eye(3, device=plan.device)
            matrix = eye + self.moderation * (plan - eye)
            shift = self.moderation * (target_B9[:, :3] - source_B9[:, :3])
        raw = self.correct(condition_BX)
        matrix = matrix + 0.5 * raw[:, :9].reshape(batch, 3, 3)
        shift = shift + raw[:, 9:12]
        curves = 1.2 * raw[:, 12:].reshape(batch, 3, KNOTS)

        def graded(rgb_BCX: Tensor) -> Tensor:
            return self._grade(rgb_BCX, matrix, shift, curves, source_B9, code_BS)

        if self.training or not self.tabulated:
            return graded
        table_BCBGR = _table(graded, code_BS)
        return lambda clip_BCTHW: _look_up(table_BCBGR, clip_BCTHW)

    def _grade(
        self, rgb_BCX: Tensor, matrix: Tensor, shift: Tensor, curves: Tensor, source_B9: Tensor, code_BS: Tensor
    ) -> Tensor:
        batch = len(rgb_BCX)
        lab_BCN = self.oklab.from_rgb(rgb_BCX.reshape(batch, 3, -1))
        mean = source_B9[:, :3, None]
        graded = mix(matrix, lab_BCN - mean) + mean + shift[..., None]
        position = graded[:, 0].clamp(0, 1) * (KNOTS - 1)
        for knot in range(KNOTS):
            hat = (1 - (position - knot).abs()).clamp(min=0)
            graded = graded + curves[:, :, knot, None] * hat[:, None]
        graded = torch.cat([_knees(graded[:, :1]), _limit_chroma(graded[:, 1:], code_BS)], 1)
        return self.oklab.to_rgb(graded).reshape(rgb_BCX.shape)
