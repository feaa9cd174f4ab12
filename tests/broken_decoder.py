"""A nursery whose decoders do what the upload says: hang, crash, take memory, look around."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cluster.errors import InputError
from serving.uploads import nursery
from trainables.data.video import DecodedClip, DecodeOptions


def misbehave(data: bytes, options: DecodeOptions, *, name: str) -> DecodedClip:
    """Do what the first word of the upload names; the answer's first pixel tells what was seen."""
    word, seen = data[:16].strip(b" \0").decode(), 0
    if word == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "exit":
        os._exit(3)
    elif word == "spin":
        while True:
            pass
    elif word == "sleep":
        time.sleep(10**6)
    elif word == "eat":
        np.ones(10**12, np.uint8)
    elif word == "babble":
        while True:
            os.write(nursery.JOB_FD, bytes(1 << 16))
    elif word == "lie":
        return clip(np.zeros((1, 2, 2, 3), np.uint8))
    elif word == "look":
        seen = sum(map(_can, (_open_file, _write_file, _connect, _run)))
        seen += 100 * any(name.startswith("SHOPREEL") for name in os.environ)
    elif word == "bad":
        raise InputError("the uploaded clip is bad")
    return clip(np.full((options.num_frames, options.size, options.size, 3), seen, np.uint8))


def clip(frames: np.ndarray) -> DecodedClip:
    return DecodedClip(frames_THWC=frames, fps=12.0, audio=None, source_seconds=1.0, frame_seconds=1 / 12)


def _can(action) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


def _open_file() -> None:
    Path("/etc/hostname").read_bytes()


def _write_file() -> None:
    Path("/tmp/never").write_bytes(b"x")


def _connect() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def _run() -> None:
    subprocess.run(["/bin/true"], check=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        nursery.serve(channel, misbehave)
