"""EPP core: a picker's health services, its end on SIGTERM, and the choice of a leader among several."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import grpc
import msgspec

from gpuassay import MUST, SHOULD, Manifest, Measure, Note, behaviour
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import asking, health
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.picker import HEALTH_SERVICE, Picker
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.epp_requests import EXT_PROC, events, small, usage
from suites.llmd.epps import per_epp

HEALTH = "https://github.com/grpc/grpc/blob/master/doc/health-checking.md"
TERMINATION = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"
LEADER = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/pull/1337"

EXTERNAL_PROCESSOR = "envoy.service.ext_proc.v3.ExternalProcessor"
SERVICES = ("", HEALTH_SERVICE, EXTERNAL_PROCESSOR)
ELECTION = ("--ha-enable-leader-election",)

IDLE_END = 2.0
"""Seconds for the end of a picker that has nothing to do; a Pod is given 30 by default."""
BUSY_END = 8.0
"""Seconds for its end while a stream is open that its client ends after a moment."""
TAKE_OVER = 6.0
"""Seconds until another picker leads when the leader ends in order; candidates try every 2 to 4.4 s (client-go's retry
period with its jitter)."""
AFTER_CRASH = 15.0 + 2 * 4.4
"""Seconds until it leads when the leader is killed: the lease's duration (controller-runtime's 15 s) counts from when
the candidate saw it renewed, which it looks at with each try, and then it tries again."""


class OpenStream(msgspec.Struct, frozen=True):
    """Which chunks came back, of how many, and the error that ended the stream, or ""."""

    back: list[bool]
    chunks: int
    error: str


class End(msgspec.Struct, frozen=True):
    """How long a picker took to end, in s, and its exit code; None where it had none yet."""

    seconds: float
    exit_code: int | None


HEALTHY = Note("health", dict[str, str], "what the health service says, by service")
STEPWISE = Note("stepwise", list[bool], "whether each chunk came back before the next was sent", default=None)
OPEN_STREAM = Note("open_stream", OpenStream, "a stream that was open at SIGTERM")
ENDS = Note("ends", dict[str, End], "how a picker ended on SIGTERM, by what it was doing")
CANDIDATES = Note("candidates", list[dict[str, str]], "what the health services of leader and standby say")
TAKE_OVER_S = Note(
    "take_over", float, "from the leader's end until the other is ready, in s; none: never", default=None
)
BEFORE = Note("before", str, "readiness of the standby while the leader lives")
LEFT = Note("left", Manifest, "the Lease when the leader was killed", default=None)
TAKEN = Note("taken", Manifest, "the Lease once the standby was ready", default=None)


@per_epp(timeout=20)
def ending(lab: RoutingLab, picker: str) -> None:
    """SIGTERM while a response streams through the endpoint picker, and again while it is idle."""
    with opened(lab, small(picker, replicas=2, profile="random")) as site:
        with asking(site) as epp:
            lab.note(HEALTHY, {service: health(lab, epp.picker, service) for service in SERVICES})
            chunks = events(site.routing.model, usage(5, 5, 0))
            stream = epp.connection.stream(timeout=BUSY_END)
            stream.request(epp.body("a long answer"))
            back: list[bool] = []
            error = ""
            try:
                stream.begin_response({"content-type": "text/event-stream"})
                back = [stream.next_chunk(part, last=False) == part for part in chunks[:3]]
                lab.note(STEPWISE, back)
            except (grpc.RpcError, EOFError) as broke:
                error = type(broke).__name__
            if lab.mutant is not None:
                lab.mutant.disturb(site.routing)
            with _terminated(lab, epp.picker, "busy"):
                lab.observe(lambda: health(lab, epp.picker) != "SERVING", "no longer healthy", timeout=1.5)
                # health and processing end one after the other: what comes in between is still taken
                lab.observe(
                    lambda: not epp.ask("while-ending", epp.body("too late"), timeout=1).picked,
                    "new requests no longer taken", timeout=1.5,
                )  # fmt: skip
                try:
                    rest = chunks[3:]
                    back += [stream.next_chunk(part, last=part is rest[-1]) == part for part in rest]
                except (grpc.RpcError, EOFError) as broke:
                    error = error or type(broke).__name__
                stream.close()
            lab.note(OPEN_STREAM, OpenStream(back, len(chunks), error))
        found = site.routing.picker
        assert found is not None
        found.start()
        found.await_ready_pods(2)
        if lab.mutant is not None:
            lab.mutant.disturb(site.routing)
        with _terminated(lab, found, "idle"):
            pass


@contextmanager
def _terminated(lab: RoutingLab, picker: Picker, label: str) -> Generator[None]:
    """SIGTERM to a picker for the length of a `with` block; notes after it how long the end took, and the exit code."""
    process = picker.child.process
    assert process is not None
    began = time.monotonic()
    ended: list[float] = []

    def end() -> None:
        process.stop(BUSY_END)  # SIGTERM alone: one that hangs is not woken up for it
        ended.append(round(time.monotonic() - began, 3))

    waiting = threading.Thread(target=end, name=f"end of {picker.child.name}")
    waiting.start()
    try:
        yield
    finally:
        waiting.join()
        lab.note_under(ENDS, label, End(ended[0], process.exit_code))


def _elected(lab: RoutingLab, site: Deployment, flags: tuple[str, ...], stack: ExitStack) -> tuple[Picker, Picker]:
    """Two more pickers of the arm's pool, the first of which leads if there is an election; they end with `stack`."""
    arms = site.routing.picker
    assert arms is not None
    first, second = arms.sibling("first", extra=flags), arms.sibling("second", extra=flags)
    for one in (first, second):
        stack.callback(one.child.terminate, 2)
        one.launch()
        lab.until(lambda one=one: health(lab, one, "liveness") != "UNAVAILABLE", "a picker to answer", timeout=10)
        lab.observe(lambda: health(lab, first, "readiness") == "SERVING", "the first one leads", timeout=6)
    return first, second


def _lease(lab: RoutingLab, site: Deployment) -> Manifest | None:
    """Holder, renewal and duration of the pool's lease as it is now, None where there is none."""
    return next((lease["spec"] for lease in lab.api.list("Lease", site.routing.namespace)), None)


@per_epp(timeout=20)
def leading(lab: RoutingLab, picker: str) -> None:
    """Two endpoint pickers of one pool elect a leader; the leader shuts down cleanly, and the other takes over."""
    asked = small(picker, replicas=2, profile="random", flags=ELECTION)
    flags = (lab.mutant.change_arm(asked) if lab.mutant is not None else asked).picker_flags
    with opened(lab, small(picker, replicas=2, profile="random")) as site, ExitStack() as stack:
        first, second = _elected(lab, site, flags, stack)
        names = ("liveness", "readiness", *SERVICES)
        lab.note(CANDIDATES, [{service: health(lab, one, service) for service in names} for one in (first, second)])
        with asking(site, first) as epp:
            epp.ask("leader", epp.body("hello"))
        began = time.monotonic()
        first.child.terminate(3)
        seen = lab.observe(lambda: health(lab, second, "readiness") == "SERVING", "the second one leads", timeout=8)
        lab.note(TAKE_OVER_S, round(time.monotonic() - began, 3) if seen else None)
        with asking(site, second) as epp:
            epp.ask("successor", epp.body("hello"))


@per_epp(timeout=45)
def crashing(lab: RoutingLab, picker: str) -> None:
    """Two endpoint pickers of one pool elect a leader; it is killed, and the other waits for its lease to expire."""
    asked = small(picker, replicas=2, profile="random", flags=ELECTION)
    flags = (lab.mutant.change_arm(asked) if lab.mutant is not None else asked).picker_flags
    with opened(lab, small(picker, replicas=2, profile="random")) as site, ExitStack() as stack:
        first, second = _elected(lab, site, flags, stack)
        lab.note(BEFORE, health(lab, second, "readiness"))
        first.kill()
        began = time.monotonic()
        lab.note(LEFT, _lease(lab, site))
        seen = lab.observe(lambda: health(lab, second, "readiness") == "SERVING", "the second one leads", timeout=30)
        lab.note(TAKE_OVER_S, round(time.monotonic() - began, 3) if seen else None)
        lab.note(TAKEN, _lease(lab, site))
        with asking(site, second) as epp:
            epp.ask("successor", epp.body("hello"))


@behaviour(
    "llmd.epp-life.healthy", level=MUST, spec=HEALTH, mutant="epp-never-healthy", timed=True,
    red_when="a working endpoint picker fails its health check and is taken out of service",
)  # fmt: skip
def test_a_picker_that_serves_says_so(ending: RoutingRecording) -> None:
    """A working EPP reports SERVING for the empty service name, for ext_proc, and for the name that charts probe."""
    assert ending.note(HEALTHY) == dict.fromkeys(SERVICES, "SERVING")


@behaviour(
    "llmd.epp.response-not-held-back", level=MUST, spec=EXT_PROC, mutant="epp-response-buffered", timed=True,
    red_when="a chunk of a streamed response is held back until later ones arrive",
)  # fmt: skip
def test_each_chunk_comes_back_before_the_next_arrives(ending: RoutingRecording) -> None:
    """A streamed response is not held back: each chunk comes back before the next one has been sent."""
    assert ending.note(STEPWISE) == [True, True, True]


@behaviour(
    "llmd.epp-life.ends-idle", level=MUST, spec=TERMINATION, mutant="picker-frozen", timed=True,
    red_when="an idle endpoint picker outlives SIGTERM, or exits with an error",
)  # fmt: skip
def test_an_idle_picker_ends_at_once(ending: RoutingRecording, measure: Measure) -> None:
    """On SIGTERM an idle endpoint picker exits within 2 s with code 0."""
    end = ending.note(ENDS)["idle"]
    measure.value(end_s=end.seconds)
    measure.threshold(IDLE_END)
    assert end.exit_code == 0
    assert end.seconds <= IDLE_END


@behaviour(
    "llmd.epp-life.not-healthy-when-ending", level=MUST, spec=TERMINATION, mutant="epp-always-healthy", timed=True,
    red_when="a terminating endpoint picker still reports SERVING or takes new requests",
)  # fmt: skip
def test_an_ending_picker_is_not_healthy(ending: RoutingRecording) -> None:
    """After SIGTERM an EPP stops reporting SERVING and takes no new requests, even with a stream still open."""
    assert ending.observed("no longer healthy")
    assert ending.observed("new requests no longer taken")
    assert not ending.calls("while-ending")[-1].picked


@behaviour(
    "llmd.epp-life.drains", level=SHOULD, spec=TERMINATION, mutant="epp-response-dropped", timed=True,
    red_when="a rolling update of the endpoint picker breaks responses in flight",
)  # fmt: skip
def test_an_ending_picker_finishes_open_streams(ending: RoutingRecording, measure: Measure) -> None:
    """A response that is streaming when the EPP gets SIGTERM is passed on to its end, and the EPP exits with 0."""
    stream, end = ending.note(OPEN_STREAM), ending.note(ENDS)["busy"]
    measure.value(end_s=end.seconds)
    assert stream.error == ""
    assert stream.back == [True] * stream.chunks
    assert end.exit_code == 0


@behaviour(
    "llmd.epp-life.one-leader", level=MUST, spec=LEADER, mutant="leader-election-off", timed=True,
    red_when="several endpoint pickers report ready, so that each sees only part of the requests",
)  # fmt: skip
def test_one_picker_leads(leading: RoutingRecording) -> None:
    """Of two endpoint pickers with leader election both are live, and only the leader is ready."""
    leader, standby = leading.note(CANDIDATES)
    assert {leader["liveness"], standby["liveness"]} == {"SERVING"}
    ready = ("readiness", "", EXTERNAL_PROCESSOR)
    assert [leader[service] for service in ready] == ["SERVING"] * 3
    assert [standby[service] for service in ready] == ["NOT_SERVING"] * 3
    assert not judge.picked_findings(leading.calls("leader"))


@behaviour(
    "llmd.epp-life.takes-over", level=SHOULD, spec=LEADER, mutant="epp-never-healthy", timed=True,
    red_when="no endpoint picker serves after the leader has shut down",
)  # fmt: skip
def test_another_picker_takes_over(leading: RoutingRecording, measure: Measure) -> None:
    """When the leader shuts down cleanly, the other endpoint picker is ready within 6 s, and picks."""
    took = leading.note(TAKE_OVER_S)
    measure.value(take_over_s=took)
    measure.threshold(TAKE_OVER)
    assert took is not None
    assert took <= TAKE_OVER
    assert not judge.picked_findings(leading.calls("successor"))


@behaviour(
    "llmd.epp-life.takes-over-after-crash", level=SHOULD, spec=LEADER, mutant="epp-never-healthy", timed=True,
    red_when="no endpoint picker serves after the leader has crashed",
)  # fmt: skip
def test_another_picker_takes_over_after_a_crash(crashing: RoutingRecording, measure: Measure) -> None:
    """When the leader is killed, the standby is ready within 23.8 s (15 s lease and two retries), and picks."""
    took = crashing.note(TAKE_OVER_S)
    measure.value(take_over_s=took)
    measure.threshold(AFTER_CRASH)
    assert took is not None
    assert took <= AFTER_CRASH
    assert not judge.picked_findings(crashing.calls("successor"))


@behaviour(
    "llmd.epp-life.lease-respected", level=MUST, spec=LEADER, mutant="leader-election-off", timed=True,
    red_when="a standby takes the lead while another's lease is still valid, so that two lead at once",
)  # fmt: skip
def test_nobody_leads_before_the_lease_has_run_out(crashing: RoutingRecording, measure: Measure) -> None:
    """The standby takes over the lease of a dead leader only after that lease has expired."""
    left, taken = crashing.note(LEFT), crashing.note(TAKEN)
    assert crashing.note(BEFORE) == "NOT_SERVING"
    assert left is not None
    assert taken is not None
    assert left["holderIdentity"] != taken["holderIdentity"]
    acquired, renewed = (datetime.fromisoformat(at) for at in (taken["acquireTime"], left["renewTime"]))
    waited = (acquired - renewed).total_seconds()
    measure.value(waited_s=round(waited, 3))
    measure.threshold(left["leaseDurationSeconds"])
    assert waited >= left["leaseDurationSeconds"]
