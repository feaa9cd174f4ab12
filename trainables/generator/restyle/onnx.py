"""The restyling network's convolutions as an ONNX graph, for backends that run one. Needs onnx and onnxscript.

Dims: N frames, C channels, H height, W width, Z style conditions.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cluster.errors import ShopreelError
from trainables.generator.restyle.network import RestyleNetwork

OPSET = 18


def export_residual(network: RestyleNetwork, path: Path, pair_NCHW: tuple[int, ...], z_NZ: tuple[int, ...]) -> None:
    """Write `network.residual` for inputs `pair` and `z` of these shapes; its output is named `residual`."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ShopreelError("exporting needs the packages onnx and onnxscript; install shopreel[onnx]") from error

    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pair: Tensor, z: Tensor) -> Tensor:
            return self.network.residual(pair, z)

    example = (torch.zeros(pair_NCHW), torch.zeros(z_NZ))
    graph = torch.onnx.export(
        torch.export.export(Residual().eval(), example, strict=False),
        dynamo=True,
        opset_version=OPSET,
        input_names=["pair", "z"],
        output_names=["residual"],
        verbose=False,
        optimize=False,  # runtimes do it when they load a graph, and sooner
    )
    graph.save(path, include_initializers=True, external_data=False)
