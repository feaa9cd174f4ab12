"""The storage root: a folder or any pyarrow filesystem, with atomic writes.

Layout under the root:
    datasets/NAME/{products,clips,events}/*.parquet, datasets/NAME/dataset.json
    runs/NAME/{config.json,stats.jsonl,checkpoints/…,bundle/…}
    bundles/NAME/VERSION/…      local copies of registered models
    clips/…                     rendered clips
"""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.fs as pafs

from cluster.errors import InputError, NotFoundError, StorageError, StorageReadError

S3_ATTEMPTS = 8
"""Of one request, with growing pauses in between."""

ERROR_DOES_NOT_FIT = "Failed to flush response stream"
"""What Arrow says of a busy store whose excuse is longer than the bytes that were asked for; it does not try again."""

T = TypeVar("T")


class Storage:
    """Reads and writes below one root; paths are relative, with forward slashes."""

    def __init__(self, root: str) -> None:
        self.root = root
        if "://" in root:
            try:
                filesystem, self.base = pafs.FileSystem.from_uri(root)
            except (ValueError, NotImplementedError, OSError) as error:
                fix = "set SHOPREEL_HOME to a folder or a filesystem URI such as s3://bucket/prefix"
                raise InputError(f"the storage root {root} cannot be used: {error}; {fix}") from error
            self.filesystem = _patient(filesystem)
        else:
            self.filesystem, self.base = pafs.LocalFileSystem(), str(Path(root).resolve())

    @property
    def is_local(self) -> bool:
        """True where the root is a folder of this machine."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def path(self, relative: str = "") -> str:
        """Path inside `filesystem`."""
        return f"{self.base}/{relative}".rstrip("/") if relative else self.base

    def uri(self, relative: str = "") -> str:
        """Path as other programs (Ray, a person) name it: a folder path, or the full URI."""
        if self.is_local:
            return self.path(relative)
        root, mark, options = self.root.partition("?")
        return f"{root.rstrip('/')}/{relative}".rstrip("/") + mark + options

    def exists(self, relative: str) -> bool:
        with self._answering("look for", relative, StorageReadError):
            return self.filesystem.get_file_info(self.path(relative)).type != pafs.FileType.NotFound

    def list(self, relative: str) -> list[str]:
        """Names directly below a folder, sorted; empty where the folder is missing."""
        selector = pafs.FileSelector(self.path(relative), allow_not_found=True)
        with self._answering("list", relative, StorageReadError):
            return sorted(info.base_name for info in self.filesystem.get_file_info(selector))

    def read_bytes(self, relative: str) -> bytes:
        def read() -> bytes:
            with self.filesystem.open_input_file(self.path(relative)) as source:
                return source.read()

        return self.reading(relative, read)

    def reading(self, relative: str, read: Callable[[], T]) -> T:
        """What `read` gets from the file or folder at that path through `filesystem`.

        NotFoundError where it is not there, StorageReadError where it cannot be read.
        """
        with self._answering("read", relative, StorageReadError):
            try:
                for _ in range(S3_ATTEMPTS):
                    try:
                        return read()
                    except OSError as error:
                        if ERROR_DOES_NOT_FIT not in str(error):
                            raise
                return read()
            except FileNotFoundError as error:
                raise NotFoundError(f"{self.uri(relative)} does not exist") from error

    def write_bytes(self, relative: str, data: bytes) -> None:
        """Write whole or not at all: a temporary name first, then a rename."""
        target = self.path(relative)
        temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
        with self._answering("write", relative):
            try:
                self.filesystem.create_dir(target.rsplit("/", 1)[0], recursive=True)
                with self.filesystem.open_output_stream(temporary) as sink:
                    sink.write(data)
                self.filesystem.move(temporary, target)
            except OSError:
                with suppress(OSError):  # the first error is the one to act on
                    self._discard(temporary)
                raise

    def read_json(self, relative: str) -> Any:
        """InputError where it is not JSON, which a machine that lost its power may leave of a file."""
        try:
            return json.loads(self.read_bytes(relative))
        except ValueError as error:
            fix = "it is damaged: put back a copy, or delete it"
            raise InputError(f"{self.uri(relative)} is not JSON: {error}; {fix}") from error

    def write_json(self, relative: str, value: Any) -> None:
        self.write_bytes(relative, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def delete(self, relative: str) -> None:
        """Remove a file or a whole folder; a missing one is fine."""
        with self._answering("delete", relative), suppress(FileNotFoundError):
            info = self.filesystem.get_file_info(self.path(relative))
            if info.type == pafs.FileType.Directory:
                self.filesystem.delete_dir(info.path)
            elif info.type == pafs.FileType.File:
                self.filesystem.delete_file(info.path)

    @contextmanager
    def _answering(self, what: str, relative: str, kind: type[StorageError] = StorageError) -> Iterator[None]:
        """What the filesystem fails to do becomes an error that names the file."""
        try:
            yield
        except OSError as error:
            fix = "see that it answers"
            if self.is_local:
                fix = "see that it may be read" if kind is StorageReadError else fix_of_a_write(error)
            raise kind(f"cannot {what} {self.uri(relative)}: {error}; {fix}, or set SHOPREEL_HOME") from error

    def _discard(self, path: str) -> None:
        if self.filesystem.get_file_info(path).type == pafs.FileType.File:
            self.filesystem.delete_file(path)


def fix_of_a_write(error: OSError) -> str:
    """What lets a file of this machine be written that could not be."""
    return "free space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "see that it may be written"


def _patient(filesystem: pafs.FileSystem) -> pafs.FileSystem:
    """The same filesystem, trying again for some 20 s where an S3 store says that it is busy or broken."""
    if not isinstance(filesystem, pafs.S3FileSystem):
        return filesystem
    _, (options,) = filesystem.__reduce__()
    return pafs.S3FileSystem(**options, retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS))
