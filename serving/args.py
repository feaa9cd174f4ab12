"""Arguments of the Serve application: one checked model, so that `serve build` files and the command line agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from cluster.config import assign, from_dict
from cluster.errors import InputError
from cluster.settings import Settings
from serving.door.settings import AccessArgs, LimitArgs, UploadArgs
from serving.strict import Strict
from serving.tracing import TracingArgs
from trainables.recommender.looks.thompson import BanditConfig
from trainables.recommender.reranking.rerank import RerankConfig
from trainables.recommender.reranking.rules import Rules


class DemoViewer(Strict):
    """A viewer offered by the storefront's switcher."""

    id: str = Field(min_length=1, max_length=128, description="Raw viewer id, as the shop's HTTP client would send it.")
    label: str = Field(min_length=1, max_length=60, description="What the switcher shows.")


BackendName = Literal["eager", "bfloat16", "onnx", "compiled"]


class GeneratorArgs(Strict):
    """Replicas of the generator and how each of them batches."""

    min_replicas: int = Field(1, ge=0, description="Replicas kept when idle; 0 gives the hardware back.")
    max_replicas: int = Field(2, ge=1, description="Replicas under load.")
    num_gpus: float = Field(0.0, ge=0, description="GPUs of one replica; a fraction shares one; 0 renders on the CPU.")
    cpu_fallback: bool = Field(
        False,
        description="Render on the CPU where num_gpus asks for a GPU and there is none; false: do not start then.",
    )
    num_cpus: float = Field(1.0, ge=0, description="CPU cores of one replica; torch uses as many threads.")
    backends: tuple[BackendName, ...] = Field(
        ("bfloat16",),
        description="Ways to run the network that are tried beside eager when a version is loaded; the fastest that "
        "gives the same pictures serves. onnx takes some ten seconds of every start, compiled about a minute.",
    )
    max_batch_size: int = Field(
        4, ge=1, le=256, description="Clips of one shape rendered together on a GPU; a CPU renders one at a time."
    )
    max_ongoing_requests: int = Field(16, ge=1, description="Renders one replica holds at a time; at least a batch.")
    max_queued_requests: int = Field(64, ge=-1, description="Renders that wait for a replica; more are refused (429).")
    target_ongoing_requests: float = Field(6.0, gt=0, description="Renders a replica the autoscaler aims at.")
    upscale_delay_s: float = Field(5.0, ge=0, description="Seconds of load before a replica is added.")
    downscale_delay_s: float = Field(60.0, ge=0, description="Seconds of calm before a replica is given back.")
    metrics_interval_s: float = Field(1.0, gt=0, description="Seconds between two looks at the queue.")
    look_back_period_s: float = Field(5.0, gt=0, description="Seconds the load is averaged over.")

    @model_validator(mode="after")
    def _consistent(self) -> GeneratorArgs:
        if self.num_gpus > 1 and not self.num_gpus.is_integer():
            raise ValueError(f"generator.num_gpus is {self.num_gpus:g}; give a share of one GPU or whole GPUs")
        if self.max_replicas < max(1, self.min_replicas):
            raise ValueError(
                f"generator.max_replicas is {self.max_replicas}; set it to min_replicas ({self.min_replicas}) or more"
            )
        if self.max_ongoing_requests < self.max_batch_size:
            raise ValueError(
                f"generator.max_ongoing_requests is {self.max_ongoing_requests}; "
                f"set it to max_batch_size ({self.max_batch_size}) or more"
            )
        return self


class LookArgs(Strict):
    """How the look of a feed is chosen."""

    learned: bool = Field(
        False,
        description="Choose among the presets by a bandit that begins with the viewer's taste and learns from what "
        "viewers take to; false: the look follows from the viewer's taste alone, a mixture of presets.",
    )
    hold_s: float = Field(1800.0, gt=0, description="Seconds for which a viewer keeps a look that was chosen.")
    settle_s: float = Field(600.0, ge=0, description="Seconds until a choice without an event counts as disliked.")
    memory_days: float = Field(30.0, gt=0, le=3650, description="Days of choices that are learned from, and kept.")
    bandit: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the bandit, as in BanditConfig: explore, usual_reward, lean, …"
    )

    def bandit_config(self) -> BanditConfig:
        """What is believed before the first event; InputError for settings that are not known or out of range."""
        return from_dict(BanditConfig, self.bandit)


class AppArgs(Strict):
    """What one deployment of shopreel serves."""

    data: str = Field(min_length=1, description="Dataset that holds the catalogue, its clips and the viewing log.")
    storage_root: str = Field(min_length=1, description="Folder or filesystem URI of the installation (SHOPREEL_HOME).")
    tracking_uri: str = Field(min_length=1, description="MLflow registry the models come from.")
    event_store_url: str = Field(min_length=1, description="SQLAlchemy URL of the event store.")
    generator: str = Field(
        "generator@champion", description="Model reference of the generator: NAME@ALIAS or NAME/VERSION."
    )
    recommender: str = Field("recommender@champion", description="Model reference of the recommender.")
    generator_replicas: GeneratorArgs = Field(
        default_factory=GeneratorArgs, description="Scaling and batching of the generator."
    )
    ingress_replicas: int = Field(1, ge=1, description="Replicas of the HTTP ingress.")
    recommender_replicas: int = Field(
        1,
        ge=0,
        description="Replicas of the recommender; 0: each ingress holds one itself, which saves a quarter of a "
        "request's processor time and lets a rebuild of the statistics stall it for moments.",
    )
    trend_refresh_s: float = Field(
        60.0, gt=0, description="Seconds between two counts of what is popular and trending."
    )
    rebuild_s: float = Field(900.0, gt=0, description="Seconds between two rebuilds of the item-item statistics.")
    rules: dict[str, Any] = Field(
        default_factory=dict, description="What the shop pins, blocks and boosts; see `shopreel serve --rules`."
    )
    rerank: dict[str, Any] = Field(
        default_factory=dict, description="Settings of variety, caps and boosts, as in RerankConfig."
    )
    looks: LookArgs = Field(default_factory=LookArgs, description="In which look a viewer's clips are shown.")
    history_events: int = Field(
        200, ge=1, le=5000, description="Newest events of a viewer that a recommendation reads."
    )
    seed_events_per_viewer: int = Field(
        200, ge=0, le=1000, description="Newest events a viewer brings from the dataset's log."
    )
    feed_wait_s: float = Field(
        20.0, ge=0, description="Seconds a feed waits for a clip before it shows the original; the render goes on."
    )
    clip_wait_s: float = Field(
        2.5,
        gt=0,
        description="Seconds for which the render of a single clip may be expected to wait for its turn; one that "
        "would wait longer is refused (429). Feeds wait up to feed_wait_s.",
    )
    render_ahead: int = Field(
        2, ge=0, le=24, description="Clips of a viewer's likely next feed that idle generators render ahead; 0: none."
    )
    render_timeout_s: float = Field(
        120.0, gt=0, description="Seconds after which a render is given up; also the longest deadline a caller may set."
    )
    cache_memory_bytes: int = Field(
        128 * 1024**2, ge=0, description="Rendered clips kept in the ingress's memory, bytes."
    )
    cache_storage_bytes: int = Field(
        4 * 1024**3, ge=1, description="Rendered clips kept under the storage root, bytes."
    )
    access: AccessArgs = Field(default_factory=AccessArgs, description="Who may ask.")
    limits: LimitArgs = Field(default_factory=LimitArgs, description="How much they may ask.")
    uploads: UploadArgs = Field(default_factory=UploadArgs, description="Bounds of uploads and their decoding.")
    tracing: TracingArgs = Field(default_factory=TracingArgs, description="OpenTelemetry traces.")
    log_requests: bool = Field(
        False, description="Write a JSON line a request into the replicas' logs: method, route, status, time."
    )
    visible_label: bool = Field(False, description="Draw a small label on every generated clip.")
    demo_viewers: tuple[DemoViewer, ...] = Field(
        (), max_length=50, description="Viewers the storefront's switcher offers."
    )

    @classmethod
    def parse(cls, args: dict) -> AppArgs:
        """Check a plain mapping; an error names every field at fault."""
        try:
            checked = cls.model_validate(args)
            Rules.parse(checked.rules, "serving arguments: rules")
            checked.reranking()
            checked.looks.bandit_config()
            return checked
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'args'}: {e['msg']}" for e in error.errors())
            raise InputError(f"serving arguments: {faults}") from error

    @classmethod
    def for_settings(cls, settings: Settings, data: str, **fields: object) -> AppArgs:
        """Arguments for an installation's own storage, registry and event store."""
        return cls.parse(
            {
                "data": data,
                "storage_root": settings.storage_root,
                "tracking_uri": settings.tracking_uri,
                "event_store_url": settings.event_store_url,
                **fields,
            }
        )

    def override(self, assignments: Iterable[str]) -> AppArgs:
        """The arguments with `name.sub=value` in place of their own; values are YAML scalars or lists.

        InputError for a name that is not known or a value out of range.
        """
        return AppArgs.parse(assign(self.model_dump(), assignments))

    def reranking(self) -> RerankConfig:
        """How slates are put together; InputError for settings that are not known or out of range."""
        return from_dict(RerankConfig, self.rerank)

    def settings(self) -> Settings:
        """The installation as a replica sees it."""
        return Settings(
            storage_root=self.storage_root,
            tracking_uri=self.tracking_uri,
            ray_address=None,
            event_store_url=self.event_store_url,
        )
