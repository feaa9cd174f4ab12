"""API keys: shown once, kept as digests, and out within two seconds of being revoked."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import keys as command
from cluster.errors import InputError, NotFoundError
from cluster.settings import Settings
from serving.database import DatabaseError, now_ms
from serving.door.keys import KeyStore, find
from serving.door.ring import REFRESH_S, STALE_S, KeyRing
from serving.problems import Problem


@pytest.fixture
def store(database_url: str) -> Iterator[KeyStore]:
    opened = KeyStore(database_url)
    yield opened
    opened.close()


def by_id(store: KeyStore) -> dict:
    return {key.key_id: key for key in store.all()}


def test_the_text_of_a_key_opens_and_no_other_text_does(store: KeyStore) -> None:
    text, made = store.create("page", ["read"])
    keys, now = by_id(store), now_ms()
    assert find(text, keys, now) == made
    other, _ = store.create("other", ["read"])
    prefix, secret = text[:-43], text[-43:]
    mixed = f"{prefix}{other[-43:]}"
    for wrong in ("", "shopreel_", secret, text[:-1], text + "x", mixed, text.upper(), f" {text}", "é" * 70):
        assert find(wrong, keys, now) is None, wrong


def test_a_key_has_256_random_bits_and_none_of_them_is_stored(tmp_path: Path) -> None:
    store = KeyStore(f"sqlite:///{tmp_path}/events.db")
    text, key = store.create("page", ["read"])
    secret = text[-43:]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in stored
    assert key.secret_sha256.encode() in stored


def test_a_key_ends_when_it_expires_or_is_revoked(store: KeyStore) -> None:
    brief, brief_key = store.create("brief", ["read"], lifetime=timedelta(minutes=1))
    ended, ended_key = store.create("ended", ["read"])
    store.revoke(ended_key.key_id)
    keys, now = by_id(store), now_ms()
    assert find(brief, keys, now).state(now) == "valid"
    assert find(brief, keys, now + 60_000) is None
    assert find(ended, keys, now) is None
    assert keys[brief_key.key_id].state(now + 60_000) == "expired"
    assert keys[ended_key.key_id].state(now) == "revoked"


def test_rotation_leaves_the_old_key_its_grace(store: KeyStore) -> None:
    old, old_key = store.create("page", ["read", "render"], lifetime=timedelta(days=30), rate=7)
    new, new_key = store.rotate(old_key.key_id, grace=timedelta(hours=1))
    keys, now = by_id(store), now_ms()
    assert find(old, keys, now) and find(new, keys, now)
    assert find(old, keys, now + 3_600_001) is None
    assert (new_key.name, new_key.scopes, new_key.rate) == ("page", frozenset({"read", "render"}), 7)
    assert find(new, keys, now + 29 * 86_400_000)
    _, third = store.rotate(new_key.key_id, grace=timedelta(0))
    assert by_id(store)[new_key.key_id].state(now_ms()) == "expired"
    assert by_id(store)[third.key_id].state(now_ms()) == "valid"


@pytest.mark.parametrize("lifetime", [timedelta(days=30), None])
def test_a_key_rotated_again_in_its_grace_gives_one_that_lives_as_long(
    store: KeyStore, lifetime: timedelta | None
) -> None:
    """Its own end has moved to the end of its grace meanwhile; whoever takes its place is not to end as soon."""
    old, key = store.create("page", ["read"], lifetime=lifetime)
    store.rotate(key.key_id, grace=timedelta(hours=1))
    again, _ = store.rotate(key.key_id, grace=timedelta(hours=2))
    keys, now = by_id(store), now_ms()
    assert find(again, keys, now + 29 * 86_400_000)
    assert (find(again, keys, now + 31 * 86_400_000) is None) == (lifetime is not None)
    assert find(old, keys, now + 3_600_001) is None


@pytest.mark.parametrize(
    ("name", "scopes", "options", "message"),
    [
        pytest.param("", ["read"], {}, "name", id="no-name"),
        pytest.param("a\nb", ["read"], {}, "printable", id="name-of-two-lines"),
        pytest.param("x", [], {}, "at least one scope", id="no-scope"),
        pytest.param("x", ["write"], {}, "no scope 'write'", id="unknown-scope"),
        pytest.param("x", ["read"], {"lifetime": timedelta(0)}, "more than no time", id="no-life"),
        pytest.param("x", ["read"], {"lifetime": timedelta(days=4000)}, "at most 3650", id="too-long-a-life"),
        pytest.param("x", ["read"], {"rate": 0}, "above 0", id="no-rate"),
    ],
)
def test_wrong_wishes_are_named(store: KeyStore, name: str, scopes: list, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        store.create(name, scopes, **options)
    assert store.all() == []


def test_an_endless_grace_is_named_and_makes_no_key(store: KeyStore) -> None:
    _, old = store.create("page", ["read"])
    with pytest.raises(InputError, match="cannot go on for 9999999 days.*at most 3650 days"):
        store.rotate(old.key_id, grace=timedelta(days=9_999_999))
    assert store.all() == [old]


def test_only_a_valid_key_can_be_revoked(store: KeyStore) -> None:
    with pytest.raises(NotFoundError, match="keys list"):
        store.revoke("0" * 12)
    _, key = store.create("x", ["read"])
    store.revoke(key.key_id)
    with pytest.raises(InputError, match="revoked already"):
        store.rotate(key.key_id, grace=timedelta(0))


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_ring_knows_new_keys_and_forgets_revoked_ones_a_second_later(store: KeyStore) -> None:
    text, key = store.create("x", ["read"])
    clock = Clock()
    ring = KeyRing(store, clock)
    assert asyncio.run(ring.find(text)) is not None
    store.revoke(key.key_id)
    later, _ = store.create("y", ["read"])
    clock.now += REFRESH_S + 0.01
    assert asyncio.run(ring.find(text)) is None
    assert asyncio.run(ring.find(later)) is not None


def test_a_ring_outlasts_a_short_loss_of_the_database_and_refuses_after_a_long_one(store: KeyStore) -> None:
    text, _ = store.create("x", ["read"])
    clock = Clock()
    ring = KeyRing(store, clock)
    assert asyncio.run(ring.find(text)) is not None

    def gone() -> list:
        raise DatabaseError("gone")

    store.all = gone
    clock.now += STALE_S - 1
    assert asyncio.run(ring.find(text)) is not None
    clock.now += 2
    with pytest.raises(Problem) as caught:
        asyncio.run(ring.find(text))
    assert caught.value.status_code == 503


def test_a_ring_does_not_hold_up_requests_while_the_database_is_silent(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.door.ring.PATIENCE_S", 0.01)
    text, _ = store.create("x", ["read"])
    clock, answers, keys = Clock(), threading.Event(), store.all()
    ring = KeyRing(store, clock)

    def silent() -> list:
        assert answers.wait(20)
        return keys

    async def scenario() -> None:
        assert await ring.find(text) is not None
        store.all = silent
        clock.now += STALE_S - 1
        assert await ring.find(text) is not None
        clock.now += 2
        waiting = asyncio.ensure_future(ring.find(text))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done, "the last keys known are too old by now"
        answers.set()
        assert await waiting is not None

    asyncio.run(scenario())


def run(*words: str):
    return CliRunner().invoke(command.app, list(words), catch_exceptions=False)


def test_the_command_shows_a_key_once(settings: Settings) -> None:
    made = run("create", "--name", "page", "--scope", "read", "--scope", "write-events", "--expires", "90d")
    text = made.stdout.strip()
    store = KeyStore(settings.event_store_url)
    key = find(text, by_id(store), now_ms())
    assert (key.name, key.scopes) == ("page", frozenset({"read", "write-events"}))
    assert 89.9 < (key.expires_at_ms - now_ms()) / 86_400_000 < 90
    listed = run("list").stdout
    assert key.key_id in listed and "valid" in listed
    assert text[-43:] not in listed and key.secret_sha256 not in listed
    rotated = run("rotate", key.key_id, "--grace", "0m").stdout.strip()
    assert find(text, by_id(store), now_ms()) is None
    assert run("revoke", find(rotated, by_id(store), now_ms()).key_id).exit_code == 0
    assert find(rotated, by_id(store), now_ms()) is None
    with pytest.raises(InputError, match="--expires is 'soon'"):
        run("create", "--name", "page", "--scope", "read", "--expires", "soon")
