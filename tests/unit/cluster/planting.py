"""Rendered manifests with mistakes planted in them, and what `shopreel manifests check` says of those."""

from cluster.cli.manifests import command_error
from cluster.manifests.check import check_manifests


def check(texts: dict[str, str]) -> list[str]:
    return [str(problem) for problem in check_manifests(texts, command_error)]


def plant(texts: dict[str, str], file: str, right: str, wrong: str) -> dict[str, str]:
    """The manifests with one occurrence of `right`, the last, replaced."""
    assert right in texts[file]
    before, after = texts[file].rsplit(right, 1)
    return texts | {file: f"{before}{wrong}{after}"}


def line_of(text: str, words: str) -> int:
    """Number of the last line with these words."""
    return max(number for number, line in enumerate(text.splitlines(), start=1) if words in line)
