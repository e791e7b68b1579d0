"""EPP core: the endpoint picker protocol, asked of a picker directly, with no gateway in between.

A gateway hides half of what a picker does wrong: it takes the header or the metadata, repairs a choice outside the pool
by a fallback, and turns every refusal into an error of its own.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from gpuassay import MUST, SHOULD, Measure, behaviour
from gpuassay.systems.llmd.acts.deployment import Site, opened
from gpuassay.systems.llmd.acts.epp import Asking, asking, gauge, settled
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.epp_requests import EXT_PROC, OPENAI, REPLICAS, small
from suites.llmd.epps import PROTOCOL, per_epp

BUSY = 30
"""Waiting requests of every replica but one, which is the choice for every request then; the mean is a whole number,
since pickers round it."""
CHUNKINGS = (1, 2, 3, 5, 8, 13, 50, 1, 2, 3, 5, 8)
LARGE = 220_000
"""Bytes of a large prompt; a picker hands chunks on, and Envoy's limit for one is 64 KiB."""
LARGEST_CHUNK = 64 * 1024
EXACT = 2**53 + 1
"""The first whole number that a double cannot hold."""

ABSURD = {
    "no JSON": b'{"model": "x", "prompt": ',
    "plain text": b"hello",
    "empty": b"",
    "a list": b'["model", "prompt"]',
}
NAMELESS = {
    "no model": b'{"prompt": "hello", "max_tokens": 1}',
    "model is a number": b'{"model": 5, "prompt": "hello"}',
    "model is null": b'{"model": null, "prompt": "hello"}',
}


def load(waiting: int) -> dict[str, float]:
    """What a replica reports of itself."""
    return {"waiting-requests": waiting, "running-requests": waiting, "kv-cache-usage": 0}


def _requests(site: Site, epp: Asking) -> None:
    """Requests in every form, while one replica is less loaded than the others."""
    idle = site.replicas[1]
    idle.admin({"fake-metrics": load(0)})
    settled(epp, waiting=BUSY * (REPLICAS - 1) // REPLICAS)
    body = epp.body("The same request in chunks. " * 40)
    for count in CHUNKINGS:
        epp.ask("chunks", body, label=f"{count} chunks", count=count)
    epp.ask("large", epp.body("word " * (LARGE // 5)), count=8)
    epp.ask("numbers", epp.body("A seed that no double holds.", seed=EXACT))
    epp.ask("characters", epp.body('<b> & "quotes" \u00e4\u4e16\u754c\U0001f600 \\ \u2028'), count=3)
    epp.ask("trailers", body, trailers=True, timeout=1)
    for label, forms in (("strings", ["a", "b"]), ("tokens", [1, 2, 3])):
        epp.ask("prompt-forms", json.dumps({"model": site.routing.model, "prompt": forms}).encode(), label=label)
    chat = json.dumps({"model": site.routing.model, "messages": [{"role": "user", "content": "hello"}]}).encode()
    epp.ask("chat", chat, path="/v1/chat/completions", count=2)
    with ThreadPoolExecutor(16) as pool:
        bodies = [epp.body(f"stream {number} " * 20) for number in range(32)]
        for asked in [pool.submit(epp.ask, "at-once", one, count=4) for one in bodies]:
            asked.result()
    for label, absurd in ABSURD.items():
        epp.ask("absurd", absurd, label=label)
    for label, nameless in NAMELESS.items():
        epp.ask("nameless", nameless, label=label)
    epp.ask("after-refusals", epp.body("still there?"))


def _hints(site: Site, epp: Asking) -> None:
    """What the gateway allows, against what the load alone would choose."""
    members = [replica.endpoint for replica in site.replicas]
    body = epp.body("hello")
    for allowed in ([members[0]], [members[2]], [members[1]], [members[0], members[2]], ["127.0.0.1:1", members[2]]):
        epp.ask("hint", body, label=" or ".join(allowed), subset=allowed)
    epp.ask("hint-empty", body, subset=[])
    epp.ask("hint-strangers", body, subset=["127.0.0.1:1", "10.9.8.7:8000"])
    first, second = site.replicas[0], site.replicas[1]
    epp.ask("hint-port", body, label="address of one, port of another", subset=[f"{first.address}:{second.port}"])
    for _ in range(12):
        epp.ask("hint-bodyless", None, path="/v1/models", subset=[members[0]])
    epp.ask("client-names", body, headers={"x-gateway-destination-endpoint": "127.0.0.1:1"})
    epp.ask("client-names", body, headers={"X-Gateway-Destination-Endpoint": members[0]}, label="upper case")


@per_epp(timeout=25)
def protocol(lab: RoutingLab, picker: str) -> None:
    """Requests in every form; then hints; then with no endpoint ready, and with all of them again."""
    with opened(lab, small(picker, load=load(BUSY))) as site, asking(site) as epp:
        _requests(site, epp)
        for path in ("/v1/models", "/health", "/v1/models"):
            epp.ask("bodyless", None, path=path)
        _hints(site, epp)
        for replica in site.replicas:
            site.routing.endpoints.set_ready(replica.name, False)
        lab.observe(lambda: gauge(lab, epp.picker) == 0, "no endpoint ready", timeout=5)
        epp.ask("none-ready", epp.body("hello"))
        epp.ask("none-ready", epp.body("hello"), count=3)
        epp.ask("none-ready-bodyless", None, path="/v1/models")
        for replica in site.replicas:
            site.routing.endpoints.set_ready(replica.name, True)
        lab.observe(lambda: gauge(lab, epp.picker) == REPLICAS, "all endpoints ready again", timeout=5)
        epp.ask("ready-again", epp.body("hello"))


def _chosen(recording: RoutingRecording) -> list[judge.Row]:
    """Every row of a wave in which an endpoint must have been chosen, except known special cases."""
    waves = ("chunks", "large", "characters", "chat", "at-once", "bodyless", "after-refusals", "ready-again")
    return [row for wave in waves for row in recording.asks(wave)]


@behaviour(
    "llmd.epp.header-equals-metadata", level=MUST, spec=PROTOCOL, mutant="epp-metadata-lost",
    red_when="the choice is missing from the header or the dynamic metadata, or they differ",
)  # fmt: skip
def test_header_and_metadata_name_the_same_endpoint(protocol: RoutingRecording) -> None:
    """The choice stands in the request header and in the dynamic metadata, and is the same in both."""
    assert not judge.agreement_findings(_chosen(protocol))


@behaviour(
    "llmd.epp.endpoint-in-pool", level=MUST, spec=PROTOCOL, mutant="epp-foreign-endpoint",
    red_when="an endpoint is picked that is no address and port of the pool",
)  # fmt: skip
def test_every_choice_is_an_endpoint_of_the_pool(protocol: RoutingRecording) -> None:
    """Every choice is address and port of an endpoint of the InferencePool."""
    assert not judge.membership_findings(_chosen(protocol), protocol.notes["members"])


@behaviour(
    "llmd.epp.route-cache-cleared", level=SHOULD, spec=EXT_PROC, mutant="epp-route-cache-kept",
    red_when="a gateway that routes by the header keeps the route that it had chosen without it",
)  # fmt: skip
def test_the_gateway_is_told_to_choose_its_route_anew(protocol: RoutingRecording) -> None:
    """Every choice comes with the request to clear the gateway's route cache."""
    assert not judge.route_cache_findings(_chosen(protocol))


@behaviour(
    "llmd.epp.chunks-same-pick", level=MUST, spec=PROTOCOL, mutant="picker-random", timed=True,
    red_when="the choice depends on how the gateway cuts the body, or is made on a part of it",
)  # fmt: skip
def test_the_choice_does_not_depend_on_how_the_body_is_cut(protocol: RoutingRecording, measure: Measure) -> None:
    """A body in any number of chunks leads to the choice that the whole body leads to: the least loaded replica."""
    rows = protocol.asks("chunks")
    measure.value(requests=len(rows))
    assert not judge.same_pick_findings(rows, least=len(CHUNKINGS))


@behaviour(
    "llmd.epp.request-body-kept", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a request reaches the model server with another meaning than it was sent with",
)  # fmt: skip
def test_request_bodies_are_handed_on_with_their_meaning(protocol: RoutingRecording) -> None:
    """A request's body is handed on whole and with the same meaning, whatever characters it holds."""
    assert not judge.body_findings([*protocol.asks("chunks"), *protocol.asks("characters"), *protocol.asks("chat")])


@behaviour(
    "llmd.epp.request-numbers-kept", level=SHOULD, spec=OPENAI,
    red_when="a whole number beyond 2^53, such as a seed, reaches the model server as another number",
)  # fmt: skip
def test_large_numbers_in_requests_are_kept(protocol: RoutingRecording) -> None:
    """Whole numbers in a request are handed on exactly, also those that a double cannot hold."""
    assert not judge.body_findings(protocol.asks("numbers"))


@behaviour(
    "llmd.epp.large-body", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a 220 kB prompt is refused or comes through in part",
)  # fmt: skip
def test_a_large_request_comes_through_whole(protocol: RoutingRecording) -> None:
    """A request of 220 kB is routed and handed on whole."""
    assert not judge.body_findings(protocol.asks("large"))


@behaviour(
    "llmd.epp.large-body-in-chunks", level=SHOULD, spec=EXT_PROC, mutant="epp-chunks-enlarged",
    red_when="a body is handed on in chunks larger than gateways take",
)  # fmt: skip
def test_a_large_request_is_handed_on_in_chunks(protocol: RoutingRecording) -> None:
    """A large body is handed on in chunks of at most 64 KiB."""
    assert not judge.chunk_findings(protocol.asks("large"), LARGEST_CHUNK)


@behaviour(
    "llmd.epp.trailers-end-the-body", level=SHOULD, spec=EXT_PROC,
    red_when="a request whose body is ended by trailers hangs",
)  # fmt: skip
def test_trailers_end_a_body_too(protocol: RoutingRecording) -> None:
    """A request whose body is ended by trailers instead of a mark on its last chunk is routed, too."""
    assert not judge.picked_findings(protocol.asks("trailers"))


@behaviour(
    "llmd.epp.prompt-forms", level=SHOULD, spec=OPENAI,
    red_when="a prompt given as a list of strings or of tokens is refused",
)  # fmt: skip
def test_prompts_may_be_lists(protocol: RoutingRecording) -> None:
    """A completion's prompt may be a string, a list of strings, or a list of tokens."""
    assert not judge.picked_findings(protocol.asks("prompt-forms"))


@behaviour(
    "llmd.epp.bodyless-routed", level=MUST, spec=PROTOCOL, mutant="epp-bodyless-refused",
    red_when="a GET, such as of the list of models, is refused or hangs",
)  # fmt: skip
def test_requests_without_a_body_are_routed(protocol: RoutingRecording) -> None:
    """A request without a body is sent to some endpoint of the pool."""
    rows = protocol.asks("bodyless")
    assert not [*judge.agreement_findings(rows), *judge.membership_findings(rows, protocol.notes["members"])]


@behaviour(
    "llmd.epp.streams-apart", level=MUST, spec=EXT_PROC, mutant="epp-streams-mixed",
    red_when="requests at the same time get each other's bodies or none",
)  # fmt: skip
def test_requests_at_once_are_kept_apart(protocol: RoutingRecording) -> None:
    """Of 32 requests, 16 at a time, each gets a choice and its own body back."""
    rows = protocol.asks("at-once")
    assert len(rows) == 32
    assert not judge.body_findings(rows)


@behaviour(
    "llmd.epp.invalid-json-refused", level=MUST, spec=PROTOCOL, mutant="epp-errors-forgiven",
    red_when="a body that is no JSON object is routed, hangs, or counts as the server's fault",
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(protocol: RoutingRecording) -> None:
    """A body that is no JSON object is refused with 400."""
    assert not judge.refused_findings(protocol.asks("absurd"), 400)


@behaviour(
    "llmd.epp.missing-model-refused", level=MUST, spec=PROTOCOL, mutant="epp-refusals-are-500",
    red_when="a request that names no model is routed, hangs, or counts as the server's fault",
)  # fmt: skip
def test_a_request_without_a_model_is_refused(protocol: RoutingRecording) -> None:
    """A request that names no model is refused with 400, and the picker goes on."""
    assert not judge.refused_findings(protocol.asks("nameless"), 400)
    assert not judge.picked_findings(protocol.asks("after-refusals"))


@behaviour(
    "llmd.epp.hint-obeyed", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an endpoint is picked that the gateway did not allow",
)  # fmt: skip
def test_only_endpoints_that_the_gateway_allows_are_picked(protocol: RoutingRecording) -> None:
    """With a list of allowed endpoints the choice is one of them, although another one is less loaded."""
    assert not judge.hint_findings(protocol.asks("hint"))


@behaviour(
    "llmd.epp.hint-empty-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an empty list of allowed endpoints allows all",
)  # fmt: skip
def test_an_empty_list_allows_nothing(protocol: RoutingRecording) -> None:
    """With an empty list of allowed endpoints a request is refused with 503."""
    assert not judge.refused_findings(protocol.asks("hint-empty"), 503)


@behaviour(
    "llmd.epp.hint-of-strangers-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="a list of endpoints of which none is in the pool allows all",
)  # fmt: skip
def test_a_list_of_strangers_allows_nothing(protocol: RoutingRecording) -> None:
    """When no allowed endpoint is in the pool a request is refused with 503."""
    assert not judge.refused_findings(protocol.asks("hint-strangers"), 503)


@behaviour(
    "llmd.epp.hint-names-ports", level=MUST, spec=PROTOCOL,
    red_when="an endpoint at an allowed address is picked although its port was not allowed",
)  # fmt: skip
def test_a_list_names_ports_too(protocol: RoutingRecording) -> None:
    """An endpoint is allowed by address and port: the same address with another port is another endpoint."""
    assert not judge.refused_findings(protocol.asks("hint-port"), 503)


@behaviour(
    "llmd.epp.hint-obeyed-bodyless", level=MUST, spec=PROTOCOL,
    red_when="a request without a body goes to an endpoint that the gateway did not allow",
)  # fmt: skip
def test_a_list_holds_for_requests_without_a_body(protocol: RoutingRecording) -> None:
    """The gateway's list holds for requests without a body, too."""
    assert not judge.hint_findings(protocol.asks("hint-bodyless"))


@behaviour(
    "llmd.epp.clients-cannot-choose", level=MUST, spec=PROTOCOL, mutant="epp-trusts-clients", timed=True,
    red_when="a client reaches an endpoint by naming it in a header",
)  # fmt: skip
def test_a_client_cannot_choose_by_header(protocol: RoutingRecording) -> None:
    """What a client writes into the destination header has no effect: the least loaded replica is picked."""
    rows = protocol.asks("client-names")
    assert not judge.agreement_findings(rows)
    assert not judge.same_pick_findings([*rows, *protocol.asks("chunks")])


@behaviour(
    "llmd.epp.none-ready-refused", level=MUST, spec=PROTOCOL, mutant="epp-refusals-are-500", timed=True,
    red_when="a request is routed, hangs or breaks while no endpoint is ready",
)  # fmt: skip
def test_without_a_ready_endpoint_requests_are_refused(protocol: RoutingRecording) -> None:
    """While no endpoint is ready a request is refused with 503, and routed again afterwards."""
    assert not judge.refused_findings(protocol.asks("none-ready"), 503)
    assert not judge.picked_findings(protocol.asks("ready-again"))


@behaviour(
    "llmd.epp.none-ready-refused-bodyless", level=SHOULD, spec=PROTOCOL,
    red_when="a request without a body fails as the picker's own error while no endpoint is ready",
)  # fmt: skip
def test_without_a_ready_endpoint_requests_without_a_body_are_refused(protocol: RoutingRecording) -> None:
    """While no endpoint is ready a request without a body is refused with 503, too."""
    assert not judge.refused_findings(protocol.asks("none-ready-bodyless"), 503)
