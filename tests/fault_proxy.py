"""An HTTP proxy in front of a store of the tests, which fails, is slow and comes and goes."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""
INTERNAL = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>"""
CHUNK = 16 * 1024


class FaultProxy:
    """Passes requests on to `target`; the attributes may be changed while it runs."""

    def __init__(self, target: str, seed: int = 0) -> None:
        self.failing = 0.0
        """Share of requests that get a 500 or a 503 SlowDown, half of them after they were carried out."""
        self.latency_s = 0.0
        """Before every answer."""
        self.bytes_per_s = 0.0
        """Of bodies in both directions; 0 for no limit."""
        self.down = False
        """Whether everything gets a 503."""
        self.answers: Counter[int] = Counter()
        """Answers so far by status; those of faults apart from the store's own by a minus."""
        self._random, self._lock = random.Random(seed), threading.Lock()
        proxy, place = self, urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self._body()
                fault, carried_out = proxy._fault()
                time.sleep(proxy.latency_s)  # the latency is what this proxy is for
                if fault and not carried_out:
                    return self._answer(fault, {}, SLOW_DOWN if fault == 503 else INTERNAL)
                store = HTTPConnection(place.hostname, place.port, timeout=60)
                store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "expect", "connection"):
                        store.putheader(name, value)
                store.putheader("Content-Length", str(len(body)))
                store.endheaders(body)
                answer = store.getresponse()
                content, headers = answer.read(), dict(answer.getheaders())
                store.close()
                if fault:
                    return self._answer(fault, {}, INTERNAL)
                return self._answer(answer.status, headers, content, own=True)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return proxy._slowly(self.rfile.read, int(self.headers.get("Content-Length", 0)))
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(proxy._slowly(self.rfile.read, size))
                    self.rfile.readline()
                while self.rfile.readline().strip():  # trailing headers
                    continue
                return b"".join(parts)

            def _answer(self, status: int, headers: dict[str, str], content: bytes, own: bool = False) -> None:
                with proxy._lock:
                    proxy.answers[status if own else -status] += 1
                self.send_response(status)
                length = headers.get("Content-Length", headers.get("content-length", str(len(content))))
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    for start in range(0, len(content), CHUNK):
                        self.wfile.write(content[start : start + CHUNK])
                        proxy._pause(len(content[start : start + CHUNK]))

            def log_message(self, *_: object) -> None: ...

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _fault(self) -> tuple[int, bool]:
        """Status of a fault, 0 for none, and whether the request is carried out all the same."""
        with self._lock:
            if self.down:
                return 503, False
            if self._random.random() >= self.failing:
                return 0, True
            return self._random.choice([(500, False), (500, True), (503, False), (503, False)])

    def _slowly(self, read, length: int) -> bytes:
        parts = []
        while length > 0:
            part = read(min(CHUNK, length))
            parts.append(part)
            length -= len(part)
            self._pause(len(part))
        return b"".join(parts)

    def _pause(self, count: int) -> None:
        if self.bytes_per_s:
            time.sleep(count / self.bytes_per_s)


@contextmanager
def fault_proxy(target: str) -> Iterator[FaultProxy]:
    proxy = FaultProxy(target)
    thread = threading.Thread(target=proxy._server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy._server.shutdown()
        proxy._server.server_close()
