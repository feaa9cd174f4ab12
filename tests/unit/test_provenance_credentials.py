"""Content credentials: a signed file verifies, a changed one does not. Skipped without c2pa-python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cluster.errors import InputError
from trainables.data.video import DecodeOptions, decode_clip, encode_mp4
from trainables.generator.content_credentials import ASSERTION, SigningConfig, read_credentials, sign
from trainables.generator.provenance import IPTC, Provenance, read_provenance

pytest.importorskip("c2pa", reason="content credentials need c2pa-python (extra c2pa)")
x509 = pytest.importorskip("cryptography.x509", reason="making a test certificate needs cryptography")

PROVENANCE = Provenance(task="restyle", model="generator/3", product="mug-01", look="neon")
MP4 = encode_mp4(
    np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8), 12.0, metadata=PROVENANCE.metadata()
)


@pytest.fixture(scope="module")
def signing() -> SigningConfig:
    """A certificate chain made for this test: an authority and a leaf for signing."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(common: str) -> x509.Name:
        named = ((x509.oid.NameOID.ORGANIZATION_NAME, "Shop"), (x509.oid.NameOID.COMMON_NAME, common))
        return x509.Name([x509.NameAttribute(*pair) for pair in named])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool) -> str:
        now = datetime.now(UTC)
        unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        usage = dict.fromkeys((*unused, "encipher_only", "decipher_only"), False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if not ca:
            use = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(use, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = certificate("Leaf", leaf, authority, ca=False) + certificate("Authority", authority, authority, ca=True)
    key = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningConfig(certificates=chain, private_key=key.decode())


@pytest.fixture(scope="module")
def signed(signing: SigningConfig) -> bytes:
    return sign(MP4, PROVENANCE, signing)


def test_a_signed_clip_verifies_and_says_what_it_is(signed: bytes) -> None:
    credentials = read_credentials(signed)
    assert credentials["validation_state"] in ("Valid", "Trusted")
    said = {assertion["label"]: assertion["data"] for assertion in credentials["assertions"]}
    action = next(data for label, data in said.items() if label.startswith("c2pa.actions"))["actions"][0]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", IPTC + "trainedAlgorithmicMedia")
    assert (said[ASSERTION]["model"], said[ASSERTION]["product"]) == ("generator/3", "mug-01")


def test_a_changed_clip_does_not_verify(signed: bytes) -> None:
    changed = bytearray(signed)
    place = signed.rindex(b"mdat") + 200
    changed[place] ^= 0xFF
    assert read_credentials(bytes(changed))["validation_state"] == "Invalid"


def test_a_signed_clip_still_plays_and_keeps_its_tags(signed: bytes) -> None:
    options = DecodeOptions(num_frames=4, size=64, max_dead_seconds=0)
    np.testing.assert_array_equal(decode_clip(signed, options).frames_THWC, decode_clip(MP4, options).frames_THWC)
    assert read_provenance(signed) == PROVENANCE


def test_an_unsigned_clip_has_no_credentials() -> None:
    assert read_credentials(MP4) is None


def test_originals_and_broken_certificates_are_refused(signing: SigningConfig) -> None:
    with pytest.raises(InputError, match="only generated clips"):
        sign(MP4, Provenance(task="original", product="mug-01"), signing)
    with pytest.raises(InputError, match="cannot be signed"):
        sign(MP4, PROVENANCE, SigningConfig(certificates="no pem", private_key="no pem"))
