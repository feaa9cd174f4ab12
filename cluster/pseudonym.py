"""Keyed pseudonyms of viewers: raw ids never reach a dataset, a model or a log.

The key lives below the storage root (`secrets/pseudonym.key`, for its owner only) or in `SHOPREEL_PSEUDONYM_KEY`
(64 hexadecimal digits), so that whoever holds the data alone cannot tell who is who.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from cluster.errors import InputError, StorageError
from cluster.settings import Settings

KEY_BYTES = 32


class Pseudonymiser:
    """HMAC-SHA256 of a raw viewer id, cut to 80 bits: the same id always gives the same pseudonym under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InputError(f"the pseudonym key has {len(key)} bytes; it must have {KEY_BYTES}")
        self._key = key

    @classmethod
    def load(cls, settings: Settings) -> Pseudonymiser:
        """The installation's key; made on first use. StorageError where its file can be neither read nor made."""
        if text := os.environ.get("SHOPREEL_PSEUDONYM_KEY"):
            return cls(_key(text, "SHOPREEL_PSEUDONYM_KEY"))
        if "://" in settings.storage_root:
            raise InputError("set SHOPREEL_PSEUDONYM_KEY (64 hexadecimal digits): a key is not kept on remote storage")
        path = Path(settings.storage_root) / "secrets" / "pseudonym.key"
        try:
            if not path.exists():
                cls._create_key(path)
            text = path.read_text(errors="replace")
        except OSError as error:
            fix = "see that it may be read and written, or set SHOPREEL_HOME or SHOPREEL_PSEUDONYM_KEY"
            raise StorageError(f"no pseudonym key can be kept in {path}: {error.strerror}; {fix}") from error
        return cls(_key(text, f"the pseudonym key in {path}"))

    @staticmethod
    def _create_key(path: Path) -> None:
        """Write whole, then link: of several processes that start at once, the first one's key is everybody's."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as sink:
            sink.write(secrets.token_hex(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()

    def of(self, raw_id: str) -> str:
        """Pseudonym of a raw viewer id, `v` + 20 hexadecimal digits."""
        return "v" + hmac.new(self._key, raw_id.encode(), hashlib.sha256).hexdigest()[:20]


def _key(text: str, where: str) -> bytes:
    """The key that hexadecimal digits stand for; InputError, which shows none of them, for anything else."""
    digits = text.strip()
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", digits):
        raise InputError(f"{where} must be {2 * KEY_BYTES} hexadecimal digits; it has {len(digits)} characters")
    return bytes.fromhex(digits)
