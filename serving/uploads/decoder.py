"""Uploads in, frames out: the ingress's side of the decoding processes.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from serving.door.settings import MIB, UploadArgs
from serving.problems import Problem
from serving.uploads.nursery import STATUS_BYTES
from trainables.data.video import DecodeOptions

logger = logging.getLogger("ray.serve")

FRAMES, FPS, SIDE = 24, 12.0, 128
"""What an uploaded clip becomes before it is restyled."""
HEADER_BYTES = 64 * 1024
GRACE_S = 10.0
RETRY_S = 2
_OUT_OF_TIME = {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL}
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class UploadedClip:
    """An upload, decoded."""

    frames_THWC: np.ndarray
    """uint8 (FRAMES, SIDE, SIDE, 3)."""
    fps: float


class UploadDecoder:
    """Decodes `decoders` uploads at a time, each in a process of its own. Safe to share between threads.

    Whatever an upload does to its decoder, the answer is the frames or a Problem: 422 for one that is damaged or
    crashes it, 413 for one that takes more memory or time than it may, 429 where too many are waiting.
    """

    def __init__(self, args: UploadArgs, program: str = "serving.uploads.nursery") -> None:
        """`program`: module that is run to fork the decoders; it starts with the first upload."""
        self._args, self._program = args, program
        self._options = DecodeOptions(
            num_frames=FRAMES,
            fps=FPS,
            size=SIDE,
            max_seconds=args.max_seconds,
            max_pixels=args.max_pixels,
            max_frames=args.max_frames,
        )
        self._threads = ThreadPoolExecutor(args.decoders, thread_name_prefix="upload")
        self._taken = 0
        self._lock = threading.Lock()
        self._nursery: subprocess.Popen | None = None
        self._control: socket.socket | None = None

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Room for one upload, from its first byte to its answer; a Problem 429 where there is none."""
        if self._taken >= self._args.decoders + self._args.waiting:
            raise Problem(429, "too many uploads at a time; try again", headers={"retry-after": str(RETRY_S)})
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def decode(self, data: bytes) -> UploadedClip:
        """The clip in an upload."""
        if len(data) > self._args.max_bytes:
            raise Problem(413, f"the clip is larger than {self._args.max_bytes} bytes")
        waiting = [data]
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._exchange, waiting)
        finally:
            waiting.clear()  # where nobody waits any more, the threads' queue keeps no upload
        return self._read(answer)

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown()
        with self._lock:
            self._stop()

    def _exchange(self, waiting: list[bytes]) -> bytes:
        """One job for the upload in the list; what came back, the decoder's end in the last bytes."""
        data = waiting.pop()
        mine, theirs = socket.socketpair()
        with mine:
            mine.settimeout(self._args.wall_seconds + GRACE_S)
            with theirs:
                self._submit(theirs)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended; its status says how
                mine.sendall(data)
                mine.shutdown(socket.SHUT_WR)
            most, received = self._most_bytes(), bytearray()
            with contextlib.suppress(ConnectionResetError):
                while len(received) <= most and (piece := mine.recv(1 << 16)):
                    received += piece
            return bytes(received)

    def _submit(self, job: socket.socket) -> None:
        bounds = {
            "options": asdict(self._options),
            "memory_bytes": self._args.memory_bytes,
            "cpu_seconds": self._args.cpu_seconds,
            "wall_seconds": self._args.wall_seconds,
        }
        message = json.dumps(bounds).encode()
        with self._lock:
            if self._nursery is not None and self._nursery.poll() is None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(self._control, [message], [job.fileno()])
                    return
                logger.warning("the process that forks decoders has died; it is started again")
            self._start()
            socket.send_fds(self._control, [message], [job.fileno()])

    def _start(self) -> None:
        """Run the program with nothing of this process's but the way to import it: no secrets, no sockets."""
        self._stop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", self._program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**environment, **_ONE_THREAD},
            )

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.wait()
        self._nursery = self._control = None

    def _most_bytes(self) -> int:
        return FRAMES * SIDE * SIDE * 3 + HEADER_BYTES + STATUS_BYTES

    def _read(self, answer: bytes) -> UploadedClip:
        """What a job answered, checked as if a stranger had written it."""
        if len(answer) < STATUS_BYTES:
            raise Problem(503, "the upload could not be decoded now; try again", headers={"retry-after": str(RETRY_S)})
        body, status = answer[:-STATUS_BYTES], int.from_bytes(answer[-STATUS_BYTES:], "big")
        if len(answer) > self._most_bytes() or status != 0:
            raise self._ended(status)
        header, _, frames = body.partition(b"\n")
        try:
            said: dict[str, Any] = json.loads(header)
        except ValueError as error:
            raise self._ended(status) from error
        if said.get("fault") == "memory":
            bound = f"{self._args.memory_bytes // MIB} MiB"
            raise Problem.field("file", f"takes more than {bound} of memory to decode; scale it down", 413)
        if said.get("fault") == "input":
            raise Problem.field("file", str(said["message"])[:500])
        if said.get("shape") != [FRAMES, SIDE, SIDE, 3] or len(frames) != FRAMES * SIDE * SIDE * 3:
            raise self._ended(status)
        return UploadedClip(np.frombuffer(frames, np.uint8).reshape(FRAMES, SIDE, SIDE, 3), FPS)

    def _ended(self, status: int) -> Problem:
        """Why a decoder ended without an answer."""
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _OUT_OF_TIME:
            bound = f"{self._args.cpu_seconds} s of computing or {self._args.wall_seconds:g} s"
            return Problem.field("file", f"takes more than {bound} to decode; cut it or scale it down", 413)
        logger.warning("an upload ended its decoder with wait status %d", status)
        return Problem.field("file", "cannot be decoded: it is damaged; re-encode it")
