"""The Serve application: ingress → recommender (a deployment, or inside the ingress), ingress → generator.

`build` is the import path for `serve build` and `serve run serving.app:build data=…`. Aliases are resolved to versions
once, here; every replica, however late it starts, serves those versions.
"""

from __future__ import annotations

from typing import Any

import ray
from ray import serve

from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving import gpus
from serving.args import AppArgs
from serving.generator import GeneratorReplica
from serving.ingress import Ingress
from serving.recommender import RecommenderReplica
from trainables.bundle import read_bundle
from trainables.data.dataset import Dataset

HEALTH_CHECK_PERIOD_S = 5.0
SPARE_REQUESTS = 64
"""Requests an ingress takes beyond those it answers, to refuse them itself and to say that it is alive."""
BACKPRESSURE = {"status_code": 429, "retry_after_s": 1}


def build(args: dict[str, Any]) -> serve.Application:
    """Check everything that can be checked before a replica starts, and return the application.

    Raises InputError for wrong arguments, a damaged bundle or GPUs that the Ray it is built in does not have,
    NotFoundError for an unknown dataset, model or alias.
    """
    checked = AppArgs.parse(args)
    if ray.is_initialized():  # a file for another cluster may be built without one
        checked = gpus.within_reach(checked)
    Dataset.open(Storage(checked.storage_root), checked.data)
    registry = Registry(checked.settings())
    versions = {
        "generator": _servable(registry, checked.generator, "generator"),
        "recommender": _servable(registry, checked.recommender, "recommender"),
    }
    parts = deployments(checked)
    models = {name: parts[name].bind(checked, version) for name, version in versions.items() if name in parts}
    return parts["ingress"].bind(checked, versions, models.get("recommender"), models["generator"])


def deployments(args: AppArgs) -> dict[str, serve.Deployment]:
    """What the application consists of, by name; needs neither Ray nor the registry."""
    ingress = _deployment(
        serve.ingress()(Ingress),
        "ingress",
        num_replicas=args.ingress_replicas,
        max_ongoing_requests=args.limits.in_flight + SPARE_REQUESTS,
        max_queued_requests=args.limits.in_flight,
    )
    parts = [ingress, _generator(args)]
    if args.recommender_replicas:
        recommender = _deployment(
            RecommenderReplica,
            "recommender",
            num_replicas=args.recommender_replicas,
            max_ongoing_requests=100,
            max_queued_requests=args.limits.in_flight,
        )
        parts.append(recommender)
    return {part.name: part for part in parts}


def _servable(registry: Registry, reference: str, kind: str) -> ModelVersion:
    version = registry.resolve(reference)
    read_bundle(registry.fetch(version), kind=kind)
    return version


def _deployment(cls: type, name: str, **options: Any) -> serve.Deployment:
    """A deployment that reserves no core of its own: waiting for models is most of what it does."""
    return serve.deployment(
        cls,
        name=name,
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        backpressure_config=BACKPRESSURE,
        **options,
    )


def _generator(args: AppArgs) -> serve.Deployment:
    scaling = args.generator_replicas
    return serve.deployment(
        GeneratorReplica,
        name="generator",
        ray_actor_options={"num_cpus": scaling.num_cpus, "num_gpus": scaling.num_gpus},
        max_ongoing_requests=scaling.max_ongoing_requests,
        max_queued_requests=scaling.max_queued_requests,
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        backpressure_config=BACKPRESSURE,
        autoscaling_config={
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": scaling.target_ongoing_requests,
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
            "metrics_interval_s": scaling.metrics_interval_s,
            "look_back_period_s": scaling.look_back_period_s,
        },
    )
