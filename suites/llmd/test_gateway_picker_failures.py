"""What a gateway does without its endpoint picker: crashed, hung, absent, or with nothing to pick.

An InferencePool says whether requests then fail (FailClose) or go to any member (FailOpen). Every request has a time
limit of its own: a picker that hangs holds requests for as long as they are let.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gpuassay import INFO, MUST, SHOULD, Measure, Note, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway.configuration import PICKER
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow

POOL_SPEC = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/#endpointpickerfailuremode"
FULL_DUPLEX = "https://github.com/envoyproxy/envoy/pull/41276"
PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/docs/proposals/"
    "004-endpoint-picker-protocol"
)
RANDOM_ENDPOINT = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp/handlers/request.go#L49"
)
NO_TIMEOUT = "https://github.com/envoyproxy/envoy/issues/37065"

MODES = ("FailClose", "FailOpen")
METHODS = ("GET", "POST")
AT_ONCE_SECONDS = 1.0
"""For a refusal or a detour: both take milliseconds, and a client that waits longer has been made to wait."""
NOTICED_SECONDS = 3.0
"""For a gateway that looks twice a second whether its picker is alive."""
BACK_SECONDS = 5.0
"""From the start of a picker to its first answer through the gateway: 0.7 s on a quiet machine."""
HUNG_PATIENCE = 2.0


KILLED = Note("killed_ns", int, "when the picker was killed, monotonic ns")
STARTED = Note("started_ns", dict[str, int], "when each picker was started again, monotonic ns")
HUNG = Note("hung", dict[str, dict[str, int]], "when each picker was stopped and resumed, monotonic ns")
REFILLED = Note("refilled_ns", dict[str, int], "when the pool had ready Pods again, by failure mode, monotonic ns")


def _arm(mode: str, **more: Any) -> Arm:
    return Arm(
        profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY, failure_mode=mode, **more
    )  # fmt: skip


def _picker_cluster(bootstrap: dict[str, Any]) -> dict[str, Any]:
    none: dict[str, Any] = {}
    return next((one for one in bootstrap["static_resources"]["clusters"] if one["name"] == PICKER), none)


def _unwatched(bootstrap: dict[str, Any]) -> None:
    """No health check of the picker: the gateway finds out by asking."""
    _picker_cluster(bootstrap).pop("health_checks", None)


def _absent(bootstrap: dict[str, Any]) -> None:
    """No endpoint of the picker at all, as when its Pod is not Ready."""
    if cluster := _picker_cluster(bootstrap):
        cluster["load_assignment"]["endpoints"] = []


def _asked_for_health(bootstrap: dict[str, Any]) -> None:
    """A health check that the picker itself must answer; a hung one still accepts connections."""
    for check in _picker_cluster(bootstrap).get("health_checks", []):
        check.pop("tcp_health_check")
        check["grpc_health_check"] = {"service_name": "envoy.service.ext_proc.v3.ExternalProcessor"}


CRASH_ARMS = {
    "FailClose": _arm("FailClose"),
    "FailOpen": _arm("FailOpen"),
    "FailOpen-unwatched": _arm("FailOpen", change_gateway=_unwatched),
    "FailOpen-standalone": _arm("FailOpen", gateway="standalone"),
}


def _marked(row: RequestRow) -> bool:
    return row.status == 200 and row.asked_picker


def _unmarked(row: RequestRow) -> bool:
    return row.status == 200 and not row.asked_picker


@scenario(system="routing", timeout=60)
def picker_crashes(lab: RoutingLab) -> None:
    """The endpoint picker is killed under each failure mode, requests continue, and it is started again."""
    for name, arm in CRASH_ARMS.items():
        with opened(lab, arm, name=name.lower()) as site:
            calls, picker = Calls(site), site.routing.picker
            assert picker is not None
            calls.many(f"{name}/before", 4)
            picker.kill()
            for method in METHODS:
                calls.many(f"{name}/{method}", 8, method=method)
            if name == "FailClose":  # for as long as a gateway that opens would take to notice
                calls.until(f"{name}/POST", lambda row: row.status == 200, seconds=NOTICED_SECONDS, delay=0.2)
            if name == "FailOpen":
                killed = time.monotonic_ns()
                calls.until(f"{name}/noticing", _unmarked, seconds=2 * NOTICED_SECONDS, in_a_row=8)
                lab.note(KILLED, killed)
                calls.many(f"{name}/noticed", 8)
            if name == "FailOpen-standalone":  # it watches its picker: only one that has noticed can come back late
                calls.until(f"{name}/noticing", _unmarked, seconds=NOTICED_SECONDS, in_a_row=2)
            picker.launch()
            started = time.monotonic_ns()
            calls.until(f"{name}/coming back", _marked, seconds=2 * BACK_SECONDS)
            lab.note_under(STARTED, name, started)
            calls.many(f"{name}/back", 6)


def _both(calls: Calls, name: str) -> None:
    """Two requests of each method at the same time, each with little patience."""

    def ask(method: str) -> None:
        calls.many(f"{name}/{method}", 2, at_once=2, method=method, timeout=HUNG_PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, METHODS))


@scenario(system="routing", timeout=60)
def picker_hangs(lab: RoutingLab) -> None:
    """The endpoint picker is suspended with its connections open under each failure mode, and resumed."""
    arms = {mode: _arm(mode) for mode in MODES}
    arms["FailOpen-asked"] = _arm("FailOpen", change_gateway=_asked_for_health, picker_flags=("--health-checking",))
    for name, arm in arms.items():
        with opened(lab, arm, name=name.lower()) as site:
            calls, picker = Calls(site), site.routing.picker
            assert picker is not None
            if name == "FailOpen-asked":
                calls.until(f"{name}/ready", _marked, seconds=5)
            calls.many(f"{name}/before", 4)
            picker.suspend()
            stopped = time.monotonic_ns()
            try:
                if name == "FailOpen-asked":
                    calls.until(f"{name}/noticing", _unmarked, seconds=2 * NOTICED_SECONDS, timeout=0.5)
                    calls.many(f"{name}/noticed", 8)
                else:
                    _both(calls, name)
            finally:
                picker.resume()
            resumed = time.monotonic_ns()
            calls.until(f"{name}/coming back", _marked, seconds=2 * BACK_SECONDS)
            lab.note_under(HUNG, name, {"stopped_ns": stopped, "resumed_ns": resumed})
            calls.many(f"{name}/back", 6)


@scenario(system="routing", timeout=60)
def nobody_there(lab: RoutingLab) -> None:
    """The endpoint picker has no endpoint in the gateway; separately, the pool has no Ready Pod."""
    for mode in MODES:
        with opened(lab, _arm(mode, change_gateway=_absent), name=f"absent-{mode}".lower()) as site:
            for method in METHODS:
                Calls(site).many(f"{mode}/absent/{method}", 6, method=method)
        with opened(lab, _arm(mode), name=f"empty-{mode}".lower()) as site:
            calls, picker = Calls(site), site.routing.picker
            assert picker is not None
            for replica in site.replicas:
                site.routing.endpoints.set_ready(replica.name, ready=False)
            picker.await_ready_pods(0)
            for method in METHODS:
                calls.many(f"{mode}/empty/{method}", 6, method=method)
            for replica in site.replicas:
                site.routing.endpoints.set_ready(replica.name, ready=True)
            refilled = time.monotonic_ns()
            lab.note_under(REFILLED, mode, refilled)
            calls.until(f"{mode}/refilled", _marked, seconds=2 * BACK_SECONDS)


# --- crash -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@behaviour(
    "llmd.gateway.crash-fail-close", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailClose pool serves a request although its endpoint picker is dead, or delays it",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_without_picker_a_fail_close_pool_refuses(picker_crashes: RoutingRecording, method: str) -> None:
    """While the endpoint picker is dead, every request to a FailClose pool gets a 5xx within 1 s."""
    assert not routing.asked_findings(picker_crashes.asks("FailClose/before"))
    assert not gateway.refused_findings(picker_crashes.asks(f"FailClose/{method}"), AT_ONCE_SECONDS)


@pytest.mark.parametrize("arm", ["FailOpen", "FailOpen-unwatched"])
@behaviour(
    "llmd.gateway.crash-fail-open-get", level=MUST, spec=POOL_SPEC,
    red_when="a FailOpen pool refuses a request without a body because its endpoint picker is dead",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_without_picker_a_fail_open_pool_serves_gets(picker_crashes: RoutingRecording, arm: str) -> None:
    """As soon as the endpoint picker is dead, a FailOpen pool serves requests without a body."""
    assert not gateway.unasked_findings(picker_crashes.asks(f"{arm}/GET"))


@known_defect(
    FULL_DUPLEX, "in full-duplex mode Envoy fails open only until the first chunk of the body was handed over",
    shows=r"answers without the picker, otherwise in \d+: #\d+ : http-500",
)  # fmt: skip
@behaviour(
    "llmd.gateway.crash-fail-open-post", level=MUST, spec=POOL_SPEC,
    red_when="a FailOpen pool refuses a request with a body because its endpoint picker is dead",
    mutant="picker-not-asked",
)  # fmt: skip
def test_without_picker_a_fail_open_pool_serves_posts(picker_crashes: RoutingRecording) -> None:
    """While the EPP is dead, a FailOpen pool serves requests with a body, even without a health check of the EPP."""
    assert not gateway.unasked_findings(picker_crashes.asks("FailOpen-unwatched/POST"))


@behaviour(
    "llmd.gateway.crash-fail-open-noticed", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a gateway that health-checks its EPP keeps refusing requests with a body after the EPP died",
    mutant="picker-unwatched",
)  # fmt: skip
def test_a_dead_picker_is_noticed(picker_crashes: RoutingRecording, measure: Measure) -> None:
    """With a health check of the EPP, a FailOpen pool serves every request from 3 s after the EPP died."""
    attempts, killed = picker_crashes.asks("FailOpen/noticing"), picker_crashes.note(KILLED)
    measure.value(noticed_s=gateway.settled_seconds(attempts, killed))
    assert not gateway.settled_findings(attempts, killed, NOTICED_SECONDS)
    assert not gateway.unasked_findings(picker_crashes.asks("FailOpen/noticed"))


@behaviour(
    "llmd.gateway.standalone-cannot-fail-open", level=INFO, spec="llm-d: standalone deployment, Envoy ORIGINAL_DST",
    red_when="a standalone gateway serves requests for which no endpoint was picked, which its design should rule out",
    mutant="picker-not-asked", timed=True,
)  # fmt: skip
def test_the_standalone_design_cannot_fail_open(picker_crashes: RoutingRecording) -> None:
    """A standalone gateway without a pool refuses requests within 1 s while the EPP is dead, even under FailOpen."""
    for method in METHODS:
        assert not gateway.refused_findings(picker_crashes.asks(f"FailOpen-standalone/{method}"), AT_ONCE_SECONDS)


@pytest.mark.parametrize("arm", ["FailClose", "FailOpen-unwatched"])
@behaviour(
    "llmd.gateway.picker-comes-back", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="after its endpoint picker restarted, the gateway bypasses it or fails requests",
    mutant="gateway-shuns-long",
)  # fmt: skip
def test_a_picker_that_comes_back_is_asked_again(picker_crashes: RoutingRecording, arm: str, measure: Measure) -> None:
    """Within 5 s of its restart the endpoint picker is consulted again, and from then on for every request."""
    _is_back(picker_crashes, arm, measure)


@pytest.mark.parametrize("arm", ["FailOpen", "FailOpen-standalone"])
@behaviour(
    "llmd.gateway.watched-picker-comes-back", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a gateway that health-checks its endpoint picker goes on without it after it restarted",
    mutant="picker-watched-seldom",
)  # fmt: skip
def test_a_watched_picker_that_comes_back_is_asked_again(
    picker_crashes: RoutingRecording, arm: str, measure: Measure
) -> None:  # fmt: skip
    """With a health check of the EPP, it is consulted within 5 s of its restart, and then for every request."""
    _is_back(picker_crashes, arm, measure)


def _is_back(recording: RoutingRecording, arm: str, measure: Measure) -> None:
    attempts, started = recording.asks(f"{arm}/coming back"), recording.note(STARTED)[arm]
    marked = [row for row in attempts if _marked(row)]
    measure.value(back_s=gateway.recovery_seconds(marked, started))
    assert not gateway.recovery_findings(marked, started, BACK_SECONDS)
    assert not routing.failure_findings(recording.asks(f"{arm}/back"))
    assert not routing.asked_findings(recording.asks(f"{arm}/back"))


# --- hang ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
@known_defect(
    NO_TIMEOUT, "in full-duplex mode Envoy waits for its processor without limit, whatever message_timeout says",
    shows="requests hung until the client gave up",
)  # fmt: skip
@behaviour(
    "llmd.gateway.hang-is-bounded", level=SHOULD, spec=POOL_SPEC,
    red_when="a hung endpoint picker holds requests until their clients time out", mutant="picker-not-asked",
)  # fmt: skip
def test_a_hung_picker_does_not_hang_requests(picker_hangs: RoutingRecording, method: str, mode: str) -> None:
    """While the endpoint picker hangs, requests are refused or served before their clients time out."""
    assert not gateway.hang_findings(picker_hangs.asks(f"{mode}/{method}"))


@pytest.mark.parametrize("mode", MODES)
@behaviour(
    "llmd.gateway.hang-ends", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="after a hung endpoint picker resumed, requests still fail or bypass it",
    mutant="picker-not-asked",
)  # fmt: skip
def test_a_picker_that_goes_on_is_asked_again(picker_hangs: RoutingRecording, mode: str, measure: Measure) -> None:
    """Within 5 s of a hung endpoint picker's resuming, requests go through it again, and then all of them."""
    resumed = picker_hangs.note(HUNG)[mode]["resumed_ns"]
    marked = [row for row in picker_hangs.asks(f"{mode}/coming back") if _marked(row)]
    measure.value(back_s=gateway.recovery_seconds(marked, resumed))
    assert not gateway.recovery_findings(marked, resumed, BACK_SECONDS)
    assert not routing.failure_findings(picker_hangs.asks(f"{mode}/back"))
    assert not routing.asked_findings(picker_hangs.asks(f"{mode}/back"))


@behaviour(
    "llmd.gateway.hang-noticed-by-health", level=SHOULD, spec=POOL_SPEC, timed=True,
    red_when="a FailOpen gateway with a gRPC health check of its EPP holds requests while the EPP hangs",
    mutant="picker-unwatched",
)  # fmt: skip
def test_a_hung_picker_is_noticed_by_its_health(picker_hangs: RoutingRecording, measure: Measure) -> None:
    """With a gRPC health check of the EPP, a FailOpen pool serves requests again within 3 s of the EPP's hang."""
    attempts = picker_hangs.asks("FailOpen-asked/noticing")
    stopped = picker_hangs.note(HUNG)["FailOpen-asked"]["stopped_ns"]
    measure.value(noticed_s=gateway.recovery_seconds(attempts, stopped))
    assert not gateway.recovery_findings(attempts, stopped, NOTICED_SECONDS)
    assert not gateway.unasked_findings(picker_hangs.asks("FailOpen-asked/noticed"))


# --- nobody ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@behaviour(
    "llmd.gateway.absent-fail-close", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailClose pool serves requests although its endpoint picker has no endpoint",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_with_no_picker_endpoint_a_fail_close_pool_refuses(nobody_there: RoutingRecording, method: str) -> None:
    """While the endpoint picker has no endpoint, every request to a FailClose pool gets a 5xx within 1 s."""
    assert not gateway.refused_findings(nobody_there.asks(f"FailClose/absent/{method}"), AT_ONCE_SECONDS)


@pytest.mark.parametrize("method", METHODS)
@behaviour(
    "llmd.gateway.absent-fail-open", level=MUST, spec=POOL_SPEC,
    red_when="a FailOpen pool refuses requests because its endpoint picker has no endpoint",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_with_no_picker_endpoint_a_fail_open_pool_serves(nobody_there: RoutingRecording, method: str) -> None:
    """While the endpoint picker has no endpoint, a FailOpen pool serves every request, with a body or without."""
    assert not gateway.unasked_findings(nobody_there.asks(f"FailOpen/absent/{method}"))


@pytest.mark.parametrize("mode", MODES)
@behaviour(
    "llmd.gateway.no-ready-pod", level=MUST, spec=PROTOCOL, timed=True,
    red_when="a pool without a Ready Pod answers 200 or hangs, or FailOpen takes the EPP's refusal for a failure",
    mutant="pool-of-yesterday",
)  # fmt: skip
def test_a_pool_without_ready_pods_answers_503(nobody_there: RoutingRecording, mode: str) -> None:
    """While no Pod of the pool is Ready, every completion request gets a 503 within 1 s, even under FailOpen."""
    assert not gateway.refused_findings(nobody_there.asks(f"{mode}/empty/POST"), AT_ONCE_SECONDS, [503])


@pytest.mark.parametrize("mode", MODES)
@known_defect(
    RANDOM_ENDPOINT, "for a request without a body the picker calls an empty pool an internal error, 500",
    shows=r"refusals within 1 s, otherwise in \d+ .*: #\d+ : http-500",
)  # fmt: skip
@behaviour(
    "llmd.gateway.no-ready-pod-get", level=MUST, spec=PROTOCOL,
    red_when="a request without a body to a pool without a Ready Pod gets anything but a 503",
    mutant="picker-not-asked",
)  # fmt: skip
def test_a_pool_without_ready_pods_answers_503_to_gets(nobody_there: RoutingRecording, mode: str) -> None:
    """While no Pod of the pool is Ready, every request without a body gets a 503 within 1 s, even under FailOpen."""
    assert not gateway.refused_findings(nobody_there.asks(f"{mode}/empty/GET"), AT_ONCE_SECONDS, [503])


@pytest.mark.parametrize("mode", MODES)
@behaviour(
    "llmd.gateway.pods-become-ready", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a pool whose Pods became Ready keeps refusing requests", mutant="picker-not-asked",
)  # fmt: skip
def test_a_pool_serves_again_when_pods_are_ready(nobody_there: RoutingRecording, mode: str, measure: Measure) -> None:
    """Within 5 s of its Pods becoming Ready, a pool answers again, through the endpoint picker."""
    refilled = nobody_there.note(REFILLED)[mode]
    marked = [row for row in nobody_there.asks(f"{mode}/refilled") if _marked(row)]
    measure.value(back_s=gateway.recovery_seconds(marked, refilled))
    assert not gateway.recovery_findings(marked, refilled, BACK_SECONDS)
