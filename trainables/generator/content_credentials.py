"""C2PA content credentials: a signed manifest inside a generated MP4, that says what `provenance` says and proves by
whom. Optional: needs the package `c2pa-python` (extra `c2pa`) and the shop's own signing certificate.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from cluster.errors import InputError
from trainables.generator.provenance import IPTC, SOURCE_TYPES, Provenance

ASSERTION = "org.shopreel.provenance"


@dataclass(frozen=True, kw_only=True)
class SigningConfig:
    """Who signs."""

    certificates: str
    """PEM chain, leaf first, of a certificate for C2PA signing (key usage: digital signature; extended: email
    protection or document signing)."""
    private_key: str
    """PEM, PKCS #8, of the leaf."""
    algorithm: str = "es256"
    """es256, es384, es512, ps256, ps384, ps512 or ed25519; the key's kind."""
    timestamp_url: str | None = None
    """RFC 3161 time-stamping service; None: no timestamp, and no call to the network."""


def sign(mp4: bytes, provenance: Provenance, config: SigningConfig) -> bytes:
    """The MP4 with a signed manifest. InputError where the package is missing, the clip is not a generated one, or the
    certificate does not serve.
    """
    if not provenance.generated:
        raise InputError("only generated clips are signed; this one is a product's own")
    c2pa = _package()
    signed = io.BytesIO()
    try:
        signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(
                config.algorithm, config.certificates.encode(), config.private_key.encode(), config.timestamp_url
            )
        )
        with c2pa.Builder(_manifest(provenance)) as builder:
            builder.sign(signer, "video/mp4", io.BytesIO(mp4), signed)
    except c2pa.C2paError as error:
        raise InputError(f"the clip cannot be signed: {error}; check certificates, key and algorithm") from error
    return signed.getvalue()


def read_credentials(mp4: bytes) -> dict[str, Any] | None:
    """The active manifest and `validation_state` ("Valid" or "Trusted" where bytes and signature fit, "Invalid" where
    the file was changed); None for a file without a manifest.
    """
    c2pa = _package()
    reader = c2pa.Reader.try_create("video/mp4", io.BytesIO(mp4))
    if reader is None:
        return None
    with reader:
        store = json.loads(reader.json())
    return {**store["manifests"][store["active_manifest"]], "validation_state": store["validation_state"]}


def _manifest(provenance: Provenance) -> str:
    action = {
        "action": "c2pa.created",  # a manifest starts with created, or with opened and its parent, which is not kept
        "digitalSourceType": IPTC + SOURCE_TYPES[provenance.task],
        "softwareAgent": {"name": "shopreel", "version": provenance.model},
    }
    said = json.loads(provenance.metadata()["comment"])
    return json.dumps(
        {
            "claim_generator_info": [{"name": "shopreel"}],
            "title": provenance.product or "clip",
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
                {"label": ASSERTION, "data": said},
            ],
        }
    )


def _package() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise InputError("content credentials need the package c2pa-python; install shopreel[c2pa]") from error
    return c2pa
