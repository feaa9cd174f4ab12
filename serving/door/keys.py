"""API keys: made once, shown once, kept as a digest, checked in constant time.

A key is `shopreel_ID_SECRET`; the secret is 256 random bits. What is stored is SHA-256 of the secret, without salt and
without a slow hash: those protect secrets that people choose, which can be guessed. Nobody guesses 2²⁵⁶, two keys are
never alike, and a slow hash would let a stranger spend the server's time with every wrong key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

import sqlalchemy as sa

from cluster.errors import InputError, NotFoundError
from serving.database import insert_new, now_ms, open_engine, reading, writing
from serving.door.access import Scope

SCOPES: tuple[str, ...] = get_args(Scope)
_FORM = re.compile(r"shopreel_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()  # what a wrong id is compared with

LONGEST = timedelta(days=3650)

_METADATA = sa.MetaData()
_KEYS = sa.Table(
    "api_keys",
    _METADATA,
    sa.Column("key_id", sa.String(12), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("scopes", sa.String(80), nullable=False),
    sa.Column("secret_sha256", sa.String(64), nullable=False),
    sa.Column("rate", sa.Float),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_at_ms", sa.BigInteger),
    sa.Column("revoked_at_ms", sa.BigInteger),
)
_REPLACED = sa.Table(
    "replaced_api_keys",
    _METADATA,
    sa.Column("key_id", sa.String(12), primary_key=True),
    sa.Column("lifetime_ms", sa.BigInteger),
)
"""How long a key that was rotated had been given to live, null for ever: its row ends with its grace period."""


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is known of a key; its secret is not."""

    key_id: str
    name: str
    """Who uses it."""
    scopes: frozenset[str]
    secret_sha256: str
    rate: float | None
    """Requests a second; None for `limits.key_rate`."""
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None

    def state(self, at_ms: int) -> str:
        """valid, expired or revoked at a moment (milliseconds since 1970)."""
        if self.revoked_at_ms is not None:
            return "revoked"
        return "expired" if self.expires_at_ms is not None and self.expires_at_ms <= at_ms else "valid"


class KeyStore:
    """Keys at rest, in the database of the events. Safe to share between threads; every call blocks on the database."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, _METADATA)

    def create(
        self,
        name: str,
        scopes: Collection[str],
        *,
        lifetime: timedelta | None = None,
        rate: float | None = None,
    ) -> tuple[str, ApiKey]:
        """A new key: its text, which is nowhere else, and what is kept of it."""
        if not 1 <= len(name) <= 80 or not name.isprintable():
            raise InputError(f"the name {name[:80]!r} must have 1 to 80 printable characters")
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise InputError(f"there is no scope {unknown[0]!r}; choose of {', '.join(SCOPES)}")
        if not scopes:
            raise InputError(f"a key needs at least one scope of {', '.join(SCOPES)}")
        if lifetime is not None and not timedelta(0) < lifetime <= LONGEST:
            raise InputError(f"a key cannot live {lifetime}; give it more than no time, at most {LONGEST.days} days")
        if rate is not None and not 0 < rate < float("inf"):
            raise InputError(f"the rate is {rate}; give requests a second above 0")
        now, secret = now_ms(), secrets.token_urlsafe(32)
        key = ApiKey(
            key_id=secrets.token_hex(6),
            name=name,
            scopes=frozenset(scopes),
            secret_sha256=_digest(secret),
            rate=rate,
            created_at_ms=now,
            expires_at_ms=None if lifetime is None else now + int(lifetime.total_seconds() * 1000),
            revoked_at_ms=None,
        )
        with writing(self._engine) as connection:
            connection.execute(_KEYS.insert().values({**vars(key), "scopes": ",".join(sorted(key.scopes))}))
        return f"shopreel_{key.key_id}_{secret}", key

    def all(self) -> list[ApiKey]:
        """Every key ever made, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(_KEYS).order_by(_KEYS.c.created_at_ms, _KEYS.c.key_id)).all()
        return [ApiKey(**{**row._mapping, "scopes": frozenset(row.scopes.split(","))}) for row in rows]

    def rotate(self, key_id: str, *, grace: timedelta) -> tuple[str, ApiKey]:
        """A new key in place of a valid one, which goes on for `grace` and then expires; the new one lives as long as
        the old one was meant to, also where that is in its grace period already.
        """
        if not timedelta(0) <= grace <= LONGEST:
            raise InputError(f"the old key cannot go on for {grace}; give at most {LONGEST.days} days")
        old = self._valid(key_id)
        lifetime_ms = self._lifetime_ms(old)
        lifetime = None if lifetime_ms is None else timedelta(milliseconds=lifetime_ms)
        made = self.create(old.name, old.scopes, lifetime=lifetime, rate=old.rate)
        ends = now_ms() + int(grace.total_seconds() * 1000)
        with writing(self._engine) as connection:
            remembered = insert_new(self._engine, _REPLACED, "key_id")
            connection.execute(remembered.values(key_id=key_id, lifetime_ms=lifetime_ms))
        self._update(key_id, expires_at_ms=min(ends, old.expires_at_ms or ends))
        return made

    def revoke(self, key_id: str) -> None:
        """End a key now."""
        self._valid(key_id)
        self._update(key_id, revoked_at_ms=now_ms())

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _lifetime_ms(self, key: ApiKey) -> int | None:
        """How long a key was given to live when it was made; None for ever."""
        with reading(self._engine) as connection:
            asked = sa.select(_REPLACED.c.lifetime_ms).where(_REPLACED.c.key_id == key.key_id)
            replaced = connection.execute(asked).one_or_none()
        if replaced is not None:
            return replaced.lifetime_ms
        return None if key.expires_at_ms is None else key.expires_at_ms - key.created_at_ms

    def _valid(self, key_id: str) -> ApiKey:
        key = next((key for key in self.all() if key.key_id == key_id), None)
        if key is None:
            raise NotFoundError(f"there is no key {key_id[:40]!r}; `shopreel keys list` names them")
        if (state := key.state(now_ms())) != "valid":
            raise InputError(f"key {key_id} is {state} already")
        return key

    def _update(self, key_id: str, **values: int) -> None:
        with writing(self._engine) as connection:
            connection.execute(_KEYS.update().where(_KEYS.c.key_id == key_id).values(**values))


def find(text: str, keys: dict[str, ApiKey], at_ms: int) -> ApiKey | None:
    """The valid key with this text, or None; takes equally long for a wrong id and a wrong secret."""
    form = _FORM.fullmatch(text)
    key_id, secret = form.groups() if form else ("", text)
    key = keys.get(key_id)
    same = hmac.compare_digest(_digest(secret), key.secret_sha256 if key else _NOBODY)
    return key if key is not None and same and key.state(at_ms) == "valid" else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
