"""The Gateway API Inference Extension's own conformance tests, on Istio's gateway: run by us, judged by themselves.

Opt-in: `pytest suites/upstream -m upstream`. Upstream's program runs once, unmodified, against real pods of a real
node; each of its tests is one behaviour here, by upstream's name.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpuassay import MUST, Lab, Measure, Recording, behaviour, known_defect, scenario
from gpuassay.systems.upstream import RESULTS
from gpuassay.systems.upstream import judge as upstream
from gpuassay.systems.upstream.acts import NEEDS, conform
from suites.upstream.verdicts import take_over

pytestmark = [pytest.mark.upstream, pytest.mark.timeout(900)]

SPEC = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/conformance/tests"
ONE_PICKER = "https://github.com/istio/istio/issues/61594"

DECLARED: set[str] = set()
"""Upstream's tests that are judged here: one that is not makes ERRORs of all."""


@scenario(system="slices", alone="cluster", needs=NEEDS, timeout=600)
def gaie(lab: Lab) -> None:
    """Istio and two gateways start in real pods, then upstream's program applies its manifests and runs each test."""
    conform(lab)


# Where no mutant is named none has been seen to kill: upstream waits 300 s before it refutes a pool's conditions.
def conformance(name: str, holds: str, *, red_when: str, mutant: str = "") -> Callable[[Recording, Measure], None]:
    """The behaviour that upstream's test `name` judges."""
    DECLARED.add(name)

    @behaviour(f"upstream.gaie.{name}", level=MUST, spec=SPEC, red_when=red_when, mutant=mutant)
    def test(gaie: Recording, measure: Measure) -> None:
        results = gaie.note(RESULTS)
        take_over(results, upstream.case_of(results, name, DECLARED), measure)

    test.__doc__ = holds
    return test


test_follows_the_picker = conformance(
    "GatewayFollowingEPPRouting", "Requests go to endpoints that the picker has named, and to no others.",
    red_when="a request is served by an endpoint that the picker did not name", mutant="picks-at-random",
)  # fmt: skip

test_follows_the_picker_to_ports = conformance(
    "GatewayFollowingEPPRoutingWithDataParallelism", "With several ports per pod, only named endpoints serve.",
    red_when="a data-parallel rank that the picker did not name serves a request, or a named one serves none",
    mutant="picks-at-random",
)  # fmt: skip

test_reports_who_served = conformance(
    "GatewayDestinationEndpointServed", "The gateway reports to the picker which endpoint served.",
    red_when="the gateway reports no endpoint to the picker, or another one than served", mutant="picks-at-random",
)  # fmt: skip

test_fails_open = conformance(
    "EppUnAvailableFailOpen", "A pool that fails open follows its picker, and also serves without one.",
    red_when="the named endpoint does not serve while a picker runs, or none serves without a picker",
    mutant="gateway-unlabelled",
)  # fmt: skip

test_weighted_pools = known_defect(
    ONE_PICKER, "two weighted pools in one rule: only the last one's picker is asked", shows="judged by"
)(
    conformance(
        "GatewayWeightedAcrossTwoInferencePools", "Requests are split between two pools by weight, and each pool's "
        "own picker is asked.",
        red_when="requests are not split by the pools' weights, or another pool's picker is asked",
    )
)  # fmt: skip

test_missing_pool = conformance(
    "HTTPRouteInvalidInferencePoolRef", "A route to a missing pool is accepted, but its reference is not resolved.",
    red_when="the route's conditions report the missing pool as resolved, or are missing",
)  # fmt: skip

test_pool_accepted = conformance(
    "InferencePoolAccepted", "A pool that a route names is accepted by the gateway.",
    red_when="the pool's status does not say that the gateway accepts it",
)  # fmt: skip

test_missing_picker_reference = conformance(
    "InferencePoolMissingEPPRef", "A route to a pool without a picker is accepted; the pool's status says so.",
    red_when="the route is not accepted, or the pool's status does not report the missing picker",
)  # fmt: skip

test_missing_picker_service = conformance(
    "InferencePoolInvalidEPPService", "A pool whose picker's Service is missing is reported as unresolved.",
    red_when="the missing Service is reported as resolved, or requests are not answered with an error",
    mutant="gateway-wrong-port",
)  # fmt: skip

test_several_gateways = conformance(
    "HTTPRouteMultipleGatewaysDifferentPools", "Each of two gateways sends requests to its own route's pool.",
    red_when="a gateway sends requests to the other gateway's pool", mutant="gateway-wrong-port",
)  # fmt: skip

test_several_rules = conformance(
    "HTTPRouteMultipleRulesDifferentPools", "Each of two rules of one route sends to its own pool.",
    red_when="a rule sends requests to the other rule's pool", mutant="gateway-wrong-port",
)  # fmt: skip

test_app_protocol = conformance(
    "InferencePoolAppProtocol", "The gateway uses the pool's appProtocol: HTTP/1.1, or HTTP/2 without TLS.",
    red_when="an endpoint is reached by another protocol than its pool's", mutant="gateway-unlabelled",
)  # fmt: skip

test_reference_port = conformance(
    "InferencePoolHTTPRoutePortValidation", "The port in a route's reference to a pool is ignored.",
    red_when="a reference with a port, right or wrong, is refused or not served", mutant="gateway-wrong-port",
)  # fmt: skip

test_pool_follows_its_routes = conformance(
    "InferencePoolResolvedRefsCondition", "A pool's status lists exactly the gateways whose routes name it.",
    red_when="a gateway stays in a pool's status after its route is deleted, or is never listed",
)  # fmt: skip
