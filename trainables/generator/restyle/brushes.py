"""Brushes: maps that the decoder may lay on a frame, so that a look needs weights, not a memory of pixels.

Some lie still on the screen (grain, hatching, stripes, lamp light, vignette), the rest follow the contours and the
shade of the frame itself: brush strokes run along the forms, as a painter's hand does. None is random in time, so none
can flicker.
Dims: B clips, N frames, C = 3 channels, T frames of a clip, H height, W width, K = BRUSHES maps, D clip statistics,
O = 4 directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

TILE = 256
NAMES = (
    "grain",
    "soft grain",
    "hatching / in the shade",
    "hatching \\ in deep shade",
    "broad stripes on the backdrop",
    "contours",
    "contours, one half",
    "glow",
    "glow, one half",
    "lamp light",
    "vignette",
    "backdrop",
    "product",
    "fine strokes along the forms",
    "broad strokes along the forms",
    "fine detail",
    "broad detail",
)
STRIPES = NAMES.index("broad stripes on the backdrop")
DIRECTIONS = 4
"""Directions in which strokes are kept: 0°, 45°, 90°, 135°."""
BRUSHES = len(NAMES)
BACKDROP_STATISTICS = 6
"""Numbers of `backdrop_statistics`: mean and deviation of R, G, B along the frame's border."""
BORDER = 0.06
"""Width of that border as a share of the side."""


class Brushes(nn.Module):
    """Maps (N, K, H, W) of frames (N, 3, H, W) in [-1, 1], given the statistics of each frame's clip (N, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("tile", torch.cat([_screen_tile(), _stroke_tile()]), persistent=False)
        angles = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
        doubled = torch.stack([angles.cos(), angles.sin()], 1)[..., None, None]
        self.register_buffer("doubled_angles", doubled, persistent=False)
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) / 2, persistent=False)

    def forward(self, frames_NCHW: Tensor, clip_ND: Tensor) -> Tensor:
        height, width = frames_NCHW.shape[-2:]
        mean_N, deviation_N = clip_ND[:, 0], clip_ND[:, 3]
        light = F.conv2d(frames_NCHW, self.luma) + 0.5
        contrast = deviation_N.clamp(min=0.06).view(-1, 1, 1, 1)
        shade = torch.sigmoid((mean_N.view(-1, 1, 1, 1) - 0.5 * contrast - light) / (0.4 * contrast))
        slopes = _slopes(light)
        contour = torch.tanh(1.2 * (_dot(slopes, slopes) + 1e-6).sqrt() / contrast)
        glow = _spread(contour)
        screen = self._screen(height, width)
        grain, soft, hatch, cross, stripes = screen[:5, None].unbind(0)
        along = self._directions(slopes)
        fine, broad = (_dot(along, tiles[None]) for tiles in screen[5:].split(DIRECTIONS))
        blurred = _softened(light)
        washed = _spread(light)
        v = torch.linspace(-1, 1, height, device=light.device)[:, None]
        u = torch.linspace(-1, 1, width, device=light.device)[None]
        lamp = torch.exp(-((u - 0.5) ** 2 + (v + 0.6) ** 2)) - 0.4
        vignette = 0.5 * (u.square() + v.square()) - 0.33
        half = torch.sigmoid(4 * torch.sin(3 * u + 2 * v))
        backdrop = self._backdrop(frames_NCHW, clip_ND[:, -BACKDROP_STATISTICS:])
        maps = [grain, soft, hatch * shade, cross * shade.square(), stripes * backdrop]
        maps += [contour, contour * half, glow, glow * half, lamp, vignette, backdrop, 1 - backdrop]
        maps += [fine, broad, (light - blurred) / contrast, (blurred - washed) / contrast]
        return torch.cat([m.expand(len(light), 1, height, width) for m in maps], 1)

    def _directions(self, slopes_N2HW: Tensor) -> Tensor:
        """Shares of the stroke directions (N, O, H, W), whose squares sum to about 1: along the contours near by
        (structure tensor, smoothed), the first direction where there are none. Found at a quarter of the size.
        """
        x, y = slopes_N2HW.split(1, 1)
        # A contour runs across its slope, hence the minus: the doubled angle of a perpendicular.
        tensor = -torch.cat([x.square() - y.square(), 2 * x * y], 1)
        smooth = _blurred_quarter(tensor) + tensor.new_tensor([2e-4, 0.0]).view(1, 2, 1, 1)
        unit = smooth * torch.rsqrt(_dot(smooth, smooth) + 1e-10)
        weights = F.relu(F.conv2d(unit, self.doubled_angles))
        return _enlarge(weights * torch.rsqrt(_dot(weights, weights) + 1e-6), slopes_N2HW)

    @staticmethod
    def _backdrop(frames_NCHW: Tensor, border_ND: Tensor) -> Tensor:
        """How near a pixel's colour is to the border's, (N, 1, H, W) in 0…1, softened over three pixels."""
        mean, deviation = border_ND[:, :, None, None].split(3, 1)
        reach = 0.02 + deviation.square().sum(1, keepdim=True)
        away = frames_NCHW - mean
        return _softened(torch.exp(-0.5 * _dot(away, away) / reach))

    def _screen(self, height: int, width: int) -> Tensor:
        repeats = (1, -(-height // TILE), -(-width // TILE))
        return self.tile.repeat(repeats)[:, :height, :width]


def backdrop_statistics(clip_BCTHW: Tensor) -> Tensor:
    """Mean and deviation of R, G, B over the frame's border of a clip in [-1, 1]: (B, 6)."""
    height, width = clip_BCTHW.shape[-2:]
    v, u = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    sides = [clip_BCTHW[..., :v, :], clip_BCTHW[..., -v:, :], clip_BCTHW[..., :u], clip_BCTHW[..., -u:]]
    border = torch.cat([side.flatten(2) for side in sides], -1)
    mean = border.mean(-1)
    return torch.cat([mean, (border - mean[..., None]).square().mean(-1).sqrt()], -1)


def _spread(map_NCHW: Tensor) -> Tensor:
    """Blur over about six pixels, at a quarter of the size."""
    return _enlarge(_blurred_quarter(map_NCHW), map_NCHW)


# The filters below are sums of shifted maps: on CPUs convolution and pooling of a map or two take paths that are four
# to thirty times slower.


def _blurred_quarter(map_NCHW: Tensor) -> Tensor:
    height, width = map_NCHW.shape[-2:]
    short = (0, -width % 4, 0, -height % 4)
    small = _quarter(F.pad(map_NCHW, short))
    if any(short):  # the mean is over what there is
        small = small / _quarter(F.pad(map_NCHW.new_ones(1, 1, height, width), short))
    return _softened(_softened(small))


def _quarter(map_NCHW: Tensor) -> Tensor:
    """Mean of each 4 × 4 pixels; sides are multiples of 4."""
    rows = _sum(map_NCHW.unflatten(2, (-1, 4)).unbind(3))
    return _sum(rows.unflatten(3, (-1, 4)).unbind(4)) / 16


def _softened(map_NCHW: Tensor) -> Tensor:
    """Mean over 3 × 3 pixels."""
    x = _framed(map_NCHW)
    rows = _sum([x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]])
    return _sum([rows[..., :-2], rows[..., 1:-1], rows[..., 2:]]) / 9


def _slopes(map_NCHW: Tensor) -> Tensor:
    """Sobel's slopes across and down of a map of one channel, (N, 2, H, W), per pixel."""
    x = _framed(map_NCHW)
    down, smooth = x[:, :, 2:] - x[:, :, :-2], _sum([x[:, :, :-2], x[:, :, 1:-1], x[:, :, 1:-1], x[:, :, 2:]])
    across = smooth[..., 2:] - smooth[..., :-2]
    return torch.cat([across, _sum([down[..., :-2], down[..., 1:-1], down[..., 1:-1], down[..., 2:]])], 1) / 4


def _framed(map_NCHW: Tensor) -> Tensor:
    """With the outermost pixels once more around it."""
    return F.pad(map_NCHW, (1, 1, 1, 1), mode="replicate")


def _sum(maps: Sequence[Tensor]) -> Tensor:
    first, second, *rest = maps
    total = first + second
    for more in rest:
        total = total + more
    return total


def _dot(x_NCHW: Tensor, y_NCHW: Tensor) -> Tensor:
    """Sum of the products over channels (N, 1, H, W), a channel at a time: no tensor of all products is made."""
    first, *rest = zip(x_NCHW.split(1, 1), y_NCHW.split(1, 1), strict=True)
    total = first[0] * first[1]
    for x, y in rest:
        total = torch.addcmul(total, x, y)
    return total


def _enlarge(small_NCHW: Tensor, like_NCHW: Tensor) -> Tensor:
    height, width = like_NCHW.shape[-2:]
    large = F.interpolate(small_NCHW, scale_factor=4, mode="bilinear", align_corners=False)
    return large[..., :height, :width]


def _screen_tile() -> Tensor:
    """Grain, soft grain, two hatchings, stripes: (5, 256, 256), zero mean, unit deviation, seamless, alike on every
    machine.
    """
    random = np.random.RandomState(20)  # the legacy stream never changes between numpy releases
    noise = [ndimage.gaussian_filter(random.standard_normal((TILE, TILE)), s, mode="wrap") for s in (0.5, 1.2, 9.0)]
    v, u = np.meshgrid(np.arange(TILE), np.arange(TILE), indexing="ij")
    wobble = noise[2] / noise[2].std() * 0.15
    hatches = [np.tanh(2.5 * np.sin(2 * np.pi * ((u + way * v) * 36 / TILE + wobble)) - 0.8) for way in (1, -1)]
    stripes = np.tanh(6 * np.sin(2 * np.pi * (u * 8 + v * 4) / TILE))
    maps = np.stack([*noise[:2], *hatches, stripes])
    maps = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    return torch.from_numpy(maps.astype(np.float32))


def _stroke_tile() -> Tensor:
    """Noise drawn out along each direction, fine then broad: (2·O, 256, 256), zero mean, unit deviation, seamless."""
    random = np.random.RandomState(21)
    frequency_v = np.fft.fftfreq(TILE)[:, None]
    frequency_u = np.fft.fftfreq(TILE)[None]
    maps = []
    for length, width in ((6.0, 0.9), (11.0, 2.0)):
        for direction in range(DIRECTIONS):
            angle = np.pi * direction / DIRECTIONS
            along = frequency_u * np.cos(angle) + frequency_v * np.sin(angle)
            across = frequency_v * np.cos(angle) - frequency_u * np.sin(angle)
            shape = np.exp(-2 * np.pi**2 * ((length * along) ** 2 + (width * across) ** 2))
            noise = np.fft.ifft2(np.fft.fft2(random.standard_normal((TILE, TILE))) * shape).real
            maps.append(np.tanh(1.2 * noise / noise.std()))
    maps = np.stack(maps)
    maps = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    return torch.from_numpy(maps.astype(np.float32))
