"""Bodies of requests and answers. Their descriptions and examples are the HTTP documentation."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, model_validator

from trainables.data.schemas import EVENT_TYPES

MAX_FEED = 24
MAX_RECOMMEND = 200
MAX_EVENTS = 100
MAX_JOB = 500
MAX_LIVE = 10_000
FUTURE_SLACK = timedelta(minutes=5)

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: an id with a line break in it can be put into no path."""

ViewerId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
        description="The shop's own id of a viewer; stored only as a keyed pseudonym.",
    ),
]
Consent = Annotated[
    bool | None,
    Field(
        strict=True,
        description="Whether the viewer agrees to being profiled: false keeps and uses nothing of them; left out it is "
        "what the server assumes (access.assume_consent).",
    ),
]
ProductId = Annotated[str, Field(min_length=1, max_length=256, description="Key of the catalogue.")]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FeedRequest(_Body):
    """Who is watching, and how many products to show."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"viewer": "mia", "k": 8}]})
    viewer: ViewerId
    consent: Consent = None
    k: int = Field(8, ge=1, le=MAX_FEED, strict=True, description="Products in the slate.")
    wait: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Seconds to wait for clips that are not rendered yet, at most what the server allows; that, where "
        "it is left out. 0 answers at once: such clips are `pending`, and `events_url` tells when they are there.",
    )


class RecommendRequest(_Body):
    """As a feed, without clips."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"viewer": "mia", "k": 20}]})
    viewer: ViewerId
    consent: Consent = None
    k: int = Field(8, ge=1, le=MAX_RECOMMEND, strict=True, description="Products in the slate.")


class HostsRequest(_Body):
    """Who is watching, and which hosts are live."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"viewer": "mia", "k": 5, "live": ["acme", "studio-9"]}]}
    )
    viewer: ViewerId
    consent: Consent = None
    k: int = Field(8, ge=1, le=MAX_RECOMMEND, strict=True, description="Hosts to show.")
    live: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        None,
        max_length=MAX_LIVE,
        description="Names of creators, as in the catalogue, who are live now: only these are shown. Left out: all.",
    )


class ClipRequest(_Body):
    """A product in a style."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"product_id": "mug-01", "style": "neon"},
                {"product_id": "mug-01", "style": {"ink": 3, "sport": 1}},
            ]
        },
    )
    product_id: ProductId
    style: str | dict[str, float] | list[float] = Field(
        description="A preset's name, weights of presets, or a style code (36 numbers)."
    )
    strength: float = Field(
        1.0, ge=0, le=1, allow_inf_nan=False, description="0 leaves the clip as it is, 1 is the whole look."
    )


class JobRequest(_Body):
    """Clips to render in the background."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"clips": [{"product_id": "mug-01", "style": "neon"}]}]}
    )
    clips: list[ClipRequest] = Field(min_length=1, max_length=MAX_JOB)


def _check_time(value: datetime) -> datetime:
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    if value > datetime.now(UTC) + FUTURE_SLACK:
        raise ValueError("lies in the future")
    if value.year < 2000:
        raise ValueError("lies before the year 2000")
    return value


class EventIn(_Body):
    """One thing a viewer did."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "event_id": "01J9Z",
                    "viewer": "mia",
                    "product_id": "mug-01",
                    "event_type": "watch",
                    "watch_seconds": 2.1,
                    "duration_seconds": 2.0,
                }
            ]
        },
    )
    event_id: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=PRINTABLE,
        description="Key of the event; sent twice it is stored once. Made by the server when left out.",
    )
    viewer: ViewerId
    consent: Consent = None
    product_id: ProductId
    event_type: Literal[EVENT_TYPES] = Field(description="What happened.")  # type: ignore[valid-type]
    at: Annotated[datetime, AfterValidator(_check_time)] | None = Field(
        None, description="When it happened; now when left out; UTC without an offset."
    )
    watch_seconds: Seconds | None = Field(None, description="Time watched, seconds; loops count.")
    duration_seconds: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] | None = Field(
        None, description="Length of what was shown, seconds."
    )
    position: int | None = Field(None, ge=0, le=10_000, strict=True, description="Slot in the slate, 0 first.")
    style: str | None = Field(
        None, max_length=64, description="Preset nearest to the look it was shown in; leave out for the original."
    )
    request_id: str | None = Field(None, max_length=64, pattern=PRINTABLE, description="The feed it belongs to.")

    def at_ms(self) -> int:
        """Milliseconds since 1970."""
        return int((self.at.timestamp() if self.at else time.time()) * 1000)


class EventBatch(RootModel[Annotated[list[EventIn], Field(min_length=1, max_length=MAX_EVENTS)]]):
    """One event or a list of up to 100; all of them are stored, or none."""

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class EventsStored(BaseModel):
    """Events that are on disk now."""

    accepted: int = Field(description="Events in the request.")
    stored: int = Field(description="Of these, events not seen before.")
    without_consent: int = Field(0, description="Of these, events of viewers who do not agree; they are not kept.")


class ErasureReceipt(BaseModel):
    """What was forgotten of a viewer, without naming them."""

    receipt_id: str
    at: str = Field(description="When, ISO 8601, UTC.")
    viewer_sha256: str = Field(description="SHA-256 of the pseudonym: whoever has the id and the key can check it.")
    removed: dict[str, int] = Field(description="Events, rows of the dataset by table, and clips that are gone.")
    notes: list[str] = Field(description="What an erasure cannot reach, and what to do about it.")


class Product(BaseModel):
    """What the shop sells."""

    id: str
    title: str
    category: str
    price: float | None
    clip_url: str = Field(description="The product's own clip, MP4.")
    poster_url: str = Field(description="First frame of it, JPEG.")


class Reason(BaseModel):
    """Why a product is shown."""

    product_id: str
    title: str
    share: float = Field(
        description="Part of the score that comes from this product; the rest is popularity and others."
    )
    text: str


class LookOut(BaseModel):
    """The look a viewer gets."""

    style: str = Field(description="Nearest preset.")
    weights: dict[str, float] = Field(description="Shares of presets.")
    text: str
    propensity: float | None = Field(
        None, description="Chance this look had where looks are learned; null: it follows from the viewer's taste."
    )


class ClipOut(BaseModel):
    """A clip of one item of the feed."""

    id: str
    url: str = Field(description="What can be played now, MP4; the product's own clip until the restyled one is ready.")
    status: Literal["ready", "pending", "original"] = Field(
        description="ready: in the viewer's look. pending: being rendered. original: no usable render could be had."
    )
    style: str | None = Field(description="Nearest preset; null for the original.")
    model_version: str | None = Field(description="Generator that rendered it; null for the original.")
    cached: bool
    restyled: bool = Field(description="False while or because there is no usable render: this is the original clip.")
    generated: bool = Field(description="Whether a model made these pictures; also in the MP4's own metadata.")
    refused: list[str] = Field(
        default_factory=list, description="Why the render was not fit to be shown; empty where it was, or none was had."
    )
    reason: str | None = Field(
        None, description="Why no render was had in time; null where one was, or was not waited for."
    )


class Recommended(BaseModel):
    """One slot of a slate."""

    product: Product
    score: float
    source: str = Field(description="history, content, popular or fresh.")
    reasons: list[Reason] = Field(description="Up to 3 products that speak for it, strongest first.")
    why: str = Field(description="The source in words.")
    moves: list[str] = Field(description="Why it stands here and not where its score puts it: rules, variety, caps.")


class FeedItem(Recommended):
    """One slot of a feed."""

    clip: ClipOut


class Models(BaseModel):
    """Versions behind an answer."""

    generator: str
    recommender: str


class RolloutRequest(_Body):
    """Which version of a model to serve."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reference": "generator@challenger", "share": 0.1}]}
    )
    reference: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^(generator|recommender)[@/][\w.-]+$",
        description="NAME@ALIAS or NAME/VERSION.",
    )
    share: float = Field(
        1.0, gt=0, le=1, allow_inf_nan=False, description="Of viewers that get it; below 1 it is on trial."
    )
    shadow: bool = Field(
        False, description="Nobody gets it: `share` of renders are made by it too, behind all else, and compared."
    )


class RolloutOut(BaseModel):
    """Versions of one model that are served."""

    deployed: str = Field(description="Version the deployment began with.")
    serving: str = Field(description="Version for everyone, but those on trial.")
    canary: str | None = Field(description="Version on trial; null where there is none.")
    share: float = Field(description="Of viewers that get the version on trial.")
    shadow: str | None = Field(description="Version whose renders are compared and never shown.")
    shadow_share: float = Field(description="Of renders that are compared.")
    before: list[str] = Field(description="Versions served earlier, the latest last.")


class ShadowSide(BaseModel):
    """One version's renders of the clips compared."""

    model: str
    render_seconds: float | None = Field(description="Mean; null before the first pair.")
    refused: int = Field(description="Renders not fit to be shown.")
    faults: dict[str, int] = Field(description="Why, counted.")


class ShadowReport(BaseModel):
    """Champion and challenger on the same clips, since the challenger began or this ingress replica started."""

    pairs: int
    failed: int = Field(description="Clips the challenger could not render.")
    difference: float | None = Field(description="Mean absolute difference of pixels where both may be shown, 0…255.")
    champion: ShadowSide
    challenger: ShadowSide


class Slate(BaseModel):
    """Products for a viewer, best first."""

    request_id: str
    items: list[Recommended]
    look: LookOut
    models: Models
    latency_ms: dict[str, float] = Field(description="Milliseconds a stage took.")


class Feed(Slate):
    """Products for a viewer, each with a clip in the viewer's look."""

    items: list[FeedItem]
    degraded: bool = Field(
        description="True when at least one clip is the original for want of a usable render, or for its lateness."
    )
    degraded_because: list[str] = Field(description="Why, each reason once.")
    events_url: str | None = Field(
        description="Server-sent events `ready` and `failed`, one a clip, then `done`; null where no clip is pending."
    )


class ClipNews(BaseModel):
    """What became of one clip of a feed: data of the events `ready` and `failed`."""

    position: int = Field(description="Place in the slate, 0 first.")
    product_id: str
    clip: ClipOut


class JobResult(BaseModel):
    """What became of one clip of a job."""

    product_id: str
    clip_id: str | None = None
    url: str | None = Field(None, description="Where the clip is; null where it could not be rendered.")
    reason: str | None = Field(None, description="Why it could not be rendered, or is the original.")


class JobOut(BaseModel):
    """A job, and how far it is."""

    id: str
    status: Literal["running", "done", "cancelled"]
    total: int
    done: int
    failed: int = Field(description="Of those done, clips that could not be rendered.")
    progress: float = Field(description="0…1.")
    results: list[JobResult] = Field(description="One a clip that is done, in the order asked for.")


class ClipProvenance(BaseModel):
    """What a clip says of itself; the same is in its MP4's metadata."""

    id: str
    generated: bool = Field(description="Whether a model made these pictures.")
    task: str = Field(description="restyle, or original for a product's own clip.")
    model: str | None = Field(description="Version that made it; null for an original.")
    product: str | None
    look: str | None = Field(description="The look asked for; null for an original.")
    refused: list[str] = Field(description="Why a render was not fit to be shown and this original is.")


class SimilarItem(BaseModel):
    """One product like another."""

    product: Product
    score: float


class Similar(BaseModel):
    """Products like one product."""

    product_id: str
    items: list[SimilarItem]


class HostReason(BaseModel):
    """A creator the viewer knows, and what that says for a host."""

    host: str
    share: float = Field(description="Part of the score, 0…1.")


class HostItem(BaseModel):
    """A creator or live host."""

    host: str = Field(description="Name of the creator, as in the catalogue.")
    score: float
    source: str = Field(description="history, content, popular or fresh.")
    reasons: list[HostReason] = Field(description="Up to 3 creators that speak for this one, strongest first.")


class Hosts(BaseModel):
    """Creators for a viewer, best first; one the viewer knows keeps their place."""

    items: list[HostItem]


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = Field(default_factory=list)
