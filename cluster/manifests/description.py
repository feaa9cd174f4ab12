"""The description every manifest is rendered from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import InputError
from cluster.manifests.quantities import parse_quantity
from cluster.manifests.versions import default_image
from cluster.settings import holds_password

NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")
"""A DNS label with room for the suffixes of jobs, clusters and pods."""


def _at_least(owner: str, least: int, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise InputError(f"{owner}.{name} is {value}; set it to {least} or more")


def _memory(owner: str, value: str) -> None:
    try:
        parse_quantity(value)
    except ValueError as error:
        raise InputError(f"{owner}.memory is {error}") from error


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head pod. It takes no work; it holds the scheduler, the dashboard, the autoscaler and the drivers of jobs."""

    cpus: int = 2
    """Cores of the pod, ≥ 1."""

    memory: str = "8Gi"
    """Memory of the pod, a Kubernetes quantity."""

    def __post_init__(self) -> None:
        _at_least("head", 1, cpus=self.cpus)
        _memory("head", self.memory)


@dataclass(frozen=True, kw_only=True)
class CpuWorkers:
    """Workers without a GPU: data, the recommender, the HTTP side."""

    cpus: int = 4
    """Cores of a worker, ≥ 1."""

    memory: str = "16Gi"
    """Memory of a worker, a Kubernetes quantity."""

    min_replicas: int = 0
    """Workers kept while there is nothing to do, ≥ 0."""

    max_replicas: int = 8
    """Workers at most, ≥ 1 and ≥ min_replicas."""

    def __post_init__(self) -> None:
        _at_least("cpu_workers", 1, cpus=self.cpus, max_replicas=self.max_replicas)
        _at_least("cpu_workers", 0, min_replicas=self.min_replicas)
        _memory("cpu_workers", self.memory)
        if self.min_replicas > self.max_replicas:
            raise InputError(
                f"cpu_workers.min_replicas is {self.min_replicas}; set it to max_replicas ({self.max_replicas}) or less"
            )


@dataclass(frozen=True, kw_only=True)
class GpuWorkers:
    """Workers with one GPU each; there are at most as many as the description's `gpus`."""

    cpus: int = 8
    """Cores of a worker, ≥ 1; they decode video for its GPU."""

    memory: str = "32Gi"
    """Memory of a worker, a Kubernetes quantity."""

    min_replicas: int = 0
    """Workers kept while there is nothing to do, ≥ 0; 0 gives the hardware back."""

    def __post_init__(self) -> None:
        _at_least("gpu_workers", 1, cpus=self.cpus)
        _at_least("gpu_workers", 0, min_replicas=self.min_replicas)
        _memory("gpu_workers", self.memory)


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Where data, models and events live; every pod must reach them."""

    home: str = "s3://shopreel"
    """SHOPREEL_HOME: any pyarrow filesystem URI, or a folder that every pod mounts."""

    tracking_uri: str = "http://mlflow:5000"
    """SHOPREEL_TRACKING_URI: the MLflow server."""

    event_store: str = "postgresql+psycopg://shopreel@postgres:5432/shopreel"
    """SHOPREEL_EVENT_STORE, a SQLAlchemy URL without a password: PGPASSWORD of the secret gives it."""

    secret: str = "shopreel-credentials"
    """Secret whose keys become environment variables: AWS_ACCESS_KEY_ID, PGPASSWORD, SHOPREEL_PSEUDONYM_KEY, …"""

    def __post_init__(self) -> None:
        if holds_password(self.event_store):
            raise InputError("stores.event_store holds a password; leave it out and put PGPASSWORD into stores.secret")


@dataclass(frozen=True, kw_only=True)
class Redis:
    """Redis outside the cluster keeps the head's state, so that a new head takes over where the old one died."""

    address: str = "redis:6379"
    """HOST:PORT."""

    secret: str = "shopreel-redis"
    """Secret that holds the password."""

    key: str = "password"
    """Key of the password in the secret."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One RayJob: a cluster of its own for one command, taken down afterwards."""

    command: str
    """The shopreel command, without `shopreel`. It names its run, so that a retry goes on where the last one ended."""

    resume: str = ""
    """Command tried before it, where another one takes up what was begun; empty for none."""

    workers: int = 1
    """Workers of the job's cluster, ≥ 1: with a GPU each where the description has GPUs."""

    retries: int = 3
    """New attempts on a new cluster after a failure, ≥ 0."""

    deadline_s: int = 86_400
    """Seconds after which the job is ended, ≥ 1."""

    keep_s: int = 3_600
    """Seconds a finished job's cluster is kept for its logs, ≥ 0."""

    def __post_init__(self) -> None:
        _at_least("job", 1, workers=self.workers, deadline_s=self.deadline_s)
        _at_least("job", 0, retries=self.retries, keep_s=self.keep_s)


@dataclass(frozen=True, kw_only=True)
class Service:
    """The RayService."""

    data: str = "shop"
    """Dataset that is served."""

    replicas: int = 2
    """Replicas of the HTTP side and of the recommender, each on a node of its own, ≥ 1."""

    gpus_per_replica: float = 1.0
    """GPUs of one generator replica, above 0 and at most 1; 0.5 shares one. Without GPUs the generator renders on
    the CPU."""

    def __post_init__(self) -> None:
        _at_least("service", 1, replicas=self.replicas)
        if not 0 < self.gpus_per_replica <= 1:
            raise InputError(
                f"service.gpus_per_replica is {self.gpus_per_replica}; set it above 0 and at most 1, such as 0.5"
            )


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """How Prometheus and Grafana find the cluster."""

    interval: str = "15s"
    """Time between two scrapes."""

    release: str = "prometheus"
    """Label `release` by which the Prometheus operator selects its monitors."""

    secret: str = "shopreel-metrics"
    """Secret that holds an API key of scope read, which the application's `/metrics` asks for."""

    key: str = "api_key"
    """Key of the API key in the secret."""


@dataclass(frozen=True, kw_only=True)
class RayUp:
    """Machines for `ray up`, which starts a cluster without Kubernetes."""

    provider: Literal["aws", "local"] = "aws"
    """`aws` starts machines; `local` uses those of head_ip and worker_ips."""

    region: str = "eu-central-1"
    """AWS region."""

    head_type: str = "m7i.large"
    """AWS instance type of the head."""

    cpu_type: str = "m7i.xlarge"
    """AWS instance type of a CPU worker."""

    gpu_type: str = "g6.2xlarge"
    """AWS instance type of a GPU worker, with one GPU."""

    head_ip: str = ""
    """Address of the head, for `local`."""

    worker_ips: tuple[str, ...] = ()
    """Addresses of the workers, for `local`."""

    ssh_user: str = "ubuntu"
    """User to log in as."""

    ssh_private_key: str = "~/.ssh/id_ed25519"
    """Private key to log in with, for `local`; the head gets it for its workers. On AWS Ray makes one."""

    def __post_init__(self) -> None:
        if self.provider == "local" and not (self.head_ip and self.worker_ips):
            raise InputError("ray_up.provider is local; set ray_up.head_ip and ray_up.worker_ips")


@dataclass(frozen=True, kw_only=True)
class ClusterDescription:
    """One installation of shopreel on a cluster."""

    name: str = "shopreel"
    """Prefix of every object: lower-case letters, digits and '-', at most 30 characters."""

    namespace: str = "shopreel"
    """Kubernetes namespace."""

    image: str = field(default_factory=default_image)
    """Image built from the Dockerfile. Its tag tells what is inside, VERSION-rayVERSION, and must fit this library."""

    gpus: int = 1
    """GPUs at most, ≥ 0, one a worker; 0 leaves the GPU group out."""

    head: Head = field(default_factory=Head)
    cpu_workers: CpuWorkers = field(default_factory=CpuWorkers)
    gpu_workers: GpuWorkers = field(default_factory=GpuWorkers)
    stores: Stores = field(default_factory=Stores)
    redis: Redis = field(default_factory=Redis)

    token_secret: str | None = "shopreel-ray-token"
    """Secret with the key auth_token that every caller of the cluster must show; null leaves the cluster open."""

    queue: str | None = "shopreel"
    """Kueue's local queue that admits the jobs; null starts them at once."""

    train: Job = field(
        default_factory=lambda: Job(command="train generator --data shop --workers 1 --run cluster --start starter")
    )
    tune: Job = field(
        default_factory=lambda: Job(
            command="tune generator --data shop --trials 16 --name cluster",
            resume="tune generator --resume cluster",
        )
    )
    service: Service = field(default_factory=Service)
    monitoring: Monitoring = field(default_factory=Monitoring)
    ray_up: RayUp = field(default_factory=RayUp)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError(f"name is {self.name!r}; use up to 30 lower-case letters, digits and '-', a letter first")
        if self.gpus < 0:
            raise InputError(f"gpus is {self.gpus}; set it to 0 (no GPU group) or more")
        if self.gpus and self.gpu_workers.min_replicas > self.gpus:
            raise InputError(
                f"gpu_workers.min_replicas is {self.gpu_workers.min_replicas}; set it to gpus ({self.gpus}) or less"
            )
        for name, job in (("train", self.train), ("tune", self.tune)):
            if self.gpus and job.workers > self.gpus:
                raise InputError(f"{name}.workers is {job.workers}; set it to at most gpus ({self.gpus})")
