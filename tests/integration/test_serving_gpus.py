"""Where generators are placed and how they scale, on logical GPUs: Ray counts them, no machine here need have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from ray.cluster_utils import Cluster

from cluster.errors import InputError
from cluster.runtime import export_environment, ray_session
from cluster.settings import Settings
from serving.app import build
from serving.args import AppArgs
from serving.run import APP_NAME, serve_app
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME
from tests.integration.test_serving_app import PATIENCE_S, SCALING, load_on_clips
from tests.waiting import free_port, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

HALF_A_GPU = {
    **SCALING,
    "num_gpus": 0.5,
    "min_replicas": 0,
    "max_replicas": 3,
    "target_ongoing_requests": 1,
    "upscale_delay_s": 0.2,
    "cpu_fallback": True,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("gpus"))})
    make_shop(made)
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes: one without GPUs, where the programs are started, one with two."""
    export_environment()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVE_SLOW_STARTUP_WARNING_S", "2")  # it is half a minute
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        started.add_node(num_cpus=2, num_gpus=2)
    yield started
    started.shutdown()


@pytest.fixture
def connected(settings: Settings, cluster: Cluster) -> Iterator[None]:
    with ray_session(replace(settings, ray_address=cluster.address)):
        yield


def arguments(settings: Settings, **generator: Any) -> dict[str, Any]:
    return AppArgs.for_settings(settings, NAME, feed_wait_s=PATIENCE_S, generator_replicas=generator).model_dump()


def generators() -> list[ray.actor.ActorHandle]:
    """Generator replicas there are."""
    prefix = f"SERVE_REPLICA::{APP_NAME}#generator#"
    named = [each for each in ray.util.list_named_actors(all_namespaces=True) if each["name"].startswith(prefix)]
    return [ray.get_actor(**each) for each in named]


def _place(_: object) -> tuple[str, int]:
    """Node and GPU of the replica this runs in."""
    (gpu,) = ray.get_gpu_ids()
    return ray.get_runtime_context().get_node_id(), int(gpu)


def test_replicas_share_the_gpus_of_gpu_nodes_and_scale_with_the_queue_from_none_and_back(
    settings: Settings, cluster: Cluster
) -> None:
    """Three replicas of half a GPU on two GPUs: two of them share one. None has CUDA here, which is allowed, and said
    in the log."""
    (node,) = (each.node_id for each in cluster.worker_nodes)
    with serve_app(arguments(settings, **HALF_A_GPU), port=free_port(), address=cluster.address) as base_url:
        assert generators() == []
        with load_on_clips(base_url, clients=6) as statuses:
            wait_for(lambda: len(generators()) == 3, "three replicas under load")
            placed = ray.get([each.__ray_call__.remote(_place) for each in generators()], timeout=PATIENCE_S)
        assert {where for where, _ in placed} == {node}
        assert sorted(Counter(gpu for _, gpu in placed).values()) == [1, 2]
        assert statuses[200] and set(statuses) <= {200, 429}
        logs = Path(cluster.head_node.get_logs_dir_path()).glob("serve/replica_*_generator_*.log")
        assert any("finds no GPU here; clips are rendered on the CPU" in log.read_text() for log in logs)
        wait_for(lambda: generators() == [], "no replica at rest")


def test_gpus_that_no_machine_has_are_named_before_anything_is_deployed(settings: Settings, cluster: Cluster) -> None:
    too_many = arguments(settings, num_gpus=4)
    with (
        pytest.raises(InputError, match=r"num_gpus is 4.*none of its machines has more than 2.*cpu_fallback=true"),
        serve_app(too_many, port=free_port(), address=cluster.address),
    ):
        pass


def test_who_starts_a_server_is_told_that_others_hold_the_gpus_and_it_comes_up_when_they_let_go(
    settings: Settings, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    @ray.remote(num_gpus=2)
    class Training:
        def ready(self) -> bool:
            return True

    def let_go_when_told() -> None:
        wait_for(lambda: "GPU" in caplog.text, "a word of what is waited for")
        ray.kill(training)

    with ray_session(replace(settings, ray_address=cluster.address)):
        training = Training.remote()
        assert ray.get(training.ready.remote(), timeout=PATIENCE_S)
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(let_go_when_told)
            with serve_app(arguments(settings, num_gpus=1, cpu_fallback=True), port=free_port()) as base_url:
                assert httpx.get(f"{base_url}/readyz", timeout=PATIENCE_S).status_code == 200
            told.result()
    assert caplog.text.count("'generator'") == 1


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("asked", "placed"), [pytest.param(4, 0.0, id="none-so-large"), pytest.param(2, 2.0, id="there")]
)
def test_the_cpu_stands_in_only_where_it_may_and_no_gpu_is_there(
    settings: Settings, asked: float, placed: float
) -> None:
    application = build(arguments(settings, num_gpus=asked, cpu_fallback=True))
    (*_, generator) = application._bound_deployment.init_args
    assert generator._bound_deployment.ray_actor_options["num_gpus"] == placed
