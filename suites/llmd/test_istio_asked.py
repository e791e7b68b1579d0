"""Is the picker really asked behind Istio? Set-ups under which everything looks well and it is not.

An answer of 200 does not tell, and no condition does; the mark that the picker puts on responses does. A route that is
replaced, a gateway Pod without its label, a picker that wants TLS, and two pools behind one rule.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuassay import INFO, MUST, SHOULD, Measure, behaviour, known_defect, scenario
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.istio import NEEDS, Mesh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import istio_objects as objects
from gpuassay.systems.llmd.judge import gateway, gateway_pools, routing
from gpuassay.systems.llmd.judge.gateway_status import Wanted, status_findings
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest
    from gpuassay.systems.llmd.acts.lab import RoutingLab

INFERENCE = "https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api-inference-extension/"
POOL_SPEC = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/"
ONE_PICKER = "https://github.com/istio/istio/issues/61594"
LABELS = "https://github.com/istio/istio/blob/eed52ebb66ad/pilot/pkg/networking/core/listener_builder.go#L490"

ARM = Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY, gateway="istio")
ASKS = 12
SWAPS = 10
SETTLE_ASKS = 16
"""Asks after a route was made again, 50 ms apart: istiod sends the change after 100 ms, its debounce, or a bit more."""
PUSH_SECONDS = 3.0
"""For a change of a route to reach Envoy: measured 0.1 to 0.2 s."""
WEIGHT = 70
WEIGHTED = 80
ROUTED = {"Accepted": "True", "ResolvedRefs": "True"}
HEALTHY: Wanted = {
    "Gateway/gateway": {"Accepted": "True", "Programmed": "True"},
    "HTTPRoute/gateway": ROUTED,
    "InferencePool/simulated": ROUTED,
}


def _asked(row: RequestRow) -> bool:
    return row.status == 200 and row.asked_picker


def _answered(row: RequestRow) -> bool:
    return row.status == 200


def _without_label(manifests: list[Manifest]) -> None:
    for one in manifests:
        if one["kind"] == "Pod":
            one["metadata"]["labels"] = {}


@scenario(system="routing", needs=NEEDS, timeout=30)
def unlabelled_pod(lab: RoutingLab) -> None:
    """A gateway whose Pod lacks the label with the Gateway's name."""
    with opened(lab, replace(ARM, change_objects=_without_label, probe=False)) as site:
        mesh, calls = Mesh(site), Calls(site)
        mesh.observe("healthy", HEALTHY)
        calls.until("first", _answered, seconds=3)
        calls.many("requests", ASKS)
        mesh.observe("still healthy", HEALTHY)


@scenario(system="routing", needs=NEEDS, timeout=90)
def route_swapped(lab: RoutingLab) -> None:
    """The only route to a pool is deleted and immediately re-created, then gets another rule, ten times."""
    with opened(lab, ARM) as site:
        mesh, calls = Mesh(site), Calls(site)
        for number in range(SWAPS):
            mesh.delete("HTTPRoute", objects.GATEWAY)
            mesh.route(objects.GATEWAY, [objects.pool_backend(site.routing.pool)])
            left = iter(range(SETTLE_ASKS))
            calls.until(f"swap {number}", lambda _, left=left: next(left, None) is None, seconds=5)
            mesh.observe(f"swap {number}", HEALTHY)
            mesh.nudge(number)
            calls.until(f"nudge {number}", _asked, seconds=PUSH_SECONDS, in_a_row=5, delay=0.05)
            calls.many("afterwards", 2)


@scenario(system="routing", needs=NEEDS, timeout=30)
def picker_with_tls(lab: RoutingLab) -> None:
    """The endpoint picker serves TLS, as it does by default: without a DestinationRule, then with one."""
    with opened(lab, replace(ARM, picker_flags=("--secure-serving=true",), probe=False)) as site:
        mesh, calls = Mesh(site), Calls(site)
        mesh.observe("without rule", HEALTHY)
        calls.until("without rule/first", lambda row: row.status is not None, seconds=3)
        calls.many("without rule", ASKS)
        mesh.gateway.write([objects.tls_to_picker(mesh.gateway.setup.picker_service, mesh.namespace)])
        calls.until("with rule/first", _asked, seconds=5)
        calls.many("with rule", ASKS)


@scenario(system="routing", needs=NEEDS, timeout=90)
def two_pools(lab: RoutingLab) -> None:
    """One gateway with two pools in two namespaces, selected by header, then by weights in one rule."""
    with (
        opened(lab, replace(ARM, gateway=None, pool="second", own_address=True), name="second") as second,
        opened(lab, ARM, name="first") as first,
    ):
        mesh, calls = Mesh(first), Calls(first)
        other = objects.pool_backend("second", second.routing.namespace)
        lab.note(notes.POOLS["first"], first.routing.namespace)
        lab.note(notes.POOLS["second"], second.routing.namespace)
        _join(mesh, second)
        mesh.route("by-header", [other], {"x-way": "by-header"})
        own = objects.pool_backend(first.routing.pool)
        mesh.route("by-weight", [other | {"weight": WEIGHT}, own | {"weight": 100 - WEIGHT}], {"x-way": "by-weight"})
        lab.until(lambda: mesh.gateway.shadow("second", second.routing.namespace) is not None, "the pool's Service")
        ports = [replica.port for replica in second.replicas]
        mesh.gateway.set_pool_members(
            "second", second.routing.namespace, ports, [replica.endpoint for replica in second.replicas]
        )
        for way in ("by-header", "by-weight"):
            calls.until(f"{way}/first", _answered, seconds=5, in_a_row=3, headers={"x-way": way})
        _scrape(first, second, "start")
        for wave, count, headers in (
            ("plain", ASKS, {}),
            ("by-header", ASKS, {"x-way": "by-header"}),
            ("by-weight", WEIGHTED, {"x-way": "by-weight"}),
        ):
            calls.many(wave, count, at_once=4, headers=headers)
            _scrape(first, second, wave)


def _join(mesh: Mesh, second: Deployment) -> None:
    """Have istiod see the second pool's namespace, with its picker at the machine's own address, and let routes in."""
    picker, space = second.routing.picker, second.routing.namespace
    assert picker is not None
    address, name = mesh.gateway.setup.address, f"{second.routing.pool}-picker"
    mesh.gateway.join(space)
    mesh.gateway.write([
        objects.service(name, space, picker.port, "grpc"),
        objects.endpoint_slice(name, name, space, [address], picker.port, "grpc"),
        objects.grant(space, mesh.namespace),
    ])  # fmt: skip


def _scrape(first: Deployment, second: Deployment, label: str) -> None:
    for name, site in (("first", first), ("second", second)):
        assert site.routing.picker is not None
        rows = site.routing.picker.metrics()
        first.lab.samples += [{"source": f"{name} picker", "label": label, **row} for row in rows]


@known_defect(
    LABELS, "istiod takes a gateway's labels from its Pod; without them the filter that asks is left out",
    shows=r"on all \d+ answers, missing on \d+: #\d+ : 200 by",
)  # fmt: skip
@behaviour(
    "llmd.istio.conditions-tell-of-bypass", level=SHOULD, spec=POOL_SPEC,
    red_when="Gateway, HTTPRoute and InferencePool all report good conditions while requests bypass the EPP",
)  # fmt: skip
def test_conditions_tell_when_the_picker_is_passed_by(unlabelled_pod: RoutingRecording, measure: Measure) -> None:
    """If a gateway answers without its EPP, some status condition reports that something is wrong."""
    rows = unlabelled_pod.asks("requests")
    measure.value(answered=len(routing.answered(rows)), asked_picker=sum(map(_asked, rows)), requests=len(rows))
    assert routing.answered(rows), "no request was answered, so none bypassed the endpoint picker"
    told = [
        status_findings(unlabelled_pod.note(notes.PICTURES)[step], HEALTHY) for step in ("healthy", "still healthy")
    ]
    assert any(told) or not routing.asked_findings(rows)


@known_defect(
    LABELS, "whether a gateway has a picker is read from the status of routes, which may come after the push",
    shows="route re-creations after which requests kept bypassing the EPP", racy=True,
)  # fmt: skip
@behaviour(
    "llmd.istio.route-swapped-at-once", level=MUST, spec=POOL_SPEC,
    red_when="after a route was deleted and immediately re-created, requests keep bypassing the endpoint picker",
)  # fmt: skip
def test_a_route_that_is_made_again_asks_the_picker(route_swapped: RoutingRecording, measure: Measure) -> None:
    """About a second after each of ten re-creations of a route, requests go through the endpoint picker."""
    swaps = [route_swapped.asks(f"swap {number}") for number in range(SWAPS)]
    by = [sum(_answered(row) and not _asked(row) for row in rows) for rows in swaps]
    lost = [number for number, rows in enumerate(swaps) if len(rows) < SETTLE_ASKS or not all(map(_asked, rows[-4:]))]
    measure.value(passed_by=sum(by), swaps_with_a_bypass=sum(map(bool, by)), still_at_the_end=len(lost), swaps=SWAPS)
    assert not lost, f"route re-creations after which requests kept bypassing the EPP: {lost}"


@behaviour(
    "llmd.istio.route-changed", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="after a route got another rule, requests are answered without the endpoint picker, or not at all",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_a_route_that_gets_a_rule_asks_the_picker(route_swapped: RoutingRecording) -> None:
    """Within 3 s of adding a rule to a route, five requests in a row go through the EPP, and so do later ones."""
    for number in range(SWAPS):
        rows = route_swapped.asks(f"nudge {number}")
        assert len(rows) >= 5
        assert not routing.asked_findings(rows[-5:])
    assert not routing.failure_findings(route_swapped.asks("afterwards"))
    assert not routing.asked_findings(route_swapped.asks("afterwards"))


@behaviour(
    "llmd.istio.tls-picker", level=MUST, spec=INFERENCE, timed=True,
    red_when="an EPP that serves TLS is not consulted although a DestinationRule sets TLS",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_a_picker_with_tls_is_asked(picker_with_tls: RoutingRecording) -> None:
    """With a DestinationRule that sets TLS, every request goes through an EPP that serves TLS."""
    assert not routing.failure_findings(picker_with_tls.asks("with rule"))
    assert not routing.asked_findings(picker_with_tls.asks("with rule"))


@behaviour(
    "llmd.istio.tls-picker-without-rule", level=INFO, spec=INFERENCE, timed=True,
    red_when="requests are served although the gateway speaks plaintext to an EPP that serves TLS",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_a_picker_that_cannot_be_talked_to_is_not_passed_by(
    picker_with_tls: RoutingRecording, measure: Measure
) -> None:
    """Without a DestinationRule for an EPP that serves TLS, a FailClose pool refuses every request with 500."""
    measure.value(conditions_good=not status_findings(picker_with_tls.note(notes.PICTURES)["without rule"], HEALTHY))
    assert not gateway.refused_findings(picker_with_tls.asks("without rule"), 1.0, [500])


@behaviour(
    "llmd.istio.pool-by-header", level=MUST, spec="https://gateway-api.sigs.k8s.io/reference/spec/#httproutematch",
    red_when="the header does not decide which pool serves, or the other pool's EPP is consulted",
    mutant="istio-headers-ignored", timed=True,
)  # fmt: skip
def test_a_header_chooses_pool_and_picker(two_pools: RoutingRecording) -> None:
    """Requests with the header go to the second pool and its EPP, those without to the first pool and its EPP."""
    for before, wave, pool in (("start", "plain", "first"), ("plain", "by-header", "second")):
        assert _pools(two_pools, wave) == {pool: ASKS}
        assert not gateway_pools.asked_of_findings(wave, _pools(two_pools, wave), _counted(two_pools, before, wave))
        assert not routing.asked_findings(two_pools.asks(wave))


@known_defect(
    ONE_PICKER, "a rule gets one override for its picker, that of its last pool, whichever pool serves",
    shows=r"pool '\w+' served [1-9]\d* requests, its picker was asked for",
)  # fmt: skip
@behaviour(
    "llmd.istio.weighted-pools", level=MUST, spec="https://gateway-api.sigs.k8s.io/reference/spec/#httpbackendref",
    red_when="of two weighted pools, requests to one consult the EPP of the other",
)  # fmt: skip
def test_each_weighted_pool_has_its_own_picker_asked(two_pools: RoutingRecording, measure: Measure) -> None:
    """Of 80 requests split by weight, each pool's EPP counts exactly those that its own pool served."""
    served, counted = _pools(two_pools, "by-weight"), _counted(two_pools, "by-header", "by-weight")
    measure.value(
        first_served=served["first"], second_served=served["second"],
        first_asked=counted["first"], second_asked=counted["second"],
        refused=WEIGHTED - served.total(),
    )  # fmt: skip
    assert sum(counted.values()), "no endpoint picker was consulted at all"
    assert not gateway_pools.asked_of_findings("by-weight", served, counted)


def _pools(recording: RoutingRecording, wave: str) -> Counter[str]:
    names = {recording.note(one): pool for pool, one in notes.POOLS.items()}
    return gateway_pools.pools_served(recording.asks(wave), names)


def _counted(recording: RoutingRecording, before: str, after: str) -> dict[str, int]:
    return {
        pool: gateway_pools.picker_counted(*(recording.metrics(label, f"{pool} picker") for label in (before, after)))
        for pool in ("first", "second")
    }
