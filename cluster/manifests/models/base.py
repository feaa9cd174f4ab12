"""What all models of manifests share: camelCase names, strict types, and the search for fields no model knows."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cluster.manifests.quantities import parse_quantity

Path = tuple[str | int, ...]


class Model(BaseModel):
    """An object of a manifest. Types are strict, as the Kubernetes API is: `"2"` is no number, `2` no text."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


def _quantity(value: str | int | float) -> str | int | float:
    try:
        parse_quantity(value)
    except ValueError as error:
        raise ValueError(f"is {error}") from error
    return value


Quantity = Annotated[str | int | float, AfterValidator(_quantity)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Names = dict[str, str]
Loose = dict[str, Any]
"""Part of an object that shopreel neither writes nor reads; anything may stand there."""


def unknown_fields(model: type[BaseModel], value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Path of each key that neither `model` nor a model inside it has, with what to write instead."""
    if not isinstance(value, dict):
        return
    annotations = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, item in value.items():
        if key in annotations:
            yield from _inside(annotations[key], item, (*path, key))
        else:
            close = get_close_matches(str(key), annotations, n=1, cutoff=0.6)
            yield (*path, key), f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(annotations))}"


def _inside(annotation: Any, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from _inside(arguments[0], value, path)
    elif origin in (typing.Union, types.UnionType):
        if isinstance(value, dict):  # of `dict | Model`, the model tells which keys there are
            arguments = [a for a in arguments if isinstance(a, type) and issubclass(a, BaseModel)] or arguments
        for option in arguments:
            yield from _inside(option, value, path)
    elif origin in (list, tuple) and arguments and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(arguments[0], item, (*path, index))
    elif origin is dict and arguments and isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(arguments[1], item, (*path, key))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from unknown_fields(annotation, value, path)
