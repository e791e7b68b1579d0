from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpuassay.discovery.preflight import Preflight, preflight
from gpuassay.discovery.reading import Reading
from gpuassay.manifest import Manifest
from gpuassay.provision.registry import components
from tests.discovery.stub import Stub, endpoints, named, node

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
CURED = "Kueue is not running: gpuassay remove --force kueue clears away what is left of it"


def look(objects: dict[str, list[Manifest]], **more: Any) -> Preflight:
    return preflight(Reading(Stub("v1.34.1", objects, **more)), components().values(), NOW)


def lines(objects: dict[str, list[Manifest]], **more: Any) -> list[str]:
    found = [str(one) for one in look(objects, **more).troubles]
    assert not any("\n" in one for one in found)
    return found


def hook(namespace: str, service: str, policy: str = "Fail") -> Manifest:
    asked = {"service": {"namespace": namespace, "name": service}}
    return named(
        "hooks", webhooks=[{"clientConfig": asked, "failurePolicy": policy, "rules": [{"resources": ["jobs"]}]}]
    )


def gone(name: str, namespace: str = "", ago: float = 300, **meta: Any) -> Manifest:
    when = (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return named(name, namespace, metadata={"deletionTimestamp": when, **meta})


def test_a_sound_cluster_has_no_troubles() -> None:
    found = look({
        "/api/v1/nodes": [node("a")], HOOKS: [hook("kueue-system", "webhook"), named("by-url", webhooks=[])],
        SLICES: [endpoints("kueue-system", "webhook")], APIS: [named("v1.apps", spec={"group": "apps"})],
    })  # fmt: skip
    assert found == Preflight((), ())


def test_nodes_that_are_not_ready_are_named_with_the_reason() -> None:
    [line] = lines({"/api/v1/nodes": [node("a"), node("b", ready=False)]})
    assert line.startswith("node b is not ready: Kubelet stopped posting node status. -> see kubectl describe node b")


@pytest.mark.parametrize("slices", [[], [endpoints("kueue-system", "webhook", ready=False)]])
def test_a_webhook_of_a_dead_kueue_is_named_with_its_cure(slices: list[Manifest]) -> None:
    [line] = lines({HOOKS: [hook("kueue-system", "webhook")], SLICES: slices})
    assert "Service kueue-system/webhook has no ready endpoint" in line
    assert "every change of jobs that it is asked about is refused" in line and line.endswith(f"-> {CURED}")


def test_a_webhook_of_a_kueue_that_somebody_runs_is_theirs_to_mend() -> None:
    [line] = lines({HOOKS: [hook("kueue-system", "webhook")], "/api/v1/pods": [named("manager", "kueue-system")]})
    assert line.endswith("-> Kueue still has pods: see kubectl get pods -n kueue-system, and their logs")


def test_somebodys_webhook_is_told_with_what_is_left_to_do() -> None:
    [line] = lines({HOOKS: [hook("policies", "gate", "Ignore")]})
    assert "requests are let through, late" in line
    assert line.endswith("or, if that is gone for good: kubectl delete validatingwebhookconfigurations hooks")


def test_an_endpoint_that_says_nothing_counts_as_ready() -> None:
    assert not lines({HOOKS: [hook("a", "b")], SLICES: [endpoints("a", "b", ready=None)]})


def test_no_webhook_is_called_dead_where_endpoints_may_not_be_read() -> None:
    found = look({HOOKS: [hook("a", "b")]}, refused=[SLICES])
    assert found == Preflight((), ("no right to read: endpointslices.discovery.k8s.io",))


def test_an_api_without_a_server_is_named() -> None:
    spec = {"group": "visibility.kueue.x-k8s.io", "service": {"namespace": "kueue-system", "name": "visibility"}}
    [line] = lines({APIS: [named("v1beta2.visibility.kueue.x-k8s.io", spec=spec)]})
    assert "APIService v1beta2.visibility.kueue.x-k8s.io is not available" in line and line.endswith(CURED)


def test_an_api_whose_server_answers_wrongly_is_told_in_its_words() -> None:
    state = {"type": "Available", "status": "False", "message": "failing or missing response from https://10.0.0.9:443"}
    spec = {"group": "metrics.k8s.io", "service": {"namespace": "kube-system", "name": "metrics-server"}}
    api = named("v1beta1.metrics.k8s.io", spec=spec, status={"conditions": [state]})
    [line] = lines({APIS: [api], SLICES: [endpoints("kube-system", "metrics-server")]})
    assert "failing or missing response" in line and "kubectl delete apiservice v1beta1.metrics.k8s.io" in line


def test_a_namespace_that_does_not_go_is_told_with_what_holds_it() -> None:
    said = (
        "Some content in the namespace has finalizers remaining: kueue.x-k8s.io/resource-in-use in 1 resource instances"
    )
    states = [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": said}]
    one = gone("tenant") | {"status": {"phase": "Terminating", "conditions": states}}
    [line] = lines({"/api/v1/namespaces": [one]})
    assert line == f"namespace tenant has been terminating for 300 s: {said} -> {CURED}"


def test_an_object_that_does_not_go_is_told_with_its_finalizers() -> None:
    objects: dict[str, list[Manifest]] = {
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": [
            named("things.example.org", spec={"group": "example.org", "names": {"plural": "things"}})
        ],
        "/apis/example.org/v1/things": [gone("mine", "a", 7200, finalizers=["example.org/hold"])],
        "/api/v1/pods": [gone("late", "a", 10, finalizers=["example.org/hold"]), gone("slow", "a", 900)],
    }
    [line] = lines(objects, groups={"example.org": ["v1"]})
    assert "things.example.org a/mine has been terminating for 120 min: held by finalizers example.org/hold" in line
    assert "kubectl patch things.example.org mine -n a --type merge" in line


def test_secrets_are_never_read() -> None:
    stub = Stub("v1.34.1", {})
    preflight(Reading(stub), components().values(), NOW)
    assert not any("secrets" in path for path in stub.asked)


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OLDER, NEWER = "inference.networking.x-k8s.io", "llm-d.ai"


def definition(group: str) -> Manifest:
    return named(f"inferenceobjectives.{group}", spec={"group": group, "names": {"plural": "inferenceobjectives"}})


@pytest.mark.parametrize(
    ("groups", "objects", "troubles"), [((OLDER, NEWER), 2, 1), ((OLDER, NEWER), 0, 0), ((OLDER,), 2, 0)]
)
def test_objects_that_the_newer_of_two_definitions_makes_void_are_named(
    groups: tuple[str, ...], objects: int, troubles: int
) -> None:
    """Red when a cluster with both definitions loses its objectives in silence, or one with one is accused."""
    path = f"/apis/{OLDER}/v1alpha2/inferenceobjectives"
    found = lines(
        {DEFINITIONS: [definition(one) for one in groups], path: [named("gold", "models")] * objects},
        groups={OLDER: ["v1alpha2"]},
    )
    assert len(found) == troubles
    for line in found:
        assert "models/gold and 1 more of the former has no effect there" in line
        assert line.endswith(f"kubectl delete crd inferenceobjectives.{OLDER}")
