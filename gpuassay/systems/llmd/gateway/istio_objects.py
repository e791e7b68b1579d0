"""What a gateway of Istio reads from the API, as data: Gateway, HTTPRoute, Services with their endpoints, filters.

The Services have no selector: no kubelet runs here, and the EndpointSlice controller leaves out Pods without a Node,
so their EndpointSlices are written by hand. Istio's own deployment of gateways is off (it needs a container image), so
the gateway's Pod and Service are written by hand as well, which the Gateway API calls a manual deployment.

Sources: Gateway API v1.6 (Gateway, HTTPRoute, ReferenceGrant), Gateway API Inference Extension v1.5 (InferencePool as a
backend), Istio's API reference (DestinationRule, EnvoyFilter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuassay.cluster.kinds import kind_of
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component import endpoints

CLASS = "istio"
"""GatewayClass that istiod makes and accepts by itself."""

GATEWAY = "gateway"
"""Name of the Gateway, of its Pod and of its HTTPRoute."""

FRONT = "front"
"""Name of the Service before the gateway."""

GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
"""Label of the gateway's Pod by which istiod knows to which Gateway it belongs."""

POOL_LABEL = "istio.io/inferencepool-name"
"""Label of the headless Service that istiod makes for each InferencePool that a route names."""

_NEVER_SCHEDULED = "gpuassay.io/none"


def of_kind(kind: str, name: str, namespace: str, spec: Mapping[str, Any] | None = None) -> Manifest:
    """An object with its kind's version; without `spec` none."""
    found: Manifest = {
        "apiVersion": kind_of(kind).version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
    }
    return found if spec is None else found | {"spec": dict(spec)}


def host(service: str, namespace: str) -> str:
    """Full DNS name of a Service."""
    return f"{service}.{namespace}.svc.cluster.local"


def gateway(namespace: str, port: int, name: str = GATEWAY, front: str = FRONT) -> Manifest:
    """A Gateway with one HTTP listener, deployed by hand behind the Service `front`."""
    listener = {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return of_kind("Gateway", name, namespace, {
        "gatewayClassName": CLASS,
        "addresses": [{"type": "Hostname", "value": host(front, namespace)}],
        "listeners": [listener],
    })  # fmt: skip


def pool_backend(pool: str, namespace: str | None = None, weight: int = 1) -> dict[str, Any]:
    """An InferencePool as the backend of a rule; in another namespace it needs a ReferenceGrant there."""
    found = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": pool, "weight": weight}
    return found if namespace is None else found | {"namespace": namespace}


def service_backend(service: str, port: int) -> dict[str, Any]:
    """A Service as the backend of a rule: no picker is asked."""
    return {"kind": "Service", "name": service, "port": port}


def rule(backends: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A rule of an HTTPRoute: requests with all of these headers (exact) go to one of the backends."""
    match: dict[str, Any] = {"path": {"type": "PathPrefix", "value": "/"}}
    if headers:
        match["headers"] = [{"type": "Exact", "name": name, "value": value} for name, value in headers.items()]
    return {"matches": [match], "backendRefs": [dict(backend) for backend in backends]}


def route(namespace: str, rules: Sequence[Mapping[str, Any]], name: str = GATEWAY, parent: str = GATEWAY) -> Manifest:
    """An HTTPRoute of the Gateway `parent`."""
    spec = {"parentRefs": [{"name": parent}], "rules": [dict(one) for one in rules]}
    return of_kind("HTTPRoute", name, namespace, spec)


def grant(namespace: str, routes_from: str) -> Manifest:
    """Leave for HTTPRoutes of the namespace `routes_from` to name InferencePools of `namespace`."""
    return of_kind("ReferenceGrant", f"from-{routes_from}", namespace, {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": routes_from}],
        "to": [{"group": "inference.networking.k8s.io", "kind": "InferencePool"}],
    })  # fmt: skip


def service(name: str, namespace: str, port: int, port_name: str = "http") -> Manifest:
    """A Service without selector."""
    ports = [{"name": port_name, "port": port, "targetPort": port, "protocol": "TCP"}]
    return of_kind("Service", name, namespace, {"ports": ports})


def endpoint_slice(
    name: str, of_service: str, namespace: str, addresses: Sequence[str], port: int, port_name: str = "http",
    pod: str | None = None,
) -> Manifest:  # fmt: skip
    """Ready endpoints of a Service, written by hand; without addresses it has none."""
    found = of_kind("EndpointSlice", name, namespace)
    found["metadata"]["labels"] = {"kubernetes.io/service-name": of_service}
    target = {} if pod is None else {"targetRef": {"kind": "Pod", "name": pod, "namespace": namespace}}
    return found | {
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}, **target} for one in addresses],
    }


def gateway_pod(namespace: str, name: str = GATEWAY) -> Manifest:
    """The Pod of a gateway, without status. Without its label everything is green and no picker is asked."""
    found = of_kind("Pod", name, namespace, {
        "schedulerName": _NEVER_SCHEDULED,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "envoy", "image": "gpuassay.io/envoy"}],
    })  # fmt: skip
    found["metadata"]["labels"] = {GATEWAY_LABEL: name}
    return found


def pod_status(address: str) -> Manifest:
    """The status of a Pod that is Ready, as a kubelet would write it."""
    return endpoints.running(address)


def tls_to_picker(service_name: str, namespace: str) -> Manifest:
    """A DestinationRule: the gateway speaks TLS to the picker and takes any certificate."""
    return of_kind("DestinationRule", service_name, namespace, {
        "host": host(service_name, namespace),
        "trafficPolicy": {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}},
    })  # fmt: skip


def filter_of(name: str, namespace: str, patches: Sequence[Mapping[str, Any]]) -> Manifest:
    """An EnvoyFilter: changes of what istiod sends to the gateways of this namespace."""
    return of_kind("EnvoyFilter", name, namespace, {"configPatches": [dict(one) for one in patches]})


def on_loopback(namespace: str, port: int) -> Manifest:
    """An EnvoyFilter that has the gateway listen on loopback only: by itself Istio takes all addresses."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return filter_of("on-loopback", namespace, [{
        "applyTo": "LISTENER",
        "match": {"context": "GATEWAY", "listener": {"portNumber": port}},
        "patch": {"operation": "MERGE", "value": {"address": address}},
    }])  # fmt: skip
