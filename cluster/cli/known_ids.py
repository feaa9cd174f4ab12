"""Ids in a file beside those of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console


def note_strangers(console: Console, what: str, ids: pa.Array, known: pa.ChunkedArray, data: str, column: str) -> None:
    """Say so where none of the `ids` is among the `known` ones: a spreadsheet makes 7 out of 007, and the answer would
    be that for strangers, without a word.
    """
    import pyarrow.compute as pc

    if len(ids) and not pc.any(pc.is_in(ids, value_set=pc.unique(known))).as_py():
        console.print(
            f"none of the {what} is known to dataset {data!r}; check that {column} is written as in the imported log",
            highlight=False,
            soft_wrap=True,
        )
