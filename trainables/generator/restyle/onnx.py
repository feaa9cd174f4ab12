"""The restyling network as an ONNX graph: the same pictures from any ONNX runtime, without PyTorch.

Two operators of the network have no counterpart in ONNX and are written out: eigenvectors of 3×3 matrices (the palette
transport) and trilinear look-up (its table of colours).
Dims: B batch, C = 3 channels, T frames, H height, W width, S style code, R G B levels of a colour table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cluster.errors import InputError, ShopreelError
from trainables.data.style_code import CODE_DIM
from trainables.generator.restyle.network import RestyleNetwork

OPSET = 18
SWEEPS = 3
"""Rounds of Jacobi rotations; a 3×3 matrix is diagonal to float32 after them."""


def export(network: RestyleNetwork, path: Path, *, frames: int, height: int, width: int) -> None:
    """Write a graph that takes `clip` (1, 3, T, H, W) in [-1, 1] and `code` (1, S) and gives `restyled` of the clip's
    shape, for clips of this one size and length. Needs the packages onnx and onnxscript.
    """
    if frames < 1 or min(height, width) < 16:
        raise InputError(f"a clip of {frames} frames of {height} × {width} cannot be exported; sides are 16 or more")
    example = (torch.rand(1, 3, frames, height, width) * 2 - 1, torch.zeros(1, CODE_DIM))
    program = torch.export.export(network.cpu().eval(), example, strict=False)
    written_out = torch.export.default_decompositions()
    written_out[torch.ops.aten._linalg_eigh.default] = eigenvectors_3x3
    written_out[torch.ops.aten.grid_sampler_3d.default] = look_up_trilinear
    _write(program.run_decompositions(written_out), path, ["clip", "code"], "restyled")


def export_residual(network: RestyleNetwork, path: Path, pair_NCHW: tuple[int, ...], z_NZ: tuple[int, ...]) -> None:
    """Write `network.residual` alone, in seconds where the whole takes a minute, for inputs `pair` and `z` of these
    shapes. Needs the packages onnx and onnxscript.
    """

    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pair: Tensor, z: Tensor) -> Tensor:
            return self.network.residual(pair, z)

    example = (torch.zeros(pair_NCHW), torch.zeros(z_NZ))
    _write(torch.export.export(Residual().eval(), example, strict=False), path, ["pair", "z"], "residual")


def _write(program: torch.export.ExportedProgram, path: Path, inputs: list[str], output: str) -> None:
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ShopreelError("exporting needs the packages onnx and onnxscript; install shopreel[onnx]") from error
    graph = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=inputs,
        output_names=[output],
        verbose=False,
        optimize=False,  # runtimes do it when they load a graph, and sooner
    )
    graph.save(path, include_initializers=True, external_data=False)


def eigenvectors_3x3(matrix: Tensor, uplo: str = "L", compute_v: bool = True) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Eigenvalues (…, 3), in no order, and eigenvectors (…, 3, 3) of symmetric matrices, by cyclic Jacobi rotations.

    Written with few operators: every one of them becomes a node of the graph 36 times over.
    """
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    planes = [((p, q), *_plane(eye[p], eye[q])) for p, q in ((0, 1), (0, 2), (1, 2))]
    rest, vectors = matrix, eye
    for _ in range(SWEEPS):
        for (p, q), flat, turn in planes:
            cosine, tangent = _angle(rest[..., p, p], rest[..., q, q], rest[..., p, q])
            rotation = (eye - flat) + cosine * (flat + tangent * turn)
            rest = rotation.mT @ rest @ rotation
            vectors = vectors @ rotation
    return (rest * eye).sum(-1), vectors


def _plane(axis_p: Tensor, axis_q: Tensor) -> tuple[Tensor, Tensor]:
    """What keeps the plane of two unit vectors (3,), and what turns it by a right angle, each (3, 3)."""
    across = axis_p[:, None] * axis_q
    return axis_p[:, None] * axis_p + axis_q[:, None] * axis_q, across - across.mT


def _angle(first: Tensor, second: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and tangent (…, 1, 1) of the smaller rotation that makes [[first, shared], [shared, second]] diagonal."""
    apart, twice = (second - first)[..., None, None], 2 * shared[..., None, None]
    reach = (apart * apart + twice * twice + 1e-30).sqrt()
    tangent = torch.where(apart >= 0, twice, -twice) / (apart.abs() + reach)
    return torch.rsqrt(tangent * tangent + 1), tangent


def look_up_trilinear(table_BCRGB: Tensor, places: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """`grid_sample` of a volume, trilinear, border padding, aligned corners; places (B, …, 3) in [-1, 1], last axis
    first.
    """
    if (mode, padding, align_corners) != (0, 1, True):
        raise NotImplementedError("only trilinear look-up with border padding and aligned corners is written out")
    batch, channels, *sizes = table_BCRGB.shape
    flat = table_BCRGB.reshape(batch, channels, -1)
    lower, upper, share = [], [], []
    for axis, size in enumerate(sizes):
        position = ((places[..., 2 - axis] + 1) * ((size - 1) / 2)).clamp(0, size - 1)
        floor = position.floor().clamp(max=size - 2)
        lower.append(floor.to(torch.int64))
        upper.append(lower[-1] + 1)
        share.append(position - floor)
    total: Any = 0.0
    for corner in range(8):
        up = [bool(corner >> axis & 1) for axis in range(3)]
        r, g, b = (upper[axis] if up[axis] else lower[axis] for axis in range(3))
        weight = 1.0
        for axis in range(3):
            weight = weight * (share[axis] if up[axis] else 1 - share[axis])
        index = ((r * sizes[1] + g) * sizes[2] + b).reshape(batch, 1, -1).expand(-1, channels, -1)
        total = total + flat.gather(2, index).reshape(batch, channels, *places.shape[1:-1]) * weight[:, None]
    return total
