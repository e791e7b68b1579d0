"""The gateway does what the picker says, to the bytes that were sent, and nothing besides.

The picker is upstream's with the plugins of upstream's own conformance tests, so a request says where it is to go; in
the place of some replicas stands a model server of ours that keeps what arrived and answers exact bytes.
"""

from __future__ import annotations

import contextlib
import json
import threading

import pytest

from gpuassay import MUST, SHOULD, Manifest, Measure, Note, WaitTimeout, behaviour, known_defect, scenario, wait
from gpuassay.load.headers import DESTINATION
from gpuassay.systems.llmd.acts import recording_server as standin
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls, prescribed
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.recording_server import StandIn, standing_in
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording

PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/docs/proposals/"
    "004-endpoint-picker-protocol"
)
PANIC = "https://github.com/llm-d/llm-d-router/issues/981"
HTTP = "https://www.rfc-editor.org/rfc/rfc9110"

DESIGNS = ("override-host", "standalone")
QUICK = Latency(inter_token=0.02, factor_under_load=1.0, max_running=64, constant_ttft=0.0)
TOGETHER = 24
TOLD_SECONDS = 2.0
"""How long a gateway may take to tell a model server that its client has left: it is at once, or not at all."""
SIZES = {"200-kB": 200_000, "1500-kB": 1_500_000}


ENDPOINTS = Note("endpoints", dict[str, dict[str, str]], "endpoint of each replica, by design and name")
SEEN = Note("seen", dict[str, list[Manifest]], "requests that stand-ins of model servers got, by design")


@scenario(system="routing", timeout=60)
def put_through(lab: RoutingLab) -> None:
    """Requests that prescribe their endpoint, through both gateway designs; mock model servers check exact bytes."""
    for design in DESIGNS:
        lists = 2 if design == "override-host" else 1  # the other design takes one address and no list
        arm = prescribed(
            Arm(profile="random", replicas=4, cache=Cache(blocks=0), latency=QUICK, gateway=design), endpoints=lists
        )
        with opened(lab, arm, name=design) as site:
            calls, replicas = Calls(site), site.replicas
            lab.note_under(ENDPOINTS, design, {r.name: r.endpoint for r in replicas})
            for replica in replicas:
                calls.many(f"{design}/named", 4, to=[replica], label=replica.name)
            calls.many(f"{design}/get", 4, method="GET")
            claim = {DESTINATION: replicas[0].endpoint}
            calls.many(f"{design}/claimed", 6, to=[replicas[1]], label=replicas[1].name, headers=claim)
            with contextlib.ExitStack() as stack:
                inns = [stack.enter_context(standing_in(replica)) for replica in replicas[2:]]
                _with_stand_ins(calls, design, inns)
                seen = [{"pod": inn.name, **row} for inn in inns for row in inn.seen]
                lab.note_under(SEEN, design, seen)


def _with_stand_ins(calls: Calls, design: str, inns: list[StandIn]) -> None:
    first, *others = calls.site.replicas
    _, third, fourth = others
    for answer in (*standin.BODIES, *standin.REFUSALS):
        calls.one(f"{design}/bytes", to=[third], label=answer, headers={standin.ANSWER: answer})
    for label, size in SIZES.items():
        asked = {"model": calls.site.routing.model, "max_tokens": 1, "prompt": "word " * (size // 5), "user": "\u00fc"}
        calls.many(f"{design}/large", 2, to=[third], label=label, body=json.dumps(asked).encode())
    calls.one(
        f"{design}/stream", to=[third], stream=True, headers={standin.ANSWER: standin.STREAM},
        on_chunk=lambda _: inns[0].go_on() or True,
    )  # fmt: skip
    _together(calls, design, inns)
    _left(calls, design, inns[0])
    if design != "override-host":
        return
    calls.many(f"{design}/list", 16, to=[third, fourth])
    first.kill()
    calls.many(f"{design}/fallback", 12, to=[first, third], label=third.name)
    first.restart()
    envoy = calls.site.routing.envoy
    assert envoy is not None
    envoy.set_members([third.endpoint, fourth.endpoint])  # the picker knows nothing of it
    calls.many(f"{design}/outside", 8, to=[first], label=first.name)


def _together(calls: Calls, design: str, inns: list[StandIn]) -> None:
    """As many streams as `TOGETHER` that only go on when all have begun."""
    begun = threading.Semaphore(0)
    arrived: list[int] = []

    def on_chunk(number: int) -> bool:
        if number == 1:
            arrived.append(number)
            begun.release()
            if len(arrived) >= TOGETHER:
                for inn in inns:
                    inn.go_on()
        return True

    for inn in inns:
        inn.hold()
    calls.many(
        f"{design}/together", TOGETHER, at_once=TOGETHER, to=calls.site.replicas[2:], stream=True,
        headers={standin.ANSWER: standin.STREAM}, on_chunk=on_chunk,
    )  # fmt: skip


def _left(calls: Calls, design: str, inn: StandIn) -> None:
    """Streams without end that the client leaves after three chunks."""
    wave = f"{design}/left"
    calls.many(
        wave, 3, at_once=3, to=[calls.site.replicas[2]], stream=True, headers={standin.ANSWER: standin.ENDLESS},
        on_chunk=lambda number: number < 3,
    )  # fmt: skip

    def told() -> bool:
        mine = [row for row in inn.seen if str(row["label"]).startswith(wave)]
        return len(mine) >= 3 and all("left_ns" in row for row in mine)

    with contextlib.suppress(WaitTimeout):  # the judge sees it
        wait(told, bool, what="the model server to be told", timeout=2 * TOLD_SECONDS)


@scenario(system="routing", timeout=30)
def odd_usage(lab: RoutingLab) -> None:
    """A model server answers with malformed usage, and each time another one is requested afterwards."""
    arm = prescribed(Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=QUICK))
    with opened(lab, arm) as site, standing_in(site.replicas[1]):
        calls, picker = Calls(site), site.routing.picker
        assert picker is not None
        for usage in standin.ODD_USAGE:
            picker.child.may_die()
            calls.one(f"{usage}/odd", to=[site.replicas[1]], headers={standin.ANSWER: usage})
            calls.many(f"{usage}/after", 3, to=[site.replicas[0]], label=site.replicas[0].name)
            if not picker.child.alive:
                picker.start()
                calls.until(f"{usage}/again", lambda row: row.status == 200, seconds=10, to=[site.replicas[0]])


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("wave", ["named", "get"])
@behaviour(
    "llmd.gateway.picker-is-asked", level=MUST, spec=PROTOCOL,
    red_when="the gateway answers without consulting the endpoint picker", mutant="picker-not-asked",
)  # fmt: skip
def test_every_answer_went_through_the_picker(put_through: RoutingRecording, wave: str, design: str) -> None:
    """Every 200 carries the header that only the EPP adds, for requests with and without a body."""
    assert not routing.failure_findings(put_through.asks(f"{design}/{wave}"))
    assert not routing.asked_findings(put_through.asks(f"{design}/{wave}"))


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.pick-serves", level=MUST, spec=PROTOCOL,
    red_when="a request goes to another endpoint than the one that was picked", mutant="gateway-ignores-picks",
)  # fmt: skip
def test_the_picked_endpoint_serves(put_through: RoutingRecording, design: str) -> None:
    """Every request is served by the replica that the endpoint picker picked."""
    assert not gateway.served_findings(put_through.asks(f"{design}/named"))


@behaviour(
    "llmd.gateway.served-is-reported", level=MUST, spec=PROTOCOL,
    red_when="the gateway does not report to the EPP which endpoint served, or reports a wrong one",
    mutant="gateway-hides-who-served",
)  # fmt: skip
def test_the_picker_is_told_who_served(put_through: RoutingRecording) -> None:
    """The gateway reports to the endpoint picker the endpoint that actually served."""
    rows = put_through.asks("override-host/named")
    assert not gateway.reported_findings(rows, put_through.note(ENDPOINTS)["override-host"])


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.client-cannot-choose", level=MUST, spec=PROTOCOL,
    red_when="a client's own x-gateway-destination-endpoint header decides where its request goes",
    mutant="gateway-trusts-clients",
)  # fmt: skip
def test_a_client_cannot_choose_its_endpoint(put_through: RoutingRecording, design: str) -> None:
    """A destination header that a client sends is ignored, and the EPP's pick serves."""
    assert not gateway.served_findings(put_through.asks(f"{design}/claimed"))


@behaviour(
    "llmd.gateway.pick-outside-the-pool", level=MUST, spec=PROTOCOL,
    red_when="the gateway sends a request to an endpoint that is not in its pool", mutant="gateway-goes-anywhere",
)  # fmt: skip
def test_a_pick_outside_the_pool_is_not_followed(put_through: RoutingRecording, measure: Measure) -> None:
    """An endpoint that the EPP picks although it is not in the gateway's pool gets no request."""
    rows = put_through.asks("override-host/outside")
    measure.value(asked=len(rows), answered_by_members=len(routing.answered(rows)))
    assert not gateway.strayed_findings(rows, rows[0].label)


@behaviour(
    "llmd.gateway.first-of-list-serves", level=MUST, spec=PROTOCOL,
    red_when="another endpoint than the first of the picked list serves", mutant="gateway-ignores-picks",
)  # fmt: skip
def test_the_first_of_a_list_of_picks_serves(put_through: RoutingRecording) -> None:
    """Of an ordered list of picked endpoints that are alive, the first serves."""
    seen = [row for row in put_through.note(SEEN)["override-host"] if "/list#" in row["label"]]
    assert not gateway.order_findings(seen, put_through.note(ENDPOINTS)["override-host"], 16)


@behaviour(
    "llmd.gateway.list-falls-back", level=MUST, spec=PROTOCOL,
    red_when="a request fails although another endpoint of its picked list is alive, or goes to an endpoint not picked",
    mutant="gateway-never-retries",
)  # fmt: skip
def test_the_next_of_a_list_serves_when_the_first_is_dead(put_through: RoutingRecording) -> None:
    """Of two picked endpoints of which one is dead, the other serves every request."""
    assert not gateway.served_findings(put_through.asks("override-host/fallback"))


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.answer-bytes", level=MUST, spec=PROTOCOL,
    red_when="a byte of a response body is changed, lost or added", mutant="gateway-alters-answers",
)  # fmt: skip
def test_answers_arrive_byte_for_byte(put_through: RoutingRecording, design: str) -> None:
    """Unusual JSON, 2.5 MB of JSON, non-JSON and empty bodies reach the client as the model server sent them."""
    rows = [row for row in put_through.asks(f"{design}/bytes") if row.label in standin.BODIES]
    expected = {name: (200, standin.digest(body)) for name, body in standin.BODIES.items()}
    assert not gateway.bytes_findings(rows, expected)


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.refusals-pass", level=MUST, spec=HTTP,
    red_when="a model server's own error is replaced, or its request is retried",
    mutant="gateway-retries-refusals",
)  # fmt: skip
def test_a_model_servers_refusal_passes_unchanged(put_through: RoutingRecording, design: str) -> None:
    """A 503 or 404 of a model server reaches the client with its body, and the request is not retried."""
    rows = [row for row in put_through.asks(f"{design}/bytes") if row.label in standin.REFUSALS]
    expected = {name: (status, standin.digest(body)) for name, (status, body) in standin.REFUSALS.items()}
    assert not gateway.bytes_findings(rows, expected)
    assert not gateway.arrived_findings(f"{design}/bytes", rows, put_through.note(SEEN)[design])


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("size", SIZES)
@behaviour(
    "llmd.gateway.long-prompts", level=MUST, spec=PROTOCOL,
    red_when="a long prompt is refused, truncated or changed on its way through gateway and endpoint picker",
    mutant="gateway-limits-bodies",
)  # fmt: skip
def test_long_prompts_arrive_whole(put_through: RoutingRecording, size: str, design: str) -> None:
    """A request of 200 kB or of 1.5 MB arrives at the model server once, with the JSON that was sent."""
    rows = [row for row in put_through.asks(f"{design}/large") if row.label == size]
    assert not gateway.arrived_findings(f"{design}/large", rows, put_through.note(SEEN)[design])
    assert not routing.failure_findings(rows)


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.chunks-pass-at-once", level=MUST, spec=PROTOCOL, timed=True,
    red_when="a chunk of a stream is buffered until a later one is sent", mutant="gateway-buffers",
)  # fmt: skip
def test_the_first_chunk_arrives_before_the_second_exists(put_through: RoutingRecording, design: str) -> None:
    """The client has the first chunk of a stream before the model server sends the second."""
    wave = f"{design}/stream"
    [seen] = [row for row in put_through.note(SEEN)[design] if row["label"].startswith(f"{wave}#")]
    assert seen["went_on"], f"the client had received nothing {standin.GO_SECONDS:g} s after the first chunk was sent"
    sent = standin.digest(b"".join(standin.EVENTS))
    assert not routing.failure_findings(put_through.asks(wave))
    assert [row.body for row in put_through.asks(wave)] == [sent]


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.streams-together", level=MUST, spec=HTTP, timed=True,
    red_when="a stream waits for another one to end, or is refused because of it", mutant="gateway-few-connections",
)  # fmt: skip
def test_many_streams_are_open_at_the_same_time(put_through: RoutingRecording, design: str) -> None:
    """24 concurrent streams that continue only once all have started are all completed."""
    rows = put_through.asks(f"{design}/together")
    assert not routing.failure_findings(rows)
    seen = [row for row in put_through.note(SEEN)[design] if "/together#" in row["label"]]
    assert [row.get("went_on") for row in seen] == [True] * TOGETHER


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.leaving-is-told", level=SHOULD, spec=HTTP, timed=True,
    red_when="a model server keeps generating for a client that has disconnected", mutant="gateway-asks-twice",
)  # fmt: skip
def test_a_client_that_leaves_ends_the_generation(put_through: RoutingRecording, design: str) -> None:
    """When a client disconnects in mid-stream, the model server sees its connection closed within 2 s."""
    wave = f"{design}/left"
    assert not gateway.left_findings(put_through.asks(wave), put_through.note(SEEN)[design], wave, TOLD_SECONDS)


@pytest.mark.parametrize("design", DESIGNS)
@behaviour(
    "llmd.gateway.asked-once", level=MUST, spec=HTTP,
    red_when="a request reaches more than one replica, or one replica twice", mutant="gateway-asks-twice",
)  # fmt: skip
def test_a_request_arrives_once(put_through: RoutingRecording, design: str) -> None:
    """Each of 24 concurrent streams is received by one replica, once, with the JSON that was sent."""
    wave = f"{design}/together"
    rows = put_through.asks(wave)
    assert not routing.failure_findings(rows) + gateway.arrived_findings(wave, rows, put_through.note(SEEN)[design])


@behaviour(
    "llmd.gateway.no-usage-hurts-nobody", level=MUST, spec=PROTOCOL,
    red_when="a response with usage null makes the endpoint picker refuse or lose other requests",
    mutant="picker-not-asked",
)  # fmt: skip
def test_an_answer_without_usage_hurts_nobody_else(odd_usage: RoutingRecording) -> None:
    """After a response with usage null, requests to other replicas are still served through the endpoint picker."""
    rows = odd_usage.asks("usage-is-null/after")
    assert not gateway.served_findings(rows)
    assert not routing.asked_findings(rows)


@pytest.mark.parametrize("usage", ["usage-is-a-list", "tokens-are-text"])
@known_defect(
    PANIC, "the picker panics over usage of an unexpected type, and takes all requests with it",
    shows=r"expected at most 0 of \d+ requests to fail, seen \d+: #\d+ \S+: http-500",
)  # fmt: skip
@behaviour(
    "llmd.gateway.odd-usage-hurts-nobody", level=MUST, spec=PROTOCOL,
    red_when="a response with malformed usage makes requests to other replicas fail", mutant="picker-not-asked",
)  # fmt: skip
def test_odd_usage_of_one_answer_hurts_nobody_else(odd_usage: RoutingRecording, usage: str) -> None:
    """After a response with malformed usage, requests to other replicas are still answered."""
    assert not routing.failure_findings(odd_usage.asks(f"{usage}/after"))
