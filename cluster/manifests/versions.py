"""Versions that must agree: this library, the Ray it is pinned to, and the tags of images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import requires, version

DISTRIBUTION = "shopreel"
_VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc|\.dev|\.post)\d+)?"
_TAG = re.compile(rf"v?(?P<library>{_VERSION})(?:-ray(?P<ray>{_VERSION}))?(?:-.*)?")
_RAY_TAG = re.compile(rf"(?P<ray>{_VERSION})(?:-.*)?")


def library_version() -> str:
    """Version of the installed shopreel."""
    return version(DISTRIBUTION)


def pinned_version(package: str) -> str:
    """Version of a package that the installed shopreel requires exactly (`ray`, `torch`)."""
    for requirement in requires(DISTRIBUTION) or ():
        match = re.fullmatch(rf"{package}(?:\[[^]]*\])?==([^;\s]+)", requirement)
        if match:
            return match[1]
    raise ValueError(f"{DISTRIBUTION} does not pin {package}")


def default_image() -> str:
    """Name and tag of the image that the Dockerfile of this version builds."""
    return f"{DISTRIBUTION}:{library_version()}-ray{pinned_version('ray')}"


@dataclass(frozen=True)
class ImageVersions:
    """What an image's tag says about its inside; None where it says nothing."""

    library: str | None
    ray: str | None


def versions_of_image(image: str) -> ImageVersions:
    """Read a tag such as `0.1.0-ray2.60.0`, or `2.60.0-py311` of `rayproject/ray`. ValueError where it pins nothing."""
    repository, _, tag = image.partition("@")[0].rpartition(":")
    if not repository or "/" in tag:
        raise ValueError(f"image {image} has no tag; name a version, such as {default_image()}")
    if repository.endswith(("rayproject/ray", "rayproject/ray-ml")):
        match = _RAY_TAG.fullmatch(tag)
        if match:
            return ImageVersions(library=None, ray=match["ray"])
    else:
        match = _TAG.fullmatch(tag)
        if match:
            return ImageVersions(library=match["library"], ray=match["ray"])
    raise ValueError(f"the tag of image {image} tells no version; tag it VERSION-rayVERSION, such as {default_image()}")
