"""The restyling losses, pure functions.

L = L_style + λ_x·L_texture + λ·L_content + λ_t·L_temp + λ_p·L_palette + w·L_adv.

Dims: B batch, C = 3 channels, T frames, H height, W width, F features, S style code.
A level is one tap of the frozen trunk.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PALETTE_NUMBERS = 16
"""Leading numbers of a style code that `palette_code` computes: mean, deviation, correlation, quantiles, chroma."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def style_loss(restyled: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Σ_levels mean_F[(μ(y) − μ(s))² + (σ(y) − σ(s))²] / 2 (Huang & Belongie 2017): statistics, never raw maps, so
    that the reference's layout is not copied. Each level is (B, 2·F): means, then deviations.
    """
    return torch.stack([(y - s).square().mean() for y, s in zip(restyled, style, strict=True)]).sum()


def colour_free(frames_NCHW: Tensor, clips: int) -> Tensor:
    """Luma of the frames of each clip at mean 0 and deviation 0.4, as grey RGB: what is left of a look without its
    palette and light. The style loss on it is the texture loss.
    """
    luma = _luma(frames_NCHW).reshape(clips, -1)
    mean, deviation = luma.mean(1, keepdim=True), (luma.var(1, keepdim=True) + 1e-4).sqrt()
    even = (luma - mean) / deviation * 0.4
    return even.reshape(len(frames_NCHW), 1, *frames_NCHW.shape[2:]).expand(-1, 3, -1, -1)


def content_loss(restyled: Sequence[Tensor], source: Sequence[Tensor]) -> Tensor:
    """Σ_levels ‖IN(φ(y)) − IN(φ(x))‖² averaged over a frame, (N,): the same things in the same place, whatever their
    colours. Each level is (N, F, h, w); IN subtracts a map's mean and divides by its deviation.
    """
    return torch.stack(
        [
            (_instance_norm(y) - _instance_norm(x)).square().mean((1, 2, 3))
            for y, x in zip(restyled, source, strict=True)
        ]
    ).sum(0)


def _instance_norm(maps_NFHW: Tensor) -> Tensor:
    mean = maps_NFHW.mean((2, 3), keepdim=True)
    variance = maps_NFHW.square().mean((2, 3), keepdim=True) - mean.square()
    return (maps_NFHW - mean) / (variance.clamp(min=0) + 0.05).sqrt()


def edge_loss(restyled_NCHW: Tensor, source_NCHW: Tensor) -> Tensor:
    """1 − correlation of the Sobel magnitudes of luma of frames, (N,), 0 (equal) … 2: contours and lettering stay."""
    y, x = _sobel(_luma(restyled_NCHW)), _sobel(_luma(source_NCHW))
    y, x = y - y.mean((1, 2, 3), keepdim=True), x - x.mean((1, 2, 3), keepdim=True)
    product = (y * x).mean((1, 2, 3))
    scale = (y.square().mean((1, 2, 3)) * x.square().mean((1, 2, 3)) + 1e-8).sqrt()
    return 1 - product / scale


def temporal_loss(restyled_BCTHW: Tensor, source_BCTHW: Tensor) -> Tensor:
    """‖(y_{t+1} − y_t) − (x_{t+1} − x_t)‖₁, mean over a clip's elements, (B,) (arXiv 2102.05822: no optical flow
    needed).
    """
    return (restyled_BCTHW.diff(dim=2) - source_BCTHW.diff(dim=2)).abs().mean((1, 2, 3, 4))


def palette_code(lab_BCN: Tensor) -> Tensor:
    """The leading 16 numbers of a style code, raw units, differentiable: (B, 16) of Oklab pixels (B, 3, N)."""
    mean = lab_BCN.mean(-1)
    centred = lab_BCN - mean[..., None]
    deviation = (centred.square().mean(-1) + 1e-6).sqrt()
    unit = centred / deviation[..., None].clamp(min=1e-2)
    correlation = torch.stack([(unit[:, i] * unit[:, j]).mean(-1) for i, j in ((0, 1), (0, 2), (1, 2))], -1)
    chroma = (lab_BCN[:, 1].square() + lab_BCN[:, 2].square() + 1e-6).sqrt()
    light = torch.quantile(lab_BCN[:, 0], torch.tensor(_QUANTILES, device=lab_BCN.device), dim=-1).T
    return torch.cat(
        [
            mean,
            deviation,
            correlation,
            light,
            chroma.mean(-1, keepdim=True),
            torch.quantile(chroma, 0.9, dim=-1, keepdim=True),
        ],
        -1,
    )


def palette_loss(lab_BCN: Tensor, code_BS: Tensor, centre_S: Tensor, scale_S: Tensor) -> Tensor:
    """Smooth L1 between the palette numbers of the restyled pixels and those the code asks for, in code units."""
    got = (palette_code(lab_BCN) - centre_S[:PALETTE_NUMBERS]) / scale_S[:PALETTE_NUMBERS]
    return F.smooth_l1_loss(got, code_BS[:, :PALETTE_NUMBERS])


def range_loss(restyled_BCTHW: Tensor) -> Tensor:
    """Mean overshoot beyond [-1, 1], before pixels are cut off."""
    return F.relu(restyled_BCTHW.abs() - 1).mean()


def _luma(frames_NCHW: Tensor) -> Tensor:
    weights = frames_NCHW.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (frames_NCHW * weights).sum(1, keepdim=True)


def _sobel(luma_N1HW: Tensor) -> Tensor:
    kernel = luma_N1HW.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    both = F.conv2d(luma_N1HW, torch.stack([kernel, kernel.T])[:, None])
    return (both.square().sum(1, keepdim=True) + 1e-6).sqrt()
