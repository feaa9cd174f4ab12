"""Errors a user can act on. The command line prints them in one line; HTTP turns them into problem documents."""

from __future__ import annotations

import re


class ShopreelError(Exception):
    """Something a user can mend. The message names the file, field or setting, and the fix, and no password."""

    exit_code = 1

    def __str__(self) -> str:
        return without_password(super().__str__())


class InputError(ShopreelError):
    """A file, table, request or setting from outside is not what it must be."""

    exit_code = 2


class NotFoundError(ShopreelError):
    """A dataset, model, alias, clip or run with that name does not exist."""

    exit_code = 3


class StorageError(ShopreelError):
    """The storage root cannot be read or written (full disk, missing rights, unreachable host)."""

    exit_code = 4


class StorageReadError(StorageError):
    """What is there, or may be, cannot be read now; it may be read later."""


def without_password(text: str) -> str:
    """`scheme://user:password@host` without the password, as stores' URIs may carry one."""
    return re.sub(r"(://[^\s/@:]*):[^\s/@]+@", r"\1:***@", text)
