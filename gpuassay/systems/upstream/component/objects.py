"""What stands around the conformance tests, as data: Istio's control plane and two gateways, all in pods.

The gateways' Services and Pods are written by hand, as Istio's deployment controller would name them: it would take
images of Istio's own. So is the address that a load balancer would give.

Sources: Istio's reference of pilot-discovery; Gateway API, Gateway infrastructure; the tests' own resources/base.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.gateway import ads
from gpuassay.systems.llmd.gateway.istio_objects import CLASS, GATEWAY_LABEL, of_kind
from gpuassay.systems.llmd.gateway.istiod import ENVIRONMENT
from gpuassay.systems.upstream.component import images
from gpuassay.workloads.containers import NODE, pod, probe

INFRASTRUCTURE = "inference-conformance-infra"
BACKEND = "inference-conformance-app-backend"
NAMESPACES = (INFRASTRUCTURE, BACKEND)
"""Namespaces of upstream's base manifests."""
GATEWAYS = ("conformance-primary", "conformance-secondary")
"""Gateways of upstream's base manifests, in `INFRASTRUCTURE`; their listeners have port 80."""

HTTP, XDS, ADMIN = 8080, 15010, 15000
"""Ports of istiod's readiness and of its xDS, and of an Envoy's admin interface, each in its pod."""

DEBOUNCE = "1s"
"""How long istiod gathers changes before it tells Envoys. With its default of 100 ms, routes that come and go as these
tests make them lose their picker on a busy machine (docs/findings.md: `llmd.istio.route-swapped-at-once`)."""

_APP = "gpuassay.io/gateway"
"""Label by which a gateway's Service finds its Pod, whatever becomes of the label that Istio goes by."""


def istiod(namespace: str, name: str = "istiod") -> Manifest:
    """Pod of Istio's control plane, with all rights of its namespace's ServiceAccount `default`."""
    environment = {
        **ENVIRONMENT, "POD_NAMESPACE": namespace, "POD_NAME": name, "PILOT_DEBOUNCE_AFTER": DEBOUNCE,
    }  # fmt: skip
    command = [
        "discovery", "--kubeconfig", images.KUBECONFIG, "--meshConfig", images.MESH,
        "--networksConfig", "/none", "--httpAddr", f":{HTTP}", "--grpcAddr", f":{XDS}", "--secureGRPCAddr", "",
        "--httpsAddr", "", "--ctrlz_address", "127.0.0.1", "--shutdownDuration", "0s",
        "--kubernetesApiQPS", "200", "--kubernetesApiBurst", "400",
    ]  # fmt: skip
    env = [{"name": key, "value": value} for key, value in environment.items()]
    return _pod(name, namespace, images.ISTIOD, command, env, probe("/ready", HTTP))


def gateway(name: str, control_plane: str) -> Manifest:
    """Pod of a gateway: a stock Envoy that has everything from istiod at the address `control_plane`."""
    node = ads.Node(gateway=name, namespace=INFRASTRUCTURE, address="$(POD_IP)", xds=XDS, host=control_plane)
    bootstrap = ads.bootstrap(node, ADMIN)
    bootstrap["admin"]["address"]["socket_address"]["address"] = "0.0.0.0"  # of the pod: for its readiness probe
    command = ["--config-yaml", json.dumps(bootstrap), "--use-dynamic-base-id", "--concurrency", "1"]
    env = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    made = _pod(name, INFRASTRUCTURE, images.ENVOY, command, env, probe("/ready", ADMIN))
    made["metadata"]["labels"] = {GATEWAY_LABEL: name, _APP: name}
    return made


def _pod(
    name: str, namespace: str, image: str, args: Sequence[str], env: Sequence[Mapping[str, Any]], ready: Manifest
) -> Manifest:
    container = {
        "name": "main", "image": image, "imagePullPolicy": "Never", "args": list(args), "env": list(env),
        "readinessProbe": ready,
    }  # fmt: skip
    return pod(name, namespace, node=NODE, containers=[container])


def front(name: str) -> Manifest:
    """Service of a gateway, as Istio's deployment controller would make it; its address is written by `address`."""
    made = of_kind("Service", f"{name}-{CLASS}", INFRASTRUCTURE, {
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": False,
        "selector": {_APP: name},
        "ports": [{"name": "http", "port": 80, "targetPort": 80, "appProtocol": "http"}],
    })  # fmt: skip
    made["metadata"]["labels"] = {GATEWAY_LABEL: name}
    return made


def address(ip: str) -> Manifest:
    """Status of such a Service, as a load balancer would write it."""
    return {"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}}


def namespace(name: str) -> Manifest:
    """A namespace of upstream's, made beforehand for what must stand in it before the tests begin."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def all_rights(name: str, namespace: str) -> Manifest:
    """ClusterRoleBinding: ServiceAccount `default` of the namespace may do everything."""
    return _binding("ClusterRoleBinding", {"name": name}, "ClusterRole", "cluster-admin", namespace)


def picker_rights() -> list[Manifest]:
    """What llm-d's endpoint picker reads beyond the light one, for which upstream's base manifests give rights."""
    name = "llm-d-endpoint-picker"
    role = of_kind("Role", name, BACKEND) | {
        "rules": [
            {"apiGroups": ["inference.networking.x-k8s.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        ]
    }
    return [role, _binding("RoleBinding", {"name": name, "namespace": BACKEND}, "Role", name, BACKEND)]


def _binding(kind: str, metadata: Manifest, role_kind: str, role: str, namespace: str) -> Manifest:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
