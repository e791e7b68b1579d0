"""Istio without its picker or without a replica, and how soon a changed failure mode counts.

The picker crashes (its Pod still Ready), is not Ready (its Service has no endpoint), or hangs, under FailClose and
FailOpen. Envoy is the same as behind the fixed configuration; what istiod makes of the pool's failure mode is not.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpuassay import MUST, SHOULD, Measure, Note, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.istio import NEEDS, Mesh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import RequestRow

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab

POOL_SPEC = "https://gateway-api-inference-extension.sigs.k8s.io/reference/spec/#endpointpickerfailuremode"
FULL_DUPLEX = "https://github.com/envoyproxy/envoy/pull/41276"
NO_TIMEOUT = "https://github.com/envoyproxy/envoy/issues/37065"

MODES = ("FailClose", "FailOpen")
METHODS = ("GET", "POST")
AT_ONCE_SECONDS = 1.0
PATCHED_SECONDS = 1.0
"""From the patch of a pool's failure mode to its effect."""
BACK_SECONDS = 5.0
HUNG_PATIENCE = 2.0
ARM = Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY, gateway="istio")


SINCE = Note("since_ns", dict[str, int], "when a change began, by arm or step, monotonic ns")
ALIVE = Note("alive", list[str], "the replicas that are not killed")


def _marked(row: RequestRow) -> bool:
    return row.status == 200 and row.asked_picker


def _unmarked(row: RequestRow) -> bool:
    return row.status == 200 and not row.asked_picker


def _refused(row: RequestRow) -> bool:
    return row.status is not None and row.status >= 500


@scenario(system="routing", needs=NEEDS, timeout=60)
def picker_gone(lab: RoutingLab) -> None:
    """Under each failure mode the EPP crashes, restarts, loses its endpoint, regains it, hangs, and resumes."""
    for mode in MODES:
        with opened(lab, replace(ARM, failure_mode=mode), name=mode.lower()) as site:
            mesh, calls, picker = Mesh(site), Calls(site), site.routing.picker
            assert picker is not None
            calls.many(f"{mode}/before", 4)
            picker.kill()
            for method in METHODS:
                calls.many(f"{mode}/crash/{method}", 8, method=method)
            picker.start()
            _back(calls, f"{mode}/crash")
            mesh.gateway.picker_endpoint(ready=False)
            mesh.observe_picker(there=False)
            for method in METHODS:
                calls.many(f"{mode}/absent/{method}", 8, method=method)
            mesh.gateway.picker_endpoint(ready=True)
            _back(calls, f"{mode}/absent")
            picker.suspend()
            try:
                _both(calls, f"{mode}/hang")
            finally:
                picker.resume()
            _back(calls, f"{mode}/hang")


def _back(calls: Calls, name: str) -> None:
    since = time.monotonic_ns()
    calls.until(f"{name}/coming back", _marked, seconds=2 * BACK_SECONDS)
    lab = calls.site.lab
    lab.note_under(SINCE, name, since)
    calls.many(f"{name}/back", 4)


def _both(calls: Calls, name: str) -> None:
    """Two requests of each method at the same time, each with little patience."""
    with ThreadPoolExecutor(2) as pool:
        for method in METHODS:
            pool.submit(calls.many, f"{name}/{method}", 2, at_once=2, method=method, timeout=HUNG_PATIENCE)


@scenario(system="routing", needs=NEEDS, timeout=30)
def mode_patched(lab: RoutingLab) -> None:
    """The EPP has no endpoint; the pool's failure mode is patched from FailClose to FailOpen and back."""
    with opened(lab, ARM) as site:
        mesh, calls = Mesh(site), Calls(site)
        mesh.gateway.picker_endpoint(ready=False)
        mesh.observe_picker(there=False)
        for step, mode, good in (
            ("opened", "FailOpen", _unmarked),
            ("closed", "FailClose", _refused),
        ):
            calls.many(f"{step}/before", 4)
            mesh.set_failure_mode(mode)
            since = time.monotonic_ns()
            calls.until(f"{step}/changing", good, seconds=3 * PATCHED_SECONDS, delay=0.03)
            lab.note_under(SINCE, step, since)
            calls.many(f"{step}/after", 4)


@scenario(system="routing", needs=NEEDS, timeout=30)
def replica_gone(lab: RoutingLab) -> None:
    """Of three replicas one is killed while its Pod stays Ready; then its Pod is not Ready."""
    with opened(lab, replace(ARM, replicas=3)) as site:
        calls, (first, *others) = Calls(site), site.replicas
        lab.note(ALIVE, [one.name for one in others])
        calls.many("healthy", 12)
        first.kill()
        calls.many("dead", 40)
        site.routing.endpoints.set_ready(first.name, ready=False)
        assert site.routing.picker is not None
        site.routing.picker.await_ready_pods(2)
        calls.many("not ready", 12)


@pytest.mark.parametrize(("event", "method"), [("crash", "GET"), ("absent", "GET"), ("absent", "POST")])
@behaviour(
    "llmd.istio.fail-close", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailClose pool serves or delays a request although its EPP is dead or has no endpoint",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_a_fail_close_pool_refuses(picker_gone: RoutingRecording, event: str, method: str) -> None:
    """FailClose refuses with a 5xx within 1 s: all requests if the EPP has no endpoint, bodyless ones if it is dead."""
    assert not routing.asked_findings(picker_gone.asks("FailClose/before"))
    assert not gateway.refused_findings(picker_gone.asks(f"FailClose/{event}/{method}"), AT_ONCE_SECONDS)


@behaviour(
    "llmd.istio.crash-fail-close-post", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailClose pool serves or delays a request with a body although its EPP is dead",
    mutant="istio-picker-cut-out",  # the flipped mode would not show: Envoy hardly fails open for these (below)
)  # fmt: skip
def test_a_fail_close_pool_refuses_posts(picker_gone: RoutingRecording) -> None:
    """While the EPP is dead, every request with a body to a FailClose pool gets a 5xx within 1 s."""
    assert not gateway.refused_findings(picker_gone.asks("FailClose/crash/POST"), AT_ONCE_SECONDS)


@pytest.mark.parametrize(("event", "method"), [("crash", "GET"), ("absent", "GET"), ("absent", "POST")])
@behaviour(
    "llmd.istio.fail-open", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailOpen pool refuses requests because its EPP has no endpoint, or bodyless ones because it is dead",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_a_fail_open_pool_serves(picker_gone: RoutingRecording, event: str, method: str) -> None:
    """FailOpen serves all requests while the EPP has no endpoint, and bodyless ones while it is dead."""
    assert not gateway.unasked_findings(picker_gone.asks(f"FailOpen/{event}/{method}"))


@known_defect(
    FULL_DUPLEX, "in full-duplex mode Envoy fails open only until the first chunk of the body was handed over",
    shows=r"answers without the picker, otherwise in \d+: #\d+ : http-500",
    racy=True,  # which is first: the chunk or the refused connection
)  # fmt: skip
@behaviour(
    "llmd.istio.crash-fail-open-post", level=MUST, spec=POOL_SPEC,
    red_when="a FailOpen pool refuses a request with a body because its EPP is dead",
)  # fmt: skip
def test_a_fail_open_pool_serves_posts(picker_gone: RoutingRecording, measure: Measure) -> None:
    """While the EPP is dead, a FailOpen pool serves requests with a body."""
    rows = picker_gone.asks("FailOpen/crash/POST")
    measure.value(served=len(routing.answered(rows)), asked=len(rows))
    assert not gateway.unasked_findings(rows)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
@known_defect(
    NO_TIMEOUT, "in full-duplex mode Envoy waits for its processor without limit, whatever message_timeout says",
    shows="requests hung until the client gave up",
)  # fmt: skip
@behaviour(
    "llmd.istio.hang-is-bounded", level=SHOULD, spec=POOL_SPEC,
    red_when="a hung endpoint picker holds requests until their clients time out",
)  # fmt: skip
def test_a_hung_picker_does_not_hang_requests(picker_gone: RoutingRecording, method: str, mode: str) -> None:
    """While the endpoint picker hangs, requests are refused or served before their clients time out."""
    assert not gateway.hang_findings(picker_gone.asks(f"{mode}/hang/{method}"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event", ["crash", "absent", "hang"])
@behaviour(
    "llmd.istio.picker-comes-back", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="after its endpoint picker recovered, the gateway bypasses it or fails requests",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_a_picker_that_comes_back_is_asked_again(
    picker_gone: RoutingRecording, event: str, mode: str, measure: Measure
) -> None:  # fmt: skip
    """Within 5 s of its recovery the endpoint picker is consulted again, and from then on for every request."""
    name = f"{mode}/{event}"
    since = picker_gone.note(SINCE)[name]
    marked = [row for row in picker_gone.asks(f"{name}/coming back") if _marked(row)]
    measure.value(back_s=gateway.recovery_seconds(marked, since))
    assert not gateway.recovery_findings(marked, since, BACK_SECONDS)
    assert not routing.failure_findings(picker_gone.asks(f"{name}/back"))
    assert not routing.asked_findings(picker_gone.asks(f"{name}/back"))


@behaviour(
    "llmd.istio.failure-mode-patched", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a changed failure mode has no effect within a second", mutant="istio-mode-frozen",
)  # fmt: skip
def test_a_patched_failure_mode_counts_within_a_second(mode_patched: RoutingRecording, measure: Measure) -> None:
    """Without an EPP endpoint, patching the pool to FailOpen and back to FailClose takes effect within 1 s."""
    assert not gateway.refused_findings(mode_patched.asks("opened/before"), AT_ONCE_SECONDS)
    assert not gateway.unasked_findings(mode_patched.asks("opened/after"))
    assert not gateway.unasked_findings(mode_patched.asks("closed/before"))
    assert not gateway.refused_findings(mode_patched.asks("closed/after"), AT_ONCE_SECONDS)
    took = {
        step: (mode_patched.asks(f"{step}/changing")[-1].end_ns - mode_patched.note(SINCE)[step]) / 1e9
        for step in ("opened", "closed")
    }
    measure.value(**{f"{step}_s": round(seconds, 3) for step, seconds in took.items()})
    assert max(took.values()) <= PATCHED_SECONDS


@behaviour(
    "llmd.istio.dead-replica-idle", level=MUST, spec="https://istio.io/latest/docs/concepts/traffic-management/#retries",
    red_when="a request fails because its picked replica is dead, although others are alive",
    mutant="istio-never-retries",
)  # fmt: skip
def test_a_dead_replica_costs_no_request(replica_gone: RoutingRecording) -> None:
    """After a replica was killed, its Pod still Ready, every request is answered by another replica."""
    assert not routing.failure_findings(replica_gone.asks("healthy"))
    assert not gateway.served_findings(replica_gone.asks("dead"), replica_gone.note(ALIVE))


@pytest.mark.parametrize("wave", ["healthy", "dead", "not ready"])
@behaviour(
    "llmd.istio.asked-whatever-replicas-do", level=MUST, spec=POOL_SPEC,
    red_when="requests bypass the endpoint picker because a replica died or left the pool",
    mutant="istio-picker-cut-out",
)  # fmt: skip
def test_the_picker_is_asked_whatever_replicas_do(replica_gone: RoutingRecording, wave: str) -> None:
    """With all replicas up, with one dead, and with its Pod unready, every response went through the EPP."""
    assert not routing.failure_findings(replica_gone.asks(wave))
    assert not routing.asked_findings(replica_gone.asks(wave))
