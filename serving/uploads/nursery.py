"""The process that uploads are decoded below; `python -m serving.uploads.nursery FD`, started by `UploadDecoder`.

It imports the decoder once and forks for every upload: a fork takes 7 ms where a fresh interpreter takes 430, and each
upload still has a process that has seen no other, can open no file and holds no secret. A job is a socket: the upload
comes in, then come the answer and, from the process that waited for the decoder, how it ended.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av.subtitles.codeccontext
import av.subtitles.stream  # noqa: F401 - PyAV imports both when it first opens a file, which a decoder cannot do

from cluster.errors import InputError
from trainables.data.video import DecodedClip, DecodeOptions, decode_clip

JOB_BYTES = 4096
STATUS_BYTES = 4
JOB_FD = 3
"""Descriptor of the job in the decoder; all others but 0, 1 and 2 are closed."""
Decode = Callable[..., DecodedClip]


def serve(control: socket.socket, decode: Decode = decode_clip) -> None:
    """Fork for every job until the other end is closed. A job is a datagram of limits with a socket beside it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the waiting processes end
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, decoders go first
    while True:
        message, descriptors, *_ = socket.recv_fds(control, JOB_BYTES, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _wait_for_decoder(descriptors[0], json.loads(message), decode)
        os.close(descriptors[0])


def _wait_for_decoder(descriptor: int, job: dict[str, Any], decode: Decode) -> None:
    """Fork the decoder and tell how it ended; does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    decoder = os.fork()
    if decoder == 0:
        os.dup2(descriptor, JOB_FD)
        os.closerange(JOB_FD + 1, 256)
        ended = 1
        try:
            _limit(job)
            with socket.socket(fileno=JOB_FD) as connection:
                _decode(connection, job, decode)
            ended = 0
        except Exception as error:  # noqa: BLE001 - the status tells the ingress, this the log; no stack is unwound
            print(f"upload decoder: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(ended)
    _, status = os.waitpid(decoder, 0)
    with contextlib.suppress(OSError), socket.socket(fileno=descriptor) as connection:
        connection.sendall(status.to_bytes(STATUS_BYTES, "big"))
    os._exit(0)


def _limit(job: dict[str, Any]) -> None:
    """Bounds the kernel keeps, whatever the decoder does."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        taken = int(pages.read_text().split()[0]) * resource.getpagesize()
        memory = taken + job["memory_bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_seconds"], job["cpu_seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (JOB_FD + 1, JOB_FD + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, job["wall_seconds"])


def _decode(connection: socket.socket, job: dict[str, Any], decode: Decode) -> None:
    """Read the upload, answer with a line of JSON and the frames."""
    pieces, frames = [], b""
    try:
        while piece := connection.recv(1 << 20):
            pieces.append(piece)
        data = b"".join(pieces)
        pieces.clear()
        clip = decode(data, DecodeOptions(**job["options"]), name="the uploaded clip")
        answer = {"shape": clip.frames_THWC.shape, "fps": clip.fps}
        frames = clip.frames_THWC.tobytes()
    except MemoryError:
        answer = {"fault": "memory"}
    except InputError as error:
        starved = getattr(error.__cause__, "errno", None) == errno.ENOMEM
        answer = {"fault": "memory" if starved else "input", "message": str(error)}
    connection.sendall(json.dumps(answer).encode() + b"\n")
    connection.sendall(frames)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)
