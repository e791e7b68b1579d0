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

from gpuassay import MUST, SHOULD, Measure, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls
from gpuassay.systems.llmd.acts.istio import NEEDS, Mesh
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording

if TYPE_CHECKING:
    from gpuassay.manifest import Manifest
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


def _marked(row: Manifest) -> bool:
    return row["status"] == 200 and row["headers"].get(routing.ASKED_HEADER) == "true"


def _unmarked(row: Manifest) -> bool:
    return row["status"] == 200 and row["headers"].get(routing.ASKED_HEADER) != "true"


def _refused(row: Manifest) -> bool:
    return row["status"] is not None and row["status"] >= 500


@scenario(system="routing", needs=NEEDS, timeout=60)
def picker_gone(lab: RoutingLab) -> None:
    """Under each mode the picker crashes, is started again, has no endpoint, gets it again, hangs, and goes on."""
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
    lab.note(since_ns=lab.notes.get("since_ns", {}) | {name: since})
    calls.many(f"{name}/back", 4)


def _both(calls: Calls, name: str) -> None:
    """Two requests of each method at the same time, each with little patience."""
    with ThreadPoolExecutor(2) as pool:
        for method in METHODS:
            pool.submit(calls.many, f"{name}/{method}", 2, at_once=2, method=method, timeout=HUNG_PATIENCE)


@scenario(system="routing", needs=NEEDS, timeout=30)
def mode_patched(lab: RoutingLab) -> None:
    """The picker has no endpoint; the pool's failure mode is patched from FailClose to FailOpen and back."""
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
            lab.note(since_ns=lab.notes.get("since_ns", {}) | {step: since})
            calls.many(f"{step}/after", 4)


@scenario(system="routing", needs=NEEDS, timeout=30)
def replica_gone(lab: RoutingLab) -> None:
    """Of three replicas one is killed while its Pod stays Ready; then its Pod is not Ready."""
    with opened(lab, replace(ARM, replicas=3)) as site:
        calls, (first, *others) = Calls(site), site.replicas
        lab.note(alive=[one.name for one in others])
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
    red_when="a FailClose pool serves a request whose picker is dead or has no endpoint, or lets it wait",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_a_fail_close_pool_refuses(picker_gone: RoutingRecording, event: str, method: str) -> None:
    """While the picker is absent a FailClose pool refuses all at once with a 5xx, while dead those without a body."""
    assert not routing.asked_findings(picker_gone.asks("FailClose/before"))
    assert not gateway.refused_findings(picker_gone.asks(f"FailClose/{event}/{method}"), AT_ONCE_SECONDS)


@behaviour(
    "llmd.istio.crash-fail-close-post", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailClose pool serves a request with a body whose picker is dead, or lets it wait",
    mutant="istio-picker-cut-out",  # the flipped mode would not show: Envoy hardly fails open for these (below)
)  # fmt: skip
def test_a_fail_close_pool_refuses_posts(picker_gone: RoutingRecording) -> None:
    """While the picker is dead, every request with a body to a FailClose pool gets a 5xx at once."""
    assert not gateway.refused_findings(picker_gone.asks("FailClose/crash/POST"), AT_ONCE_SECONDS)


@pytest.mark.parametrize(("event", "method"), [("crash", "GET"), ("absent", "GET"), ("absent", "POST")])
@behaviour(
    "llmd.istio.fail-open", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a FailOpen pool refuses requests because its picker is dead (without body) or absent",
    mutant="failure-mode-flipped",
)  # fmt: skip
def test_a_fail_open_pool_serves(picker_gone: RoutingRecording, event: str, method: str) -> None:
    """While the picker is absent a FailOpen pool serves everything, while it is dead requests without a body."""
    assert not gateway.unasked_findings(picker_gone.asks(f"FailOpen/{event}/{method}"))


@known_defect(
    FULL_DUPLEX, "in full-duplex mode Envoy fails open only until the first chunk of the body was handed over",
    racy=True,  # which is first: the chunk or the refused connection
)  # fmt: skip
@behaviour(
    "llmd.istio.crash-fail-open-post", level=MUST, spec=POOL_SPEC,
    red_when="a FailOpen pool refuses a request with a body because its picker is dead",
)  # fmt: skip
def test_a_fail_open_pool_serves_posts(picker_gone: RoutingRecording, measure: Measure) -> None:
    """While the picker is dead, requests with a body are served by a FailOpen pool."""
    rows = picker_gone.asks("FailOpen/crash/POST")
    measure.value(served=len(routing.answered(rows)), asked=len(rows))
    assert not gateway.unasked_findings(rows)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
@known_defect(
    NO_TIMEOUT, "in full-duplex mode Envoy waits for its processor without limit, whatever message_timeout says"
)
@behaviour(
    "llmd.istio.hang-is-bounded", level=SHOULD, spec=POOL_SPEC,
    red_when="a picker that hangs holds requests until their clients give up",
)  # fmt: skip
def test_a_hung_picker_does_not_hang_requests(picker_gone: RoutingRecording, method: str, mode: str) -> None:
    """While the picker hangs, a request is refused or served, and does not wait for ever."""
    assert not gateway.hang_findings(picker_gone.asks(f"{mode}/hang/{method}"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event", ["crash", "absent", "hang"])
@behaviour(
    "llmd.istio.picker-comes-back", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="after its picker came back, the gateway leaves it out or fails requests", mutant="istio-picker-cut-out",
)  # fmt: skip
def test_a_picker_that_comes_back_is_asked_again(
    picker_gone: RoutingRecording, event: str, mode: str, measure: Measure
) -> None:  # fmt: skip
    """Within 5 s of its being back the picker is asked again, and then for every request."""
    name = f"{mode}/{event}"
    since = picker_gone.notes["since_ns"][name]
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
    """Without picker: refused, served within 1 s of the patch to FailOpen, refused within 1 s of the patch back."""
    assert not gateway.refused_findings(mode_patched.asks("opened/before"), AT_ONCE_SECONDS)
    assert not gateway.unasked_findings(mode_patched.asks("opened/after"))
    assert not gateway.unasked_findings(mode_patched.asks("closed/before"))
    assert not gateway.refused_findings(mode_patched.asks("closed/after"), AT_ONCE_SECONDS)
    took = {
        step: (mode_patched.asks(f"{step}/changing")[-1]["end_ns"] - mode_patched.notes["since_ns"][step]) / 1e9
        for step in ("opened", "closed")
    }
    measure.value(**{f"{step}_s": round(seconds, 3) for step, seconds in took.items()})
    assert max(took.values()) <= PATCHED_SECONDS


@behaviour(
    "llmd.istio.dead-replica-idle", level=MUST, spec="https://istio.io/latest/docs/concepts/traffic-management/#retries",
    red_when="a request fails because its pick was dead, though others are alive", mutant="istio-never-retries",
)  # fmt: skip
def test_a_dead_replica_costs_no_request(replica_gone: RoutingRecording) -> None:
    """After a replica was killed, its Pod still Ready, every request is answered by another one."""
    assert not routing.failure_findings(replica_gone.asks("healthy"))
    assert not gateway.served_findings(replica_gone.asks("dead"), replica_gone.notes["alive"])


@pytest.mark.parametrize("wave", ["healthy", "dead", "not ready"])
@behaviour(
    "llmd.istio.asked-whatever-replicas-do", level=MUST, spec=POOL_SPEC,
    red_when="requests pass the picker by because a replica died or left", mutant="istio-picker-cut-out",
)  # fmt: skip
def test_the_picker_is_asked_whatever_replicas_do(replica_gone: RoutingRecording, wave: str) -> None:
    """With all replicas, with a dead one and after it left, every answer went through the picker."""
    assert not routing.failure_findings(replica_gone.asks(wave))
    assert not routing.asked_findings(replica_gone.asks(wave))
