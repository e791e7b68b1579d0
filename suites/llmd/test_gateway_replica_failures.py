"""What a client sees of a replica that dies, hangs, leaves its pool and comes back."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpuassay import INFO, MUST, SHOULD, Measure, Note, behaviour, scenario, wait
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls, prescribed
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording

POOL_SPEC = "https://gateway-api-inference-extension.sigs.k8s.io/api-types/inferencepool/"
RETRIES = "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on"

STREAMING = Latency(inter_token=0.02, factor_under_load=1.0, max_running=64, constant_ttft=0.0)
TOKENS = 100
AT_ONCE_SECONDS = 1.0
TOLD_SECONDS = 3.0
"""For the end of a stream that was cut: Envoy holds its client's connection for a second (delayed_close_timeout)."""
NEVER_LONG_SECONDS = 3.0
"""For a refusal when everybody is dead: connections are refused within a millisecond, retries included."""
BACK_SECONDS = 5.0
HELD_SECONDS = 1.5
"""How long a replica hangs, and others are asked meanwhile."""


DEAD = Note("dead", str, "the replica that is killed first")
ALIVE = Note("alive", list[str], "the other replicas")
HEALTHY = Note("healthy_ns", int, "when the first replica was healthy again, monotonic ns")
KILLED = Note("killed_ns", int, "when the replica of the streams was killed, monotonic ns")
OUT = Note("out", str, "the replica whose Pod is not Ready for a while")
OTHERS = Note("others", list[str], "the other replicas")
READY = Note("ready_ns", int, "when the Pod was Ready again, monotonic ns")


def _arm(replicas: int, gateway: str) -> Arm:
    return prescribed(
        Arm(profile="random", replicas=replicas, cache=Cache(blocks=0), latency=STREAMING, gateway=gateway)
    )


@scenario(system="routing", timeout=60)
def replicas_die(lab: RoutingLab) -> None:
    """Of three replicas one dies idle and restarts, one dies in mid-stream, then all die; their Pods stay Ready."""
    with opened(lab, _arm(3, "override-host")) as site:
        calls, (first, second, third) = Calls(site), site.replicas
        lab.note(DEAD, first.name)
        lab.note(ALIVE, [second.name, third.name])
        calls.many("healthy", 6, to=site.replicas)
        first.kill()
        calls.many("idle", 24, to=site.replicas)
        first.child.launch()
        first.await_ready()
        lab.note(HEALTHY, time.monotonic_ns())
        calls.until("coming back", lambda row: row.served_by == first.name, seconds=2 * BACK_SECONDS, to=[first])
        calls.many("back", 8, to=[first], label=first.name)
        begun = threading.Semaphore(0)

        def on_chunk(number: int) -> bool:
            if number == 1:
                begun.release()
            return True

        with ThreadPoolExecutor(2) as pool:
            streams = [
                pool.submit(
                    calls.many, f"streams/{wave}", 3, at_once=3, to=[replica], stream=True, max_tokens=TOKENS,
                    label=replica.name, on_chunk=on_chunk,
                )
                for wave, replica in (("killed", second), ("alive", third))
            ]  # fmt: skip
            for _ in range(6):
                begun.acquire(timeout=3)  # where answers are held back, nothing begins: the judge sees that
            second.kill()
            lab.note(KILLED, time.monotonic_ns())
            for one in streams:
                one.result()
        for replica in (first, third):
            replica.kill()
        calls.many("all dead/POST", 6, at_once=6, to=site.replicas)
        calls.many("all dead/GET", 6, at_once=6, method="GET")


@scenario(system="routing", timeout=60)
def readiness_changes(lab: RoutingLab) -> None:
    """A Pod becomes unready and Ready again; then its replica hangs while others get requests."""
    with opened(lab, _arm(3, "override-host")) as site:
        calls, (first, second, third) = Calls(site), site.replicas
        lab.note(OUT, first.name)
        lab.note(OTHERS, [second.name, third.name])
        calls.many("healthy", 6, to=site.replicas)
        site.routing.endpoints.set_ready(first.name, ready=False)
        calls.many("out", 24, to=site.replicas)
        site.routing.endpoints.set_ready(first.name, ready=True)
        lab.note(READY, time.monotonic_ns())
        calls.until("coming in", lambda row: row.served_by == first.name, seconds=2 * BACK_SECONDS, to=[first])
        calls.many("in", 8, to=[first], label=first.name)
        first.suspend()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(calls.many, "held", 4, at_once=4, to=[first], label=first.name, timeout=10)
            until = time.monotonic() + HELD_SECONDS
            try:
                wait(
                    lambda: calls.many("beside", 4, at_once=4, to=[second, third]),
                    lambda _: time.monotonic() > until,
                    what="others to have been asked for a while", timeout=4 * HELD_SECONDS, delay=0.1,
                )  # fmt: skip
            finally:
                first.resume()
            held.result()


@scenario(system="routing", timeout=60)
def standalone_replica_dies(lab: RoutingLab) -> None:
    """Standalone gateway without a pool: one of two replicas dies, first with its Pod Ready, then not Ready."""
    with opened(lab, _arm(2, "standalone")) as site:
        calls, (first, second) = Calls(site), site.replicas
        lab.note(DEAD, first.name)
        lab.note(ALIVE, [second.name])
        calls.many("healthy", 6, to=site.replicas)
        first.kill()
        calls.many("dead", 8, to=[first], label=first.name)
        calls.many("either", 16, to=site.replicas)
        site.routing.endpoints.set_ready(first.name, ready=False)
        calls.until("gone", lambda row: row.status == 429, seconds=3, to=[first])  # the picker has nobody to pick
        picker = site.routing.picker
        assert picker is not None
        picker.await_ready_pods(1)
        calls.many("not ready", 16, to=site.replicas)


@behaviour(
    "llmd.gateway.dead-replica-idle", level=MUST, spec=RETRIES,
    red_when="a request fails because its picked replica is dead, although others are alive",
    mutant="gateway-never-retries",
)  # fmt: skip
def test_a_dead_replica_costs_no_request(replicas_die: RoutingRecording) -> None:
    """After a replica died while idle, its Pod still Ready, every request is answered by another replica."""
    assert not routing.failure_findings(replicas_die.asks("healthy"))
    assert not gateway.served_findings(replicas_die.asks("idle"), replicas_die.note(ALIVE))


@behaviour(
    "llmd.gateway.replica-comes-back", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a replica that is healthy again gets no requests", mutant="pool-only-shrinks",
)  # fmt: skip
def test_a_replica_that_comes_back_serves_again(replicas_die: RoutingRecording, measure: Measure) -> None:
    """Within 5 s of being healthy again, a replica serves the requests for which it is picked."""
    attempts, healthy = replicas_die.asks("coming back"), replicas_die.note(HEALTHY)
    by_it = [row for row in attempts if row.served_by == replicas_die.note(DEAD)]
    measure.value(back_s=gateway.recovery_seconds(by_it, healthy))
    assert not gateway.recovery_findings(by_it, healthy, BACK_SECONDS)
    assert not gateway.served_findings(replicas_die.asks("back"))


@behaviour(
    "llmd.gateway.stream-cut", level=MUST, spec=RETRIES, timed=True,
    red_when="a stream whose replica was killed loses earlier text, hangs, or ends as if it were complete",
    mutant="gateway-buffers",
)  # fmt: skip
def test_a_stream_that_is_cut_is_told_so(replicas_die: RoutingRecording, measure: Measure) -> None:
    """Streams of a killed replica deliver the text generated so far and end with an error within 3 s."""
    rows, killed = replicas_die.asks("streams/killed"), replicas_die.note(KILLED)
    measure.value(told_s=max((row.end_ns - killed) / 1e9 for row in rows))
    assert not gateway.cut_findings(rows, killed, TOLD_SECONDS)


@behaviour(
    "llmd.gateway.other-streams-go-on", level=MUST, spec=RETRIES,
    red_when="streams of other replicas break when one is killed, or long responses are cut", mutant="gateway-hurries",
)  # fmt: skip
def test_other_streams_go_on(replicas_die: RoutingRecording) -> None:
    """When one replica is killed, the two-second streams of another one are completed."""
    assert not gateway.served_findings(replicas_die.asks("streams/alive"))


@pytest.mark.parametrize("method", ["POST", "GET"])
@behaviour(
    "llmd.gateway.all-dead", level=MUST, spec=RETRIES, timed=True,
    red_when="requests hang when all replicas are dead", mutant="gateway-never-gives-up",
)  # fmt: skip
def test_without_a_living_replica_requests_are_refused(replicas_die: RoutingRecording, method: str) -> None:
    """While every replica is dead and every Pod Ready, requests get a 5xx within 3 s."""
    assert not gateway.refused_findings(replicas_die.asks(f"all dead/{method}"), NEVER_LONG_SECONDS)


@behaviour(
    "llmd.gateway.not-ready-is-left-out", level=MUST, spec=POOL_SPEC,
    red_when="a Pod that is not Ready gets a request, or a request fails because of it", mutant="pool-of-yesterday",
)  # fmt: skip
def test_a_pod_that_is_not_ready_gets_no_request(readiness_changes: RoutingRecording) -> None:
    """As soon as a Pod is not Ready in the gateway's pool, every request is answered by another one."""
    assert not gateway.served_findings(readiness_changes.asks("out"), readiness_changes.note(OTHERS))


@behaviour(
    "llmd.gateway.ready-is-taken-in", level=MUST, spec=POOL_SPEC, timed=True,
    red_when="a Pod that became Ready again gets no requests", mutant="pool-only-shrinks",
)  # fmt: skip
def test_a_pod_that_becomes_ready_serves(readiness_changes: RoutingRecording, measure: Measure) -> None:
    """Within 5 s of being Ready again, a Pod serves the requests for which it is picked."""
    attempts, ready = readiness_changes.asks("coming in"), readiness_changes.note(READY)
    by_it = [row for row in attempts if row.served_by == readiness_changes.note(OUT)]
    measure.value(back_s=gateway.recovery_seconds(by_it, ready))
    assert not gateway.recovery_findings(by_it, ready, BACK_SECONDS)
    assert not gateway.served_findings(readiness_changes.asks("in"))


@behaviour(
    "llmd.gateway.hung-replica-beside", level=MUST, spec=RETRIES, timed=True,
    red_when="requests to other replicas wait or fail because one replica hangs", mutant="gateway-few-connections",
)  # fmt: skip
def test_a_hung_replica_holds_nobody_else(readiness_changes: RoutingRecording) -> None:
    """While four requests wait for a hung replica, requests to the others are answered within 1 s."""
    rows = readiness_changes.asks("beside")
    assert not gateway.served_findings(rows, readiness_changes.note(OTHERS))
    slow = [row for row in rows if row.took_s > AT_ONCE_SECONDS]
    assert not slow, routing.shown(slow)


@behaviour(
    "llmd.gateway.hung-replica-goes-on", level=SHOULD, spec=RETRIES, timed=True,
    red_when="requests that wait for a hung replica are lost, or answered by another one, when it resumes",
    mutant="gateway-hurries",
)  # fmt: skip
def test_requests_of_a_hung_replica_are_answered_when_it_goes_on(readiness_changes: RoutingRecording) -> None:
    """Requests that wait for a hung replica are answered by that replica when it resumes."""
    assert not gateway.served_findings(readiness_changes.asks("held"))


@behaviour(
    "llmd.gateway.standalone-dead-replica", level=INFO, spec="llm-d: standalone deployment, Envoy ORIGINAL_DST",
    red_when="a request whose picked replica is dead hangs, or is answered by a replica that was not picked",
    mutant="picker-not-asked",
    timed=True,
)  # fmt: skip
def test_the_standalone_design_refuses_for_a_dead_pick(
    standalone_replica_dies: RoutingRecording, measure: Measure
) -> None:
    """A standalone gateway without a pool answers 503 within 1 s if the picked replica is dead and its Pod Ready."""
    either = standalone_replica_dies.asks("either")
    measure.value(refused=len(either) - len(routing.answered(either)), asked=len(either))
    assert not gateway.refused_findings(standalone_replica_dies.asks("dead"), AT_ONCE_SECONDS, [503])


@behaviour(
    "llmd.gateway.standalone-not-ready", level=MUST, spec=POOL_SPEC,
    red_when="a Pod that is not Ready gets a request, or a request fails because of it", mutant="pool-of-yesterday",
)  # fmt: skip
def test_the_standalone_design_leaves_out_a_pod_that_is_not_ready(standalone_replica_dies: RoutingRecording) -> None:
    """Once the EPP has seen that a dead replica's Pod is not Ready, every request is answered by the other one."""
    rows = standalone_replica_dies.asks("not ready")
    assert not gateway.served_findings(rows, standalone_replica_dies.note(ALIVE))
