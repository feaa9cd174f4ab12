"""Kubernetes quantities: `500m` cores, `16Gi` of memory."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*|\.\d+)(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d+)", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", start=1)}


def parse_quantity(value: str | int | float) -> Decimal:
    """The number a quantity stands for. Raises ValueError, with a hint, for one that Kubernetes would refuse."""
    text = str(value)
    match = _QUANTITY.fullmatch(text)
    if match is None or match["sign"] == "-":
        raise ValueError(f"{text!r}, which is no quantity; {_hint(text)}")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    return number.scaleb(_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))


def _hint(text: str) -> str:
    if text.startswith("-"):
        return "it cannot be below 0"
    units = re.fullmatch(r"([\d.]+)\s*([kKmMgGtT])i?[bB]?", text)
    if units is None:
        return "write a number and a unit, such as 500m cores or 16Gi of memory"
    number, unit = units[1], units[2].upper()
    return f"write {number}{unit}i (powers of 1024) or {number}{'k' if unit == 'K' else unit} (powers of 1000)"
