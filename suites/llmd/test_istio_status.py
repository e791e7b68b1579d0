"""What Istio says of a gateway: conditions of every object, with good references and with each kind of broken one.

A user reads these conditions and believes them. Each broken reference is made, looked at and mended before the next, on
one gateway that goes on serving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpuassay import MUST, Measure, behaviour, known_defect, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.istio import NEEDS, Mesh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import istio_objects as objects
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.judge.gateway_status import NO_PARENT, Wanted, status_findings
from gpuassay.systems.llmd.readings import RoutingRecording

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

GATEWAY_API = "https://gateway-api.sigs.k8s.io/reference/spec/"
POOL_STATUS = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/#inferencepoolstatus"
NOT_FOLLOWED = (
    "https://github.com/istio/istio/blob/eed52ebb66ad/pilot/pkg/config/kube/gateway/inferencepool_collection.go#L444"
)
ENDPOINTS_NOT_FOLLOWED = "https://github.com/istio/istio/blob/eed52ebb66ad/pilot/pkg/model/push_context.go#L1462"

POOL = "InferencePool/simulated"
ROUTED = {"Accepted": "True", "ResolvedRefs": "True"}
GOOD: Wanted = {
    "GatewayClass/istio": {"Accepted": "True"},
    "Gateway/gateway": {"Accepted": "True", "Programmed": "True"},
    "HTTPRoute/gateway": ROUTED,
    POOL: ROUTED,
}
LOST = {"Accepted": "True", "ResolvedRefs": "False/BackendNotFound"}
BROKEN: dict[str, Wanted] = {
    "pool-missing": {"HTTPRoute/lost": LOST, POOL: ROUTED},
    "service-missing": {"HTTPRoute/lost": LOST, POOL: ROUTED},
    "picker-service-missing": {POOL: {"ResolvedRefs": "False/InvalidExtensionRef"}},
    "no-endpoints": {"Gateway/gateway": {"Accepted": "True", "Programmed": "False/AddressNotAssigned"}},
    "front-missing": {"Gateway/gateway": {"Accepted": "True", "Programmed": "False/AddressNotUsable"}},
}
ARM = Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY, gateway="istio")
LOST_HEADER = {"x-way": "lost"}
SAID_SECONDS = 2.0
"""For a condition to follow a change: measured 0.1 to 0.2 s."""


@scenario(system="routing", needs=NEEDS, timeout=90)
def references(lab: RoutingLab) -> None:
    """Valid references are broken and repaired one by one; at last the pool's route is deleted and re-created."""
    with opened(lab, ARM) as site:
        mesh, calls = Mesh(site), Calls(site)
        mesh.observe("good", GOOD)
        calls.many("good", 6)
        for step, backend in (
            ("pool-missing", objects.pool_backend("absent")),
            ("service-missing", objects.service_backend("absent", 80)),
        ):
            mesh.route("lost", [backend], LOST_HEADER)
            mesh.observe(step, BROKEN[step])
            calls.until(f"{step}/lost", lambda row: row.status == 500, seconds=3, headers=LOST_HEADER)
            calls.many(f"{step}/others", 4)
            mesh.delete("HTTPRoute", "lost")
        mesh.delete("Service", mesh.gateway.setup.picker_service)
        mesh.observe("picker-service-deleted", BROKEN["picker-service-missing"], SAID_SECONDS)
        mesh.touch_pool("service deleted")
        mesh.observe("picker-service-missing", BROKEN["picker-service-missing"])
        mesh.mend()
        mesh.observe("picker-service-made", GOOD, SAID_SECONDS)
        mesh.touch_pool("service made")
        mesh.observe("picker-service-back", GOOD)
        front = objects.FRONT
        mesh.gateway.write([objects.endpoint_slice(front, front, mesh.namespace, [], mesh.gateway.plan.listener)])
        mesh.observe("endpoints-gone", BROKEN["no-endpoints"], SAID_SECONDS)
        mesh.gateway.write([objects.service("unrelated", mesh.namespace, 80)])
        mesh.observe("no-endpoints", BROKEN["no-endpoints"])
        mesh.delete("Service", front)
        mesh.observe("front-missing", BROKEN["front-missing"])
        mesh.mend()
        mesh.observe("mended", GOOD)
        mesh.delete("HTTPRoute", objects.GATEWAY)
        mesh.observe("released", {POOL: NO_PARENT})
        mesh.mend()
        mesh.observe("taken", GOOD)
        mesh.nudge()  # a push that is too early is judged elsewhere
        calls.until("taken", lambda row: row.asked_picker, seconds=5)
        calls.many("taken/all", 6)
        mesh.note_refusals()


def _expected(recording: RoutingRecording, step: str, wanted: Wanted, measure: Measure) -> None:
    measure.value(took_s=recording.note(notes.TOOK)[step])
    assert not status_findings(recording.note(notes.PICTURES)[step], wanted)
    assert recording.note(notes.TOOK)[step] <= SAID_SECONDS


@pytest.mark.parametrize("step", ["good", "picker-service-back", "mended", "taken"])
@behaviour(
    "llmd.istio.good-references", level=MUST, spec=GATEWAY_API, timed=True,
    red_when="istiod does not report valid references as such, or not again once they are repaired",
    mutant="istio-without-inference",
)  # fmt: skip
def test_good_references_are_said_to_be(references: RoutingRecording, step: str, measure: Measure) -> None:
    """With valid or repaired references, class and route are accepted, the gateway programmed, the pool resolved."""
    _expected(references, step, GOOD, measure)


@pytest.mark.parametrize("step", BROKEN)
@behaviour(
    "llmd.istio.broken-references", level=MUST, spec=GATEWAY_API, timed=True,
    red_when="a dangling reference is reported as valid, or with another reason",
    mutant="istio-never-told",
)  # fmt: skip
def test_a_broken_reference_is_named(references: RoutingRecording, step: str, measure: Measure) -> None:
    """For a missing pool, Service, EPP Service, gateway endpoint or gateway Service, the right status says why."""
    _expected(references, step, BROKEN[step], measure)


@pytest.mark.parametrize(
    ("step", "wanted"), [("picker-service-deleted", BROKEN["picker-service-missing"]), ("picker-service-made", GOOD)],
    ids=["deleted", "made"],
)  # fmt: skip
@known_defect(
    NOT_FOLLOWED, "the picker's Service is looked up without being followed: only a change of the pool tells",
    shows="ResolvedRefs=(False/InvalidExtensionRef, seen True|True, seen False/InvalidExtensionRef)",
)  # fmt: skip
@behaviour(
    "llmd.istio.picker-service-followed", level=MUST, spec=POOL_STATUS,
    red_when="a pool is reported as resolved though its EPP's Service is gone, or as unresolved though it is back",
)  # fmt: skip
def test_the_pool_follows_its_pickers_service(
    references: RoutingRecording, step: str, wanted: Wanted, measure: Measure
) -> None:  # fmt: skip
    """Deleting or re-creating the EPP's Service changes the status of the unchanged InferencePool within 2 s."""
    _expected(references, step, wanted, measure)


@known_defect(
    ENDPOINTS_NOT_FOLLOWED, "a gateway's endpoints are looked at again when some Service changes, not when they do",
    shows="expected Programmed=False/AddressNotAssigned, seen True",
)  # fmt: skip
@behaviour(
    "llmd.istio.gateway-endpoints-followed", level=MUST, spec=GATEWAY_API,
    red_when="a Gateway is reported as Programmed although its Service has no endpoint left",
)  # fmt: skip
def test_the_gateway_follows_its_endpoints(references: RoutingRecording, measure: Measure) -> None:
    """Within 2 s of its Service's losing the last endpoint, a Gateway is no longer reported as Programmed."""
    _expected(references, "endpoints-gone", BROKEN["no-endpoints"], measure)


@behaviour(
    "llmd.istio.pool-released", level=MUST, spec=POOL_STATUS, timed=True,
    red_when="a pool's status still names a parent after its last route was deleted", mutant="istio-never-told",
)  # fmt: skip
def test_a_pool_without_route_names_no_parent(references: RoutingRecording, measure: Measure) -> None:
    """Within 2 s of the deletion of the last route to a pool, its status no longer names a parent."""
    assert not status_findings(references.note(notes.PICTURES)["mended"], {POOL: ROUTED})
    _expected(references, "released", {POOL: NO_PARENT}, measure)


@pytest.mark.parametrize("step", ["pool-missing", "service-missing"])
@behaviour(
    "llmd.istio.lost-route-refuses", level=MUST, spec=f"{GATEWAY_API}#httprouterule", timed=True,
    red_when="a route with a missing backend answers anything but 500, or disturbs other routes",
    mutant="istio-never-told",
)  # fmt: skip
def test_a_route_to_nowhere_refuses_only_its_own(references: RoutingRecording, step: str) -> None:
    """Requests to a route with a missing backend get 500, while those to a valid route go through the EPP."""
    assert not gateway.refused_findings(references.asks(f"{step}/lost")[-1:], 1.0, [500])
    assert not routing.failure_findings(references.asks(f"{step}/others"))
    assert not routing.asked_findings(references.asks(f"{step}/others"))


@pytest.mark.parametrize("wave", ["good", "taken/all"])
@behaviour(
    "llmd.istio.picker-is-asked", level=MUST, spec=POOL_STATUS, timed=True,
    red_when="all conditions are good while requests bypass the endpoint picker", mutant="istio-picker-cut-out",
)  # fmt: skip
def test_good_conditions_go_with_the_picker(references: RoutingRecording, wave: str) -> None:
    """With all conditions good, every response carries the EPP's header, before and after the route is re-created."""
    assert not routing.failure_findings(references.asks(wave))
    assert not routing.asked_findings(references.asks(wave))


@behaviour(
    "llmd.istio.nothing-refused", level=MUST, spec="https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol",
    red_when="Envoy rejects part of the configuration that istiod sends", mutant="istio-own-filters",
)  # fmt: skip
def test_envoy_takes_all_that_istiod_sends(references: RoutingRecording) -> None:
    """Istiod logs no xDS rejection, although Envoy is upstream's build and not Istio's own."""
    assert references.note(notes.XDS_REFUSALS) == []
