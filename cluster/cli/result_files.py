"""Parquet files that commands write for a shop's own programs."""

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
    if out.is_dir():
        raise InputError(f"--out is {out}, a folder; name a file that ends in .parquet")
    with _named(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out.parent).close()


def write_parquet(table: pd.DataFrame, out: Path) -> None:
    """Write a table into a folder that is there; StorageError where it cannot be written."""
    with _named(out):
        table.to_parquet(out, index=False)


@contextmanager
def _named(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}; give another --out") from error


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
