"""Shell lines, as far as rules look into them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

BETWEEN_COMMANDS = ("||", "&&", ";", "|", "&")


def words(line: str) -> list[str]:
    """Words of a line, what stands between its commands among them. Raises ValueError for a broken one."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return list(lexer)


def commands(listed: Sequence[str]) -> Iterator[list[str]]:
    """The words of each command, without what stands between them."""
    for between, command in groupby(listed, key=BETWEEN_COMMANDS.__contains__):
        if not between:
            yield list(command)
