"""What x264 is told so that the same pictures give the same bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def repeatable() -> dict[str, str]:
    """Options of the codec on this machine.

    With its AVX-512 routines x264 codes frames whose sides are no multiples of 16 now one way, now another (one in four
    of 200 clips of 20 × 20); with those for AVX2 always the same, and the same as on a processor that has no more.
    """
    about = Path("/proc/cpuinfo")
    if about.is_file() and "avx512" in about.read_text():
        return {"x264-params": "asm=AVX2"}
    return {}
