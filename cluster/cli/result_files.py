"""Files that commands write for a shop's own programs: where they go is checked before the work begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from cluster.errors import InputError, StorageError

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53
"""Whole numbers below this are told apart by every reader."""


def check_parquet(out: Path) -> None:
    """Before the work begins: InputError where the name does not end in .parquet, StorageError where no file can be
    written there; folders on the way are made.
    """
    if out.suffix != ".parquet":
        raise InputError(f"--out is {out}; name a file that ends in .parquet")
    check_file(out)


def check_file(out: Path, option: str = "--out") -> None:
    """InputError where a folder has the name, StorageError where no file can be written there; folders on the way are
    made.
    """
    if out.is_dir():
        raise InputError(f"{option} is {out}, a folder; name a file{f' that ends in {out.suffix}' * bool(out.suffix)}")
    with writing(out, option):
        out.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out.parent).close()


def check_folder(out: Path) -> None:
    """InputError where a file has the name, StorageError where nothing can be written into it; the folder is made."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out is {out}, a file; name a folder")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out).close()


def write_parquet(table: pd.DataFrame, out: Path) -> None:
    """Write a table into a folder that is there; StorageError where it cannot be written."""
    with writing(out):
        table.to_parquet(out, index=False)


@contextmanager
def writing(out: Path, option: str = "--out") -> Iterator[None]:
    """What goes wrong inside while `out` is written is a StorageError that names it."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}; give another {option}") from error


def plain_ids(ids: Sequence[str]) -> pd.Series:
    """Whole numbers where every id is written as one, so that the file joins with the one it came from; else text."""
    import pandas as pd

    texts = pd.Series(ids, dtype=object).astype(str)
    numbers = pd.to_numeric(texts, errors="coerce")
    if len(numbers) and numbers.notna().all() and (numbers % 1 == 0).all() and (numbers.abs() < EXACT).all():
        whole = numbers.astype("int64")
        if (whole.astype(str) == texts).all():
            return whole
    return texts.astype("str")
