"""On which device a generator replica renders."""

from __future__ import annotations

import pytest
import ray
import torch

from cluster import runtime
from cluster.errors import InputError, ShopreelError
from serving import gpus
from serving.args import AppArgs, GeneratorArgs


@pytest.mark.parametrize(
    ("cuda", "asked", "found"),
    [
        pytest.param(True, {"num_gpus": 0.5}, "cuda", id="gpu-asked-for-and-there"),
        pytest.param(True, {"num_gpus": 0}, "cpu", id="gpu-there-and-not-asked-for"),
        pytest.param(False, {"num_gpus": 0}, "cpu", id="none"),
        pytest.param(False, {"num_gpus": 0.5, "cpu_fallback": True}, "cpu", id="cpu-may-stand-in"),
    ],
)
def test_device_of_a_replica(monkeypatch: pytest.MonkeyPatch, cuda: bool, asked: dict, found: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert gpus.device(GeneratorArgs(**asked)) == found


def test_a_gpu_that_torch_cannot_use_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ShopreelError, match=r"num_gpus is 0\.5, but torch .* no GPU here.*cpu_fallback=true"):
        gpus.device(GeneratorArgs(num_gpus=0.5))


def test_a_gpu_and_a_half_is_refused() -> None:
    with pytest.raises(ValueError, match=r"num_gpus is 1\.5; give a share of one GPU or whole GPUs"):
        GeneratorArgs(num_gpus=1.5)


@pytest.mark.parametrize("fallback", [False, True])
def test_gpus_that_an_autoscaler_may_add_are_waited_for(monkeypatch: pytest.MonkeyPatch, fallback: bool) -> None:
    """A group of GPU workers is often empty until somebody asks."""
    there = {"CPU": 4.0}
    node = {"Alive": True, "Resources": there}
    gone = {"Alive": False, "Resources": {"GPU": 8.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [node, gone])
    monkeypatch.setattr(ray, "cluster_resources", lambda: there)
    monkeypatch.setattr(runtime, "resources_within_reach", lambda: there | {"GPU": 2.0})
    asked = AppArgs(
        data="shop",
        storage_root="/shop",
        tracking_uri="sqlite:///x",
        event_store_url="sqlite:///y",
        generator_replicas={"num_gpus": 1, "cpu_fallback": fallback},
    )
    assert gpus.within_reach(asked) is asked
    monkeypatch.setattr(runtime, "resources_within_reach", lambda: there)
    if fallback:
        assert gpus.within_reach(asked).generator_replicas.num_gpus == 0
    else:
        with pytest.raises(InputError, match="none of its machines has one; add one"):
            gpus.within_reach(asked)
