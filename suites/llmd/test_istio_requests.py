"""What Istio's gateway does to requests: to whom they go, large bodies, streams, and clients that leave.

The picker is upstream's with the plugins of upstream's conformance tests, so a request says where it is to go; in the
place of some replicas stands a model server of ours that keeps what arrived.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from gpuassay import MUST, SHOULD, Manifest, Note, WaitTimeout, behaviour, scenario, wait
from gpuassay.systems.llmd.acts import recording_server as standin
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import Calls, prescribed
from gpuassay.systems.llmd.acts.istio import NEEDS
from gpuassay.systems.llmd.acts.recording_server import standing_in
from gpuassay.systems.llmd.component.simulator import Cache, Latency
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import gateway, routing
from gpuassay.systems.llmd.readings import RoutingRecording

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.lab import RoutingLab
    from gpuassay.systems.llmd.acts.recording_server import StandIn

PROTOCOL = (
    "https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/v1.4.0/docs/proposals/"
    "004-endpoint-picker-protocol"
)
HTTP = "https://www.rfc-editor.org/rfc/rfc9110"
QUICK = Latency(inter_token=0.02, factor_under_load=1.0, max_running=64, constant_ttft=0.0)
LARGE = 200_000
"""Bytes of a prompt: more than Envoy's buffers of 32 KiB to 1 MiB would hold by default on some ways."""
TOLD_SECONDS = 2.0


ENDPOINTS = Note("endpoints", dict[str, str], "endpoint of each replica")
SEEN = Note("seen", list[Manifest], "requests that the mock server got")


@scenario(system="routing", needs=NEEDS, timeout=40)
def through_istio(lab: RoutingLab) -> None:
    """Requests that prescribe their endpoint, large ones, streams, and client disconnects, partly to a mock server."""
    arm = prescribed(Arm(profile="random", replicas=3, cache=Cache(blocks=0), latency=QUICK, gateway="istio"))
    with opened(lab, arm) as site:
        calls, replicas = Calls(site), site.replicas
        lab.note(ENDPOINTS, {replica.name: replica.endpoint for replica in replicas})
        for replica in replicas:
            calls.many("named", 4, to=[replica], label=replica.name)
        with standing_in(replicas[2]) as inn:
            asked = {"model": site.routing.model, "max_tokens": 1, "prompt": "word " * (LARGE // 5)}
            calls.many("large", 2, to=[replicas[2]], label=inn.name, body=json.dumps(asked).encode())
            calls.one(
                "stream", to=[replicas[2]], stream=True, headers={standin.ANSWER: standin.STREAM},
                on_chunk=lambda _: inn.go_on() or True,
            )  # fmt: skip
            _left(calls, inn)
            lab.note(SEEN, [{"pod": inn.name, **row} for row in inn.seen])


def _left(calls: Calls, inn: StandIn) -> None:
    """Streams without end that the client leaves after three chunks."""
    calls.many(
        "left", 3, at_once=3, to=[calls.site.replicas[2]], stream=True, headers={standin.ANSWER: standin.ENDLESS},
        on_chunk=lambda number: number < 3,
    )  # fmt: skip

    def told() -> bool:
        mine = [row for row in inn.seen if str(row["label"]).startswith("left")]
        return len(mine) >= 3 and all("left_ns" in row for row in mine)

    with contextlib.suppress(WaitTimeout):  # the judge sees it
        wait(told, bool, what="the model server to be told", timeout=2 * TOLD_SECONDS)


@behaviour(
    "llmd.istio.pick-is-obeyed", level=MUST, spec=PROTOCOL,
    red_when="a request goes to another endpoint than the one that was picked", mutant="istio-ignores-picks",
)  # fmt: skip
def test_istio_sends_requests_where_the_picker_says(through_istio: RoutingRecording) -> None:
    """Each of 12 requests is served by the replica that was picked for it."""
    assert not gateway.served_findings(through_istio.asks("named"))


@behaviour(
    "llmd.istio.served-is-reported", level=MUST, spec=PROTOCOL,
    red_when="the gateway does not report to the EPP which endpoint served, or reports a wrong one",
    mutant="istio-misreports",
)  # fmt: skip
def test_istio_tells_the_picker_who_served(through_istio: RoutingRecording) -> None:
    """Istio reports to the endpoint picker the endpoint that actually served."""
    assert not gateway.reported_findings(through_istio.asks("named"), through_istio.note(ENDPOINTS))


@pytest.mark.parametrize("wave", ["named", "large", "stream"])
@behaviour(
    "llmd.istio.requests-are-asked", level=MUST, spec=PROTOCOL,
    red_when="requests, such as large ones, bypass the endpoint picker", mutant="istio-picker-cut-out",
)  # fmt: skip
def test_istio_asks_the_picker_whatever_the_request(through_istio: RoutingRecording, wave: str) -> None:
    """Responses to small and large requests and to streams carry the header that only the EPP adds."""
    assert not routing.failure_findings(through_istio.asks(wave))
    assert not routing.asked_findings(through_istio.asks(wave))


@behaviour(
    "llmd.istio.large-requests", level=MUST, spec=HTTP,
    red_when="a prompt of 200 kB is refused, cut, or arrives twice", mutant="istio-limits-bodies",
)  # fmt: skip
def test_a_large_prompt_arrives_once_and_whole(through_istio: RoutingRecording) -> None:
    """A prompt of 200 kB arrives at the picked model server once, with the JSON that was sent."""
    rows = through_istio.asks("large")
    assert not gateway.served_findings(rows)
    assert not gateway.arrived_findings("large", rows, through_istio.note(SEEN))


@behaviour(
    "llmd.istio.streams-are-not-held", level=MUST, spec=HTTP, timed=True,
    red_when="the first chunk of a stream is buffered until the response is complete", mutant="istio-buffers",
)  # fmt: skip
def test_the_first_chunk_comes_before_the_second_is_sent(through_istio: RoutingRecording) -> None:
    """The client has the first chunk of a stream before the model server sends the second."""
    [row] = through_istio.asks("stream")
    [there] = [one for one in through_istio.note(SEEN) if one["label"].startswith("stream#")]
    assert not routing.failure_findings([row])
    assert there["went_on"], f"the client did not get the first chunk while the model server waited for it: {there}"


@behaviour(
    "llmd.istio.leaving-is-told", level=SHOULD, spec=HTTP, timed=True,
    red_when="a model server keeps sending to a client that has disconnected", mutant="istio-buffers",
)  # fmt: skip
def test_a_client_that_leaves_is_told_to_the_model_server(through_istio: RoutingRecording) -> None:
    """Within 2 s of a client's disconnecting in mid-stream, the model server sees its connection closed."""
    rows, seen = through_istio.asks("left"), through_istio.note(SEEN)
    assert not gateway.left_findings(rows, seen, "left", TOLD_SECONDS)
