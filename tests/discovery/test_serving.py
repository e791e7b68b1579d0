from __future__ import annotations

from typing import Any

from gpuassay.discovery.discover import discover
from gpuassay.discovery.facts import Discovered, GatewayClass
from gpuassay.manifest import Manifest
from tests.discovery.stub import Stub, named

GATEWAYS, OPERATOR = "gateway.networking.k8s.io", "monitoring.coreos.com"


def look(objects: dict[str, list[Manifest]], **more: Any) -> Discovered:
    return discover(Stub("v1.34.1", objects, **more))


def test_gateway_classes_are_told_with_their_controllers() -> None:
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    classes = [
        named("istio", spec={"controllerName": "istio.io/gateway-controller"}, status=accepted),
        named("eg", spec={"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}),
    ]
    found = look({f"/apis/{GATEWAYS}/v1/gatewayclasses": classes}, groups={GATEWAYS: ["v1"]})
    assert found.gateway_classes == (
        GatewayClass("eg", "gateway.envoyproxy.io/gatewayclass-controller", False),
        GatewayClass("istio", "istio.io/gateway-controller", True),
    )


def test_a_cluster_without_the_gateway_api_has_no_classes() -> None:
    assert look({}).gateway_classes == ()


def test_prometheus_of_the_operator_is_named() -> None:
    path = f"/apis/{OPERATOR}/v1/prometheuses"
    found = look({path: [named("k8s", "monitoring")]}, groups={OPERATOR: ["v1"]})
    assert found.prometheus == ("managed by the Prometheus operator (monitoring/k8s)",)


def test_prometheus_without_an_operator_is_found_by_its_pods() -> None:
    pods = [named(f"p-{i}", "metrics", metadata={"labels": {"app.kubernetes.io/name": "prometheus"}}) for i in (1, 2)]
    assert look({"/api/v1/pods": pods}).prometheus == ("without an operator (namespace metrics)",)


def test_none_is_said_only_where_everything_was_looked_at() -> None:
    assert look({}).prometheus == ()
    assert look({}, refused=["/api/v1/pods"]).prometheus is None
