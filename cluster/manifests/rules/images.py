"""Rules of versions: what is in the image must be what the manifests and this library say."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.manifests.rules.parts import cluster_spec, pods
from cluster.manifests.source import Document, Node, Problem
from cluster.manifests.versions import library_version, pinned_version, versions_of_image


def check_images(document: Document) -> Iterator[Problem]:
    """Tags of Ray's containers against rayVersion, the version of this library and its pin of Ray."""
    spec = cluster_spec(document)
    if spec is None:
        image = document.root.get("docker", "image")  # of `ray up`
        if "cluster_name" in document.root.value and image.text():
            yield from _image(image, pinned_version("ray"), "shopreel is pinned to Ray")
        return
    stated = spec.get("rayVersion")
    if stated.text() and stated.value != pinned_version("ray"):
        yield stated.problem(f"is {stated.value}, but shopreel {library_version()} needs Ray {pinned_version('ray')}")
    ray = stated.text() or pinned_version("ray")
    for image in (spec.get("autoscalerOptions", "image"), *(pod.get("containers", 0, "image") for pod in pods(spec))):
        if image.text():
            yield from _image(image, ray, "rayVersion is")


def _image(image: Node, ray: str, why: str) -> Iterator[Problem]:
    try:
        inside = versions_of_image(image.value)
    except ValueError as error:
        yield image.problem(str(error))
        return
    if inside.library is not None and inside.library != library_version():
        yield image.problem(
            f"{image.value} holds shopreel {inside.library}, this is shopreel {library_version()}; "
            "build the image anew, or check with the version it holds"
        )
    if inside.ray is not None and inside.ray != ray:
        yield image.problem(f"{image.value} holds Ray {inside.ray}, but {why} {ray}")
