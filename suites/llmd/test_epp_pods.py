"""EPP core: who is in the pool. A picker follows Pods and InferencePool within a second, in both directions.

An endpoint is asked for where it is the only one that the gateway allows: it is picked, or the request is refused.
"""

from __future__ import annotations

import pytest

from gpuassay import MUST, SHOULD, Measure, behaviour
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.epp import Asking, asking, follow, follow_gauge, follow_health, where_possible
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component import crds, endpoints
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.epp_requests import small
from suites.llmd.epps import per_epp

POOL = "https://gateway-api-inference-extension.sigs.k8s.io/api-types/inferencepool/"
POD = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"

LIMIT = 1.0
"""Seconds within which a change shows in the picker's choices."""
HOLD = "gpuassay.io/hold"


def _pods(epp: Asking) -> None:
    """Pods change; each change is followed by the one that undoes it."""
    routing = epp.site.routing
    hands, (first, second, third) = routing.endpoints, epp.site.replicas
    follow(epp, "not ready", lambda: hands.set_ready(first.name, False), out=[first.endpoint], into=[second.endpoint])
    follow_gauge(epp, "not ready", 2)
    follow(epp, "ready again", lambda: hands.set_ready(first.name, True), into=[first.endpoint])
    follow_gauge(epp, "ready again", 3)

    follow(epp, "label lost", lambda: hands.set_labels(second.name, {"app": None}), out=[second.endpoint])
    follow(epp, "label back", lambda: hands.set_labels(second.name, hands.selector), into=[second.endpoint])

    moved = third.address.rpartition(".")[0] + ".201"
    there, here = [f"{moved}:{third.port}"], [third.endpoint]
    with where_possible(epp.site.lab, *MOVING["address"]):
        follow(epp, "address changed", lambda: hands.set_address(third.name, moved), into=there, out=here)
        follow(epp, "address back", lambda: hands.set_address(third.name, third.address), into=here, out=there)

    there, here = [f"{first.address}:{second.port}"], [first.endpoint]
    follow(epp, "port changed", lambda: hands.set_active_ports(first.name, [second.port]), into=there, out=here)
    follow(epp, "port back", lambda: hands.set_active_ports(first.name, [first.port]), into=here, out=there)

    follow(epp, "deleted", lambda: hands.delete(third.name), out=[third.endpoint], into=[first.endpoint])
    follow_gauge(epp, "deleted", 2)
    follow(epp, "made again", lambda: hands.restore(third.name), into=lambda: [third.endpoint])
    follow_gauge(epp, "made again", 3)

    api, space = epp.site.lab.api, routing.namespace
    api.patch("Pod", second.name, {"metadata": {"finalizers": [HOLD]}}, space)
    follow(epp, "being deleted", lambda: hands.delete(second.name), out=[second.endpoint])
    api.patch("Pod", second.name, {"metadata": {"finalizers": None}}, space)
    epp.site.lab.until(lambda: api.get("Pod", second.name, space) is None, "the Pod to be gone")
    follow(epp, "made after deletion", lambda: hands.restore(second.name), into=lambda: [second.endpoint])


def _pool(epp: Asking) -> None:
    """The InferencePool changes, is deleted and comes back."""
    routing = epp.site.routing
    hands, (first, second, third) = routing.endpoints, epp.site.replicas
    ports = [replica.port for replica in epp.site.replicas]
    before = hands.manifest()
    assert before is not None

    def write(ports: list[int], selector: dict[str, str]) -> None:
        wanted = endpoints.pool(routing.pool, routing.namespace, ports, selector, epp.picker.port, "FailClose")
        wanted["metadata"]["labels"] = before["metadata"].get("labels", {})
        epp.site.lab.api.apply(wanted)

    hands.set_labels(second.name, {"tier": "chosen"})
    follow(
        epp, "selector changed", lambda: write(ports, {"tier": "chosen"}),
        into=[second.endpoint], out=[first.endpoint, third.endpoint],
    )  # fmt: skip
    every = [first.endpoint, second.endpoint, third.endpoint]
    follow(epp, "selector back", lambda: write(ports, hands.selector), into=every)

    follow(epp, "target port dropped", lambda: write(ports[1:], hands.selector), out=every[:1], into=every[1:])
    follow(epp, "target port back", lambda: write(ports, hands.selector), into=every)

    follow_health(epp, "pool there", "SERVING")
    follow(
        epp, "pool deleted",
        lambda: epp.site.lab.api.delete(crds.INFERENCE_POOL.name, routing.pool, routing.namespace), out=every,
    )  # fmt: skip
    follow_health(epp, "pool deleted", "NOT_SERVING")
    follow(epp, "pool made again", lambda: write(ports, hands.selector), into=every)
    follow_health(epp, "pool made again", "SERVING")


@per_epp(timeout=25)
def pool_changes(lab: RoutingLab, picker: str) -> None:
    """Pods and InferencePool change one after the other, and after each change the EPP's picks are checked."""
    with opened(lab, small(picker, profile="random")) as site, asking(site) as epp:
        follow(epp, "start", lambda: None, into=[replica.endpoint for replica in site.replicas])
        _pods(epp)
        _pool(epp)


def _judge(recording: RoutingRecording, measure: Measure, *names: str) -> list[str]:
    for name, why in recording.note(notes.NOT_POSSIBLE).items():
        if name in names:
            pytest.skip(f"from outside: {why}")
    changes = [one for one in recording.note(notes.CHANGES) if one["what"] in names]
    measure.value(slowest_s=max((one["seconds"] for one in changes if one["seconds"] is not None), default=None))
    measure.threshold(LIMIT)
    missing = [name for name in names if name not in {one["what"] for one in changes}]
    return [f"never tried: {name}" for name in missing] + judge.change_findings(changes, LIMIT)


LEAVING = {
    "not-ready": "not ready",
    "label-lost": "label lost",
    "deleted": "deleted",
    "being-deleted": "being deleted",
    "selector-changed": "selector changed",
    "target-port-dropped": "target port dropped",
}
COMING = {
    "ready-again": "ready again",
    "label-back": "label back",
    "made-again": "made again",
    "made-after-deletion": "made after deletion",
    "selector-back": "selector back",
    "target-port-back": "target port back",
}
MOVING = {"address": ("address changed", "address back"), "port": ("port changed", "port back")}


@pytest.mark.parametrize("change", LEAVING)
@behaviour(
    "llmd.epp-pods.leaving", level=MUST, spec=POOL, mutant="epp-forgets-nothing", timed=True,
    red_when="an endpoint is still picked a second after it has left the pool",
)  # fmt: skip
def test_an_endpoint_that_leaves_is_not_picked(pool_changes: RoutingRecording, change: str, measure: Measure) -> None:
    """An endpoint that leaves the pool in any way is no longer picked after 1 s, while the remaining ones still are."""
    assert not _judge(pool_changes, measure, LEAVING[change])


@pytest.mark.parametrize("change", COMING)
@behaviour(
    "llmd.epp-pods.coming", level=MUST, spec=POOL, mutant="epp-learns-nothing", timed=True,
    red_when="an endpoint is still not picked a second after it has joined the pool",
)  # fmt: skip
def test_an_endpoint_that_comes_is_picked(pool_changes: RoutingRecording, change: str, measure: Measure) -> None:
    """An endpoint that joins the pool in any way is picked within 1 s."""
    assert not _judge(pool_changes, measure, COMING[change])


@pytest.mark.parametrize("what", MOVING)
@behaviour(
    "llmd.epp-pods.moving", level=MUST, spec=POD, mutant="epp-forgets-nothing", timed=True,
    red_when="requests still go to the former address or port of a Pod",
)  # fmt: skip
def test_an_endpoint_that_moves_is_picked_where_it_is(
    pool_changes: RoutingRecording, what: str, measure: Measure
) -> None:
    """Within 1 s of a change of a Pod's address or serving port, the new endpoint is picked and the old one is not."""
    assert not _judge(pool_changes, measure, *MOVING[what])


@behaviour(
    "llmd.epp-pods.pool-deleted", level=MUST, spec=POOL, mutant="epp-forgets-nothing", timed=True,
    red_when="endpoints are picked after their InferencePool was deleted, or not after it was re-created",
)  # fmt: skip
def test_a_deleted_pool_has_no_endpoints(pool_changes: RoutingRecording, measure: Measure) -> None:
    """Within 1 s of deleting the InferencePool no endpoint is picked, and within 1 s of re-creating it all are."""
    assert not _judge(pool_changes, measure, "pool deleted", "pool made again")


@behaviour(
    "llmd.epp-pods.health-follows-pool", level=MUST, spec=POOL, mutant="epp-always-healthy", timed=True,
    red_when="an endpoint picker reports SERVING without its InferencePool, or NOT_SERVING with it",
)  # fmt: skip
def test_health_follows_the_pool(pool_changes: RoutingRecording) -> None:
    """The health service reports SERVING while the InferencePool exists, and NOT_SERVING while it does not."""
    assert not judge.change_findings(pool_changes.note(notes.HEALTHS), LIMIT)


@behaviour(
    "llmd.epp-pods.gauge-follows", level=SHOULD, spec=POOL, mutant="epp-counters-stuck", timed=True,
    red_when="the metric of ready endpoints does not follow the pool",
)  # fmt: skip
def test_the_count_of_ready_endpoints_follows(pool_changes: RoutingRecording) -> None:
    """The metric of ready endpoints follows Pods that become unready, ready, deleted or re-created within 1 s."""
    assert not judge.change_findings(pool_changes.note(notes.GAUGES), LIMIT)
