"""Errors a user can act on. The command line prints them in one line; HTTP turns them into problem documents."""


class ShopreelError(Exception):
    """Something a user can mend. The message names the file, field or setting, and the fix."""

    exit_code = 1


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
