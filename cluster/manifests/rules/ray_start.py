"""Rules of `ray start`: the options that rayStartParams and the commands of `ray up` give to it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from cluster.manifests.rules import shell
from cluster.manifests.source import Node, Problem


def check_start_params(parameters: Node) -> Iterator[Problem]:
    """Problems of a group's rayStartParams, whose names KubeRay gives to `ray start` as options."""
    for parameter in parameters.items():
        yield from _known(parameter, f"--{parameter.key}")


def check_start_commands(lines: Node) -> Iterator[Problem]:
    """Problems of the commands that start Ray on a machine of `ray up`."""
    for line in lines.items():
        try:
            listed = shell.words(line.text() or "")
        except ValueError as error:
            yield line.problem(f"is no command line: {error}")
            continue
        for command in shell.commands(listed):
            if command[:2] == ["ray", "start"]:
                for word in command[2:]:
                    if word.startswith("--"):
                        yield from _known(line, word.partition("=")[0])


def _known(place: Node, option: str) -> Iterator[Problem]:
    from ray.scripts.scripts import start

    options = {name for parameter in start.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if option not in options:
        close = get_close_matches(option.replace("_", "-"), options, n=1)
        name = close[0].removeprefix("--") if close else ""
        yield place.problem(f"ray start has no option {option}" + (f"; did you mean {name}?" if close else ""))
