"""Pieces of Envoy configuration that every bootstrap has; field names are those of Envoy's v3 API."""

from __future__ import annotations

from typing import Any

TYPE = "type.googleapis.com/envoy"
"""Beginning of the type URLs of Envoy's messages."""


def address(host: str, port: int) -> dict[str, Any]:
    """A TCP address."""
    return {"socket_address": {"address": host, "port_value": port}}


def grpc_cluster(name: str, port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    """A cluster of one gRPC server."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}],
        },
    }
