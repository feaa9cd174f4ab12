"""serveConfigV2: what the RayService serves, and the resources of its replicas on a cluster."""

from __future__ import annotations

from typing import Any

from cluster.manifests.description import ClusterDescription
from cluster.manifests.rules.services import APPLICATION
from cluster.manifests.text import to_yaml
from serving.run import APP_NAME


def serve_config(description: ClusterDescription) -> str:
    """The Serve configuration as YAML text."""
    service, stores = description.service, description.stores
    # On one machine these reserve no core; on a cluster that would let Ray put them on the head.
    light = {"max_replicas_per_node": 1, "ray_actor_options": {"num_cpus": 1}}
    application = {
        "name": APP_NAME,
        "import_path": APPLICATION,
        "route_prefix": "/",
        "args": {
            "data": service.data,
            "storage_root": stores.home,
            "tracking_uri": stores.tracking_uri,
            "event_store_url": stores.event_store,
            "ingress_replicas": service.replicas,
            "recommender_replicas": service.replicas,
            "generator_replicas": _generator(description),
        },
        "deployments": [{"name": name, **light} for name in ("ingress", "recommender")],
    }
    return to_yaml(
        {
            "proxy_location": "EveryNode",
            "http_options": {"host": "0.0.0.0", "port": 8000},
            "applications": [application],
        }
    )


def _generator(description: ClusterDescription) -> dict[str, Any]:
    if description.gpus:
        share = description.service.gpus_per_replica
        return {
            "min_replicas": 1,
            "max_replicas": int(1 / share) * description.gpus,
            "num_gpus": share,
            "num_cpus": max(1, int(description.gpu_workers.cpus * share) - 1),
        }
    return {"min_replicas": 1, "max_replicas": description.cpu_workers.max_replicas, "num_gpus": 0.0, "num_cpus": 1.0}
