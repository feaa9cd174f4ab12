"""Serve one application: start Ray where none runs, deploy, wait until a real feed can be answered, shut down after."""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from cluster.errors import InputError, ShopreelError
from cluster.runtime import ray_session
from serving import haproxy, waiting
from serving.args import AppArgs

if TYPE_CHECKING:
    from ray.serve import Application

APP_NAME = "shopreel"
READY_TIMEOUT_S = 180.0
POLL_S = 0.2
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception)\b.*: ")


@contextmanager
def serve_app(
    args: dict[str, Any], *, host: str = "127.0.0.1", port: int = 8000, address: str | None = None
) -> Iterator[str]:
    """The application answers at the yielded base URL inside the block. `args` are those of serving.args.AppArgs.

    Where `access.keys` is auto, requests need an API key unless `host` is of loopback.

    Raises InputError for a port in use or a network address without keys, NotFoundError for an unknown dataset or
    model, ShopreelError where a replica does not come up.
    """
    checked = with_keys_decided(AppArgs.parse(args), host)
    _check_address_is_free(host, port)
    with ray_session(replace(checked.settings(), ray_address=address)):
        import ray
        from ray import serve

        from serving.app import build

        node_id = ray.get_runtime_context().get_node_id()
        logging.getLogger("ray.serve").setLevel(logging.WARNING)  # this process's own; replicas have theirs below
        application = build(checked.model_dump())
        try:
            serve.start(proxy_location="HeadOnly", http_options={"host": host, "port": port})
            _deploy(application, log_level="INFO" if checked.log_requests else "WARNING")
            base_url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
            _wait_until_ready(base_url)
            yield base_url
        finally:
            serve.shutdown()
            haproxy.remove_files(node_id)


def with_keys_decided(args: AppArgs, host: str) -> AppArgs:
    """The arguments with `access.keys` decided for an address; InputError for never on one of the network."""
    local = _is_loopback(host)
    if args.access.keys == "never" and not local:
        raise InputError(
            f"access.keys is never and --host {host} can be reached from other machines; leave access.keys at auto and "
            "make keys with `shopreel keys create`"
        )
    if args.access.keys != "auto":
        return args
    access = args.access.model_copy(update={"keys": "never" if local else "always"})
    return args.model_copy(update={"access": access})


def _is_loopback(host: str) -> bool:
    """Whether nobody on another machine can reach this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _deploy(application: Application, log_level: str) -> None:
    """Deploy and wait for the replicas; where one fails, the error carries the last line of its own."""
    from ray import serve
    from ray.serve.schema import LoggingConfig

    # Serve writes the request's id into every line of every replica it reaches; the access log is our own.
    logs = LoggingConfig(encoding="JSON", log_level=log_level, enable_access_log=False)
    try:
        with waiting.said_aloud(APP_NAME):
            serve.run(application, name=APP_NAME, route_prefix="/", logging_config=logs)
    except RuntimeError as error:
        deployments = serve.status().applications[APP_NAME].deployments
        reasons = [
            f"{name}: {_cause(status.message)}" for name, status in deployments.items() if "FAILED" in status.status
        ]
        raise ShopreelError(f"the application did not come up; {'; '.join(reasons) or error}") from error


def _cause(traceback: str) -> str:
    """The error at the end of a replica's traceback, without the frames."""
    errors = [line for line in traceback.splitlines() if _ERROR_LINE.match(line)]
    return errors[-1].strip() if errors else traceback.strip()


def _check_address_is_free(host: str, port: int) -> None:
    if ":" in host:  # Serve never finds its own proxy at one, and gives up after a minute
        raise InputError(
            f"--host {host} is an IPv6 address, at which Ray Serve cannot listen; give 127.0.0.1, or 0.0.0.0 for every "
            "interface, and let the proxy in front take IPv6"
        )
    try:
        *_, address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror}; give an address of this machine") from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            fix = "choose another --port" if error.errno == errno.EADDRINUSE else "choose another --host or --port"
            raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; {fix}") from error


def _wait_until_ready(base_url: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    answer = "no answer"
    with httpx.Client(timeout=READY_TIMEOUT_S) as client:
        while time.monotonic() < deadline:
            try:
                response = client.get(f"{base_url}/readyz")
            except httpx.TransportError as error:
                answer = str(error)
            else:
                if response.status_code == 200:
                    return
                answer = response.text
            time.sleep(POLL_S)
    raise ShopreelError(f"{base_url}/readyz was not ready after {READY_TIMEOUT_S:.0f} s: {answer}")
