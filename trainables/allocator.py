"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
MMAP_BYTES = (128 * 1024**2, 32 * 1024**2)
"""What is larger has pages of its own: enough for the maps of a clip of 256², or the most that older glibcs take."""
KEPT_BYTES = 256 * 1024**2


def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB of what it freed, for the next clip.

    By default glibc gives the maps of one clip back to the system and asks for them again for the next, page by page
    and zeroed: a fifth of the time of a render. Does nothing where the C library is another.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for size in MMAP_BYTES:
            if library.mallopt(_MMAP_THRESHOLD, size):
                break
        library.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
