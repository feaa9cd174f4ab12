"""Rules of a cluster file of `ray up`."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from cluster.manifests.rules.ray_start import check_start_commands
from cluster.manifests.source import Document, Problem


def check_ray_up(document: Document) -> Iterator[Problem]:
    """Problems of a cluster file; none where the document is something else."""
    root = document.root
    if "cluster_name" not in document.value:
        return
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        yield from check_start_commands(root.get(commands))
    provider = root.get("provider")
    if provider.get("type").value == "aws" and not provider.get("region").value:
        yield provider.get("region").problem("is missing; name one, such as eu-central-1")
    types = {str(node.key): node for node in root.get("available_node_types").items()}
    head, all_workers = root.get("head_node_type"), root.get("max_workers").whole()
    if types and head.text() not in types:
        close = get_close_matches(head.text() or "", types, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(types)}"
        yield head.problem(f"{head.value} is not among available_node_types; {hint}")
    for node in types.values():
        least, most = node.get("min_workers"), node.get("max_workers")
        limits = {"max_workers": most.whole(), "max_workers of the cluster": all_workers}
        for limit, value in limits.items():
            if value is not None and (least.whole() or 0) > value:
                yield least.problem(f"is {least.value}, above the {limit} ({value}); lower it, or raise that")
                break
    if not types and (root.get("min_workers").whole() or 0) > (all_workers or 0):
        yield root.get("min_workers").problem(f"is {root.get('min_workers').value}, above max_workers ({all_workers})")
