"""Bootstrap of an Envoy that has everything from a control plane by ADS: who it is, and where that is.

Source: Istio's node metadata (Proxy.Metadata) and Envoy's v3 bootstrap; state of the world, one stream for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuassay.systems.llmd.gateway.parts import address, grpc_cluster

VERSION = "1.31.0"
"""Version of Istio that the Envoy says it belongs to; istiod then leaves out what older proxies need."""

_XDS = "xds-grpc"


@dataclass(frozen=True)
class Node:
    """Who an Envoy says it is.

    Attributes:
        gateway: name of its Gateway and of its Pod.
        namespace: of both.
        address: the Pod's address.
        xds: port of the control plane.
        host: its address.
    """

    gateway: str
    namespace: str
    address: str
    xds: int
    host: str = "127.0.0.1"


def bootstrap(node: Node, admin: int) -> dict[str, Any]:
    """The whole bootstrap; `admin` is the port of the admin interface."""
    source: dict[str, Any] = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    stream = {"envoy_grpc": {"cluster_name": _XDS}}
    return {
        "node": {
            "id": f"router~{node.address}~{node.gateway}.{node.namespace}~{node.namespace}.svc.cluster.local",
            "cluster": f"{node.gateway}.{node.namespace}",
            "metadata": {
                "CLUSTER_ID": "Kubernetes",
                "NAMESPACE": node.namespace,
                "NAME": node.gateway,
                "ISTIO_VERSION": VERSION,
                "INSTANCE_IPS": node.address,
                "SERVICE_ACCOUNT": "default",
                "MESH_ID": "cluster.local",
                "LABELS": {"gateway.networking.k8s.io/gateway-name": node.gateway},
            },
        },
        "admin": {"address": address("127.0.0.1", admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [stream],
            },
            "lds_config": source,
            "cds_config": source,
        },
        "static_resources": {"clusters": [grpc_cluster(_XDS, node.xds, node.host)]},
    }
