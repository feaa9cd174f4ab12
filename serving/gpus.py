"""On what the generator renders: on the GPUs it asks for, or on the CPU where the configuration allows that."""

from __future__ import annotations

import logging

from cluster.errors import InputError, ShopreelError
from serving.args import AppArgs, GeneratorArgs

logger = logging.getLogger("ray.serve")

REMEDY = (
    "add one, render on the CPU (--gpus-per-replica 0), or allow that where there is none "
    "(--set generator_replicas.cpu_fallback=true)"
)


def within_reach(args: AppArgs) -> AppArgs:
    """The arguments as the Ray that is up can place them: without GPUs where it has none and the CPU may stand in.

    Raises InputError where no machine can ever hold a replica: Ray would wait for one, and say nothing.
    """
    asked = args.generator_replicas.num_gpus
    if not asked or (most := _most_on_one_machine()) >= asked or _more_may_come():
        return args
    found = f"none of its machines has more than {most:g}" if most else "none of its machines has one"
    fault = f"generator_replicas.num_gpus is {asked:g}, but this Ray has no GPU for it: {found}"
    if not args.generator_replicas.cpu_fallback:
        raise InputError(f"{fault}; {REMEDY}")
    logger.warning("%s; clips are rendered on CPUs", fault)
    on_cpus = args.generator_replicas.model_copy(update={"num_gpus": 0.0})
    return args.model_copy(update={"generator_replicas": on_cpus})


def device(scaling: GeneratorArgs) -> str:
    """`cuda` or `cpu`, for the replica this is called in.

    Raises ShopreelError where Ray has given it a GPU that torch cannot use, unless the CPU may stand in.
    """
    import torch  # here, so that whoever deploys need not load it

    if not scaling.num_gpus:
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    fault = f"generator_replicas.num_gpus is {scaling.num_gpus:g}, but torch {torch.__version__} finds no GPU here"
    if not scaling.cpu_fallback:
        raise ShopreelError(f"{fault}: it is a build without CUDA, or the driver is missing; {REMEDY}")
    logger.warning("%s; clips are rendered on the CPU", fault)
    return "cpu"


def _most_on_one_machine() -> float:
    import ray

    return max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def _more_may_come() -> bool:
    """Whether an autoscaler may add GPUs; of what size its machines are it does not say."""
    import ray

    from cluster.runtime import resources_within_reach

    return resources_within_reach().get("GPU", 0.0) > ray.cluster_resources().get("GPU", 0.0)
