import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cluster.errors import InputError
from tests.generator_tiny import TINY, Clips
from trainables.data.style_code import style_code
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.onnx import eigenvectors_3x3, export, look_up_trilinear
from trainables.generator.restyle.presets import preset_image


def test_eigenvectors_put_the_matrix_together_again():
    half = torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(0))
    matrices = torch.cat(
        [half @ half.mT, torch.eye(3)[None], torch.zeros(1, 3, 3), torch.diag(torch.tensor([3.0, 1, 1]))[None]]
    )
    values, vectors = eigenvectors_3x3(matrices)
    torch.testing.assert_close(vectors @ torch.diag_embed(values) @ vectors.mT, matrices, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(vectors @ vectors.mT, torch.eye(3).expand_as(matrices), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.sort(-1).values, torch.linalg.eigvalsh(matrices), atol=2e-5, rtol=1e-5)


def test_look_up_is_grid_sample():
    random = torch.Generator().manual_seed(0)
    table, places = torch.randn(2, 3, 5, 6, 7, generator=random), 3 * torch.rand(2, 4, 8, 9, 3, generator=random) - 1.5
    expected = F.grid_sample(table, places, mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(look_up_trilinear(table, places, 0, 1, True), expected, atol=1e-5, rtol=1e-5)


def test_a_clip_too_small_is_refused(tmp_path):
    with pytest.raises(InputError, match="16 or more"):
        export(RestyleNetwork(TINY.network), tmp_path / "x.onnx", frames=2, height=8, width=32)


@pytest.mark.timeout(900)  # a minute of translating the graph on an idle core
def test_the_exported_graph_gives_the_pictures_of_the_network(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: shopreel[onnx]")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: shopreel[onnx]")
    torch.manual_seed(0)
    network = RestyleNetwork(TINY.network).eval()
    with torch.no_grad():  # a network fresh from its start only grades colours; this one paints
        network.head.weight.normal_(std=0.2)
        network.lay_on.weight.normal_(std=0.05)
    export(network, tmp_path / "restyle.onnx", frames=3, height=48, width=40)
    session = onnxruntime.InferenceSession(tmp_path / "restyle.onnx", providers=["CPUExecutionProvider"])
    for number, look in enumerate(("ink", "neon")):
        clip = np.moveaxis(Clips(2)[number][:3, :, :40], -1, 0)[None].astype(np.float32) / 127.5 - 1
        code = style_code(preset_image(look, 96))[None]
        with torch.inference_mode():
            expected = network(torch.from_numpy(clip.copy()), torch.from_numpy(code)).numpy()
        (restyled,) = session.run(["restyled"], {"clip": clip, "code": code})
        assert np.abs(restyled - clip).mean() > 0.05
        assert np.abs(restyled - expected).max() * 127.5 < 0.5
