"""Settings of the door: who may come in, how often, and how much they may bring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.strict import Strict

MIB = 1024**2
Origin = Annotated[str, Field(pattern=r"^https?://[^/\s*]+$", max_length=200)]


class AccessArgs(Strict):
    """Who may ask."""

    keys: Literal["auto", "always", "never"] = Field(
        "auto", description="Whether requests need an API key; auto: unless `shopreel serve` listens on loopback alone."
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        max_length=50,
        description="Origins whose pages may call the API from a browser (CORS), https://HOST[:PORT].",
    )
    assume_consent: bool = Field(
        True, description="Whether a request that says nothing of consent comes from a viewer who has given it."
    )


class LimitArgs(Strict):
    """How much one client, and all of them together, may ask of one ingress replica."""

    key_rate: float = Field(200.0, gt=0, description="Requests a second of one key, over all ingress replicas.")
    key_burst: int = Field(400, ge=1, description="Requests a key may make at once after a pause.")
    address_rate: float = Field(
        0.0, ge=0, description="Requests a second of one client address without a key, over all replicas; 0: no limit."
    )
    address_burst: int = Field(100, ge=1, description="Requests an address may make at once after a pause.")
    in_flight: int = Field(256, ge=1, description="Requests one ingress replica answers at a time; more get 429.")
    json_bytes: int = Field(512 * 1024, ge=1024, description="Largest body that is no upload, bytes.")
    body_seconds: float = Field(30.0, gt=0, description="Time a client has to send its whole body, seconds.")


class UploadArgs(Strict):
    """Bounds of an uploaded clip and of the process that decodes it."""

    max_bytes: int = Field(32 * MIB, ge=1, description="Largest uploaded clip, bytes.")
    max_seconds: float = Field(600.0, gt=0, description="Longest uploaded clip, seconds.")
    max_frames: int = Field(36_000, ge=1, description="Most frames of an uploaded clip.")
    max_pixels: int = Field(4096 * 2304, ge=256, description="Largest picture of an uploaded clip, pixels.")
    decoders: int = Field(2, ge=1, le=64, description="Uploads decoded at a time by one ingress replica.")
    waiting: int = Field(8, ge=0, description="Uploads that wait for a decoder; more get 429.")
    memory_bytes: int = Field(768 * MIB, ge=64 * MIB, description="Memory one decoding may take, bytes.")
    cpu_seconds: int = Field(20, ge=1, description="Processor time one decoding may take, seconds.")
    wall_seconds: float = Field(40.0, gt=0, description="Time one decoding may take on the clock, seconds.")
