"""Foreign CSV files: columns found by usual names or named by the user, values checked, errors with file and row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cluster.errors import InputError

ROWS_A_CHUNK = 250_000


def read_csv(path: Path, only: Sequence[str] | None = None) -> pd.DataFrame:
    """All columns, or `only` these, as text; empty cells are ''. Errors name the file, and a column that is missing."""
    parts, first_row = [], 1
    options = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "skipinitialspace": True}
    try:
        # In chunks, so that columns that are not wanted are let go. With `usecols` pandas would not refuse a row with
        # a cell too many, but read what follows that cell from the wrong columns.
        with pd.read_csv(path, chunksize=ROWS_A_CHUNK, **options) as chunks:
            for chunk in chunks:
                table = aligned(path, chunk, first_row=first_row)
                parts.append(table if only is None else table[present_columns(path, table.columns, only)])
                first_row += len(chunk)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty; it needs a header line and rows") from error
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except (pd.errors.ParserError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a readable CSV file: {str(error).strip()}") from error
    table = pd.concat(parts, ignore_index=True)
    return table if only is None else table.set_axis(list(only), axis=1)


def not_utf8(path: Path, error: UnicodeDecodeError) -> InputError:
    """The error for a file in another encoding, as spreadsheets write it unless told otherwise."""
    return InputError(f"{path} is not UTF-8 text ({error.reason}); save it as CSV in UTF-8")


def present_columns(path: Path, present: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The columns of a file that have these names, spaces around them aside; of two of one name the first.

    Raises InputError naming the file, the missing column and the columns there are.
    """
    names = [str(name) for name in present]
    by_name = {name.strip(): name for name in reversed(names)}
    for name in wanted:
        if name not in by_name:
            raise InputError(
                f"{path}: column {name!r} is missing; the file has: {', '.join(names)}{_other_separator(names)}"
            )
    return [by_name[name] for name in wanted]


def aligned(path: Path, table: pd.DataFrame, *, first_row: int) -> pd.DataFrame:
    """What `pandas.read_csv` made of rows that all end in a comma more than the header, with every cell in its column.

    pandas takes the first cells of such rows for labels, and shifts the others. Raises InputError where the cells
    beyond the header are filled in: which column they belong to cannot be told.
    """
    if table.empty or isinstance(table.index, pd.RangeIndex):
        return table
    labels = table.index.to_frame(index=False)
    cells = pd.concat([labels, table.reset_index(drop=True)], axis=1, ignore_index=True).fillna("")
    kept, beyond = cells.iloc[:, : len(table.columns)], cells.iloc[:, len(table.columns) :]
    if (filled_in := (beyond != "").any(axis=1)).any():
        raise InputError(
            f"{path}, row {first_row + int(filled_in.to_numpy().argmax())} has more cells than the header has columns; "
            f"put cells that hold a comma in double quotes{_other_separator(table.columns)}"
        )
    return kept.set_axis(table.columns, axis=1)


def find_columns(
    path: Path,
    present: Sequence[str],
    named: Mapping[str, str | None],
    usual: Mapping[str, Sequence[str]],
    required: Sequence[str],
) -> dict[str, str]:
    """Field → column of the file. `named` (from flags) wins over `usual` names, which match in any case.

    Raises InputError naming the file, the missing column, its flag and the columns there are.
    """
    by_name = {name.strip().lower(): name for name in reversed(list(present))}
    there = f"the file has: {', '.join(map(str, present))}{_other_separator(present)}"
    found: dict[str, str] = {}
    for field, names in usual.items():
        flag = f"--{field.replace('_', '-')}-column"
        if wish := named.get(field):
            if wish not in present and wish.lower() not in by_name:
                raise InputError(f"{path}: column {wish!r} ({flag}) is missing; {there}")
            found[field] = wish if wish in present else by_name[wish.lower()]
        elif match := next((by_name[name] for name in names if name in by_name), None):
            found[field] = match
        elif field in required:
            raise InputError(f"{path}: no column for {field.replace('_', ' ')}; name it with {flag} ({there})")
    return found


def _other_separator(present: Sequence[str]) -> str:
    """The fix for a file with semicolons or tabs, as spreadsheets write it in some countries; else nothing."""
    other = len(present) == 1 and any(mark in str(present[0]) for mark in ";\t|")
    return "; save it with commas between the columns" if other else ""


def numbers(
    path: Path,
    column: str,
    values: pd.Series,
    *,
    first_row: int,
    minimum: float | None = None,
    maximum: float | None = None,
) -> pd.Series:
    """float64 with NaN where the cell is empty; `first_row` is the first value's row, 1 after the header.

    Raises InputError for what is no number, is not finite or lies outside the bounds.
    """
    text = values.astype("string").str.strip().replace("", pd.NA)
    parsed = pd.to_numeric(text, errors="coerce").astype("float64")
    bad = text.notna() & parsed.isna() & ~text.str.lower().isin(["nan", "null", "none"])
    if bad.any():
        raise bad_cell(path, column, values, bad, first_row, "a number")
    if (endless := np.isinf(parsed)).any():
        raise bad_cell(path, column, values, endless, first_row, "a finite number")
    if minimum is not None and (low := parsed < minimum).any():
        raise bad_cell(path, column, values, low, first_row, f"a number of at least {minimum:g}")
    if maximum is not None and (high := parsed > maximum).any():
        raise bad_cell(path, column, values, high, first_row, f"a number of at most {maximum:.13g}")
    return parsed


def bad_cell(path: Path, column: str, values: pd.Series, bad: pd.Series, first_row: int, wanted: str) -> InputError:
    """The error that names the first bad cell."""
    position = int(bad.to_numpy().argmax())
    return InputError(
        f"{path}: column {column!r}, row {first_row + position}: {str(values.iloc[position])!r} is not {wanted}"
    )


def filled(path: Path, column: str, values: pd.Series, *, first_row: int) -> pd.Series:
    """Stripped text; an empty cell is an error."""
    text = values.astype("string").fillna("").str.strip()
    empty = text == ""
    if empty.any():
        raise bad_cell(path, column, values, empty, first_row, "filled in")
    return text
