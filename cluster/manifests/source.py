"""YAML that remembers its lines, so that a problem can be pointed at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster.manifests.models.base import Path

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where PyYAML was built with it: ten times as fast


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake, where it stands, and what to do about it."""

    file: str
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {f'{self.where}: ' if self.where else ''}{self.message}"


@dataclass(frozen=True)
class Document:
    """One YAML document of a file. `lines` maps the path of each key and item to its line, counted from 1."""

    file: str
    value: Any
    lines: dict[Path, int]
    blocks: frozenset[Path] = frozenset()
    """Paths of the texts written as block literals (`|`), whose lines are lines of the file."""
    repeated: tuple[tuple[Path, int], ...] = ()
    """Keys given twice in one mapping, of which YAML would silently keep the last, and the line of the first."""
    prefix: Path = ()
    """Where the document stands in the one around it, for a text that is YAML itself."""

    def line(self, path: Path) -> int:
        """Line of a path, or of the nearest thing around it that is there."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.file, self.line(path), dotted((*self.prefix, *path)), message)

    def twice(self) -> Iterator[Problem]:
        """A problem for each key that is given twice."""
        for path, first in self.repeated:
            yield self.problem(path, f"is given twice; the first is in line {first}")

    @property
    def root(self) -> Node:
        return Node(self, (), self.value)

    def embedded(self, path: Path, text: str) -> Document:
        """The one document that a text of this one holds, with lines of the file. Raises UnreadableError."""
        start = self.line(path)
        found = list(read_documents(self.file, text))
        if len(found) != 1:
            raise UnreadableError(Problem(self.file, start, dotted(path), "must hold one YAML document"))
        (inner,) = found

        def outside(line: int) -> int:
            return start + line if path in self.blocks else start

        lines = {key: outside(line) for key, line in inner.lines.items()}
        repeated = tuple((key, outside(line)) for key, line in inner.repeated)
        return Document(self.file, inner.value, lines, inner.blocks, repeated, path)


@dataclass(frozen=True)
class Node:
    """A value of a document and where it stands. What is missing, or not of the expected form, is None or empty."""

    document: Document = field(repr=False)
    path: Path
    value: Any

    def get(self, *path: str | int) -> Node:
        value = self.value
        for step in path:
            if isinstance(value, dict) or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
                value = value.get(step) if isinstance(value, dict) else value[step]
            else:
                value = None
        return Node(self.document, (*self.path, *path), value)

    def items(self) -> Iterator[Node]:
        """Nodes of a list's items, or of a mapping's values."""
        if isinstance(self.value, list):
            keys: Any = range(len(self.value))
        else:
            keys = self.value if isinstance(self.value, dict) else ()
        for key in keys:
            yield self.get(key)

    def walk(self) -> Iterator[Node]:
        """This node and every one below it."""
        yield self
        for child in self.items():
            yield from child.walk()

    @property
    def key(self) -> str | int:
        return self.path[-1]

    def whole(self) -> int | None:
        """The value where it is a whole number."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    def text(self) -> str | None:
        """The value where it is text."""
        return self.value if isinstance(self.value, str) else None

    def problem(self, message: str) -> Problem:
        return self.document.problem(self.path, message)


class UnreadableError(Exception):
    """A file that is not YAML."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_documents(file: str, text: str) -> Iterator[Document]:
    """The YAML documents of a file, empty ones left out. Raises UnreadableError with the line."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            lines: dict[Path, int] = {}
            blocks: set[Path] = set()
            repeated: list[tuple[Path, int]] = []
            value = loader.construct_document(node)  # refuses keys that are lists or mappings
            _note(node, (), node.start_mark.line + 1, lines, blocks, repeated)
            if value is not None:
                yield Document(file, value, lines, frozenset(blocks), tuple(repeated))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        raise UnreadableError(Problem(file, mark.line + 1 if mark else 1, "", f"not valid YAML: {reason}")) from error
    finally:
        loader.dispose()


def _note(node: yaml.Node, path: Path, line: int, lines: dict, blocks: set, repeated: list) -> None:
    """Write down the line of every key and item below a node."""
    lines[path] = line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below, at = (*path, key.value), key.start_mark.line + 1
            if below in lines:
                repeated.append((below, lines[below]))
            _note(value, below, at, lines, blocks, repeated)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note(item, (*path, index), item.start_mark.line + 1, lines, blocks, repeated)
    elif node.style == "|":
        blocks.add(path)


def dotted(path: Path) -> str:
    """`spec.workerGroupSpecs[1].replicas`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
