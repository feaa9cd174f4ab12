"""The port that Serve opens in every replica for calls from other deployments, kept off the outside."""

from __future__ import annotations

from typing import Any

import ray


def keep_inside() -> None:
    """Bind the port to the node's own address in Ray's cluster, loopback on one machine; call it in a replica's
    `__init__`. Serve opens it on every interface, asks nobody who calls, and unpickles what arrives.
    """
    from ray.serve._private import replica

    add_port = replica.add_port_to_grpc_server
    host = ray.util.get_node_ip_address()

    def add_inner_port(server: Any, address: str) -> int:
        return add_port(server, address.replace("[::]", host))

    replica.add_port_to_grpc_server = add_inner_port
