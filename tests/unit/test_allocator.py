"""Memory that was freed stays with the process, so that the next clip asks the system for none."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from trainables.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def clip():
    maps = [np.ones(int(sys.argv[2]) * 2**18, np.float32) for _ in range(48 // int(sys.argv[2]))]
clip()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    clip()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("megabytes", [12, 48])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_a_clip_after_the_first_takes_no_new_pages(megabytes: int) -> None:
    """20 clips of 48 MiB, in maps of 12 and of 48: 245,760 pages of 4 KiB where they are asked for anew each time."""
    if megabytes > 32 and tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 36):
        pytest.skip("an older glibc gives maps above 32 MiB back at once")
    faults = {
        how: int(
            subprocess.run([sys.executable, "-c", FAULTS, how, str(megabytes)], capture_output=True, check=True).stdout
        )
        for how in ("default", "kept")
    }
    assert faults["kept"] < 2_000
    assert faults["default"] > 10 * faults["kept"], "else this machine's C library needs none of it"
