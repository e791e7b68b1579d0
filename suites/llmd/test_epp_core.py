"""EPP core: the endpoint picker protocol, asked of a picker directly, with no gateway in between.

A gateway hides half of what a picker does wrong: it takes the header or the metadata, repairs a choice outside the pool
by a fallback, and turns every refusal into an error of its own.
"""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Measure, behaviour
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import Asking, asking, gauge, settled
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import PickerCall
from suites.llmd.epp_requests import EXT_PROC, LARGEST_CHUNK, OPENAI, REPLICAS, ask_in_every_form, small
from suites.llmd.epps import PROTOCOL, per_epp

BUSY = 30
"""Waiting requests of every replica but one, which is the choice for every request then; the mean is a whole number,
since pickers round it."""
CHUNKINGS = (1, 2, 3, 5, 8, 13, 50, 1, 2, 3, 5, 8)


def load(waiting: int) -> dict[str, float]:
    """What a replica reports of itself."""
    return {"waiting-requests": waiting, "running-requests": waiting, "kv-cache-usage": 0}


def _requests(site: Deployment, epp: Asking) -> None:
    """Requests in every form, while one replica is less loaded than the others."""
    idle = site.replicas[1]
    idle.admin({"fake-metrics": load(0)})
    settled(epp, waiting=BUSY * (REPLICAS - 1) // REPLICAS)
    ask_in_every_form(epp, site.routing.model, CHUNKINGS, trailers_timeout=1)


def _hints(site: Deployment, epp: Asking) -> None:
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
    """Requests in every form, then subset hints, then with no endpoint ready, and with all of them ready again."""
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


def _chosen(recording: RoutingRecording) -> list[PickerCall]:
    """Every row of a wave in which an endpoint must have been chosen, except known special cases."""
    waves = ("chunks", "large", "characters", "chat", "at-once", "bodyless", "after-refusals", "ready-again")
    return [row for wave in waves for row in recording.calls(wave)]


@behaviour(
    "llmd.epp.header-equals-metadata", level=MUST, spec=PROTOCOL, mutant="epp-metadata-lost",
    red_when="the picked endpoint is missing from the header or the dynamic metadata, or the two differ",
)  # fmt: skip
def test_header_and_metadata_name_the_same_endpoint(protocol: RoutingRecording) -> None:
    """The picked endpoint is in the request header and in the dynamic metadata, and is the same in both."""
    assert not judge.agreement_findings(_chosen(protocol))


@behaviour(
    "llmd.epp.endpoint-in-pool", level=MUST, spec=PROTOCOL, mutant="epp-foreign-endpoint",
    red_when="the EPP picks an address and port that are not in the InferencePool",
)  # fmt: skip
def test_every_choice_is_an_endpoint_of_the_pool(protocol: RoutingRecording) -> None:
    """Every pick is the address and port of an endpoint of the InferencePool."""
    assert not judge.membership_findings(_chosen(protocol), protocol.note(notes.MEMBERS))


@behaviour(
    "llmd.epp.route-cache-cleared", level=SHOULD, spec=EXT_PROC, mutant="epp-route-cache-kept",
    red_when="a gateway that routes by the header keeps the route that it selected before the header was set",
)  # fmt: skip
def test_the_gateway_is_told_to_choose_its_route_anew(protocol: RoutingRecording) -> None:
    """Every pick comes with clear_route_cache, so that the gateway selects its route anew."""
    assert not judge.route_cache_findings(_chosen(protocol))


@behaviour(
    "llmd.epp.chunks-same-pick", level=MUST, spec=PROTOCOL, mutant="picker-random", timed=True,
    red_when="the pick depends on how the gateway chunks the body, or is made from part of it",
)  # fmt: skip
def test_the_choice_does_not_depend_on_how_the_body_is_cut(protocol: RoutingRecording, measure: Measure) -> None:
    """A request gets the same pick in however many chunks its body arrives."""
    rows = protocol.calls("chunks")
    measure.value(requests=len(rows))
    assert not judge.same_pick_findings(rows, least=len(CHUNKINGS))


@behaviour(
    "llmd.epp.request-body-kept", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a request body reaches the model server truncated or with another meaning",
)  # fmt: skip
def test_request_bodies_are_handed_on_with_their_meaning(protocol: RoutingRecording) -> None:
    """A request body is forwarded whole and as equivalent JSON, whatever characters it holds."""
    assert not judge.body_findings([*protocol.calls("chunks"), *protocol.calls("characters"), *protocol.calls("chat")])


@behaviour(
    "llmd.epp.request-numbers-kept", level=SHOULD, spec=OPENAI,
    red_when="an integer beyond 2^53, such as a seed, reaches the model server as another number",
)  # fmt: skip
def test_large_numbers_in_requests_are_kept(protocol: RoutingRecording) -> None:
    """Integers in a request are forwarded exactly, even beyond 2^53, where a double cannot hold them."""
    assert not judge.body_findings(protocol.calls("numbers"))


@behaviour(
    "llmd.epp.large-body", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a 220 kB request is refused or truncated",
)  # fmt: skip
def test_a_large_request_comes_through_whole(protocol: RoutingRecording) -> None:
    """A request of 220 kB is routed and forwarded whole."""
    assert not judge.body_findings(protocol.calls("large"))


@behaviour(
    "llmd.epp.large-body-in-chunks", level=SHOULD, spec=EXT_PROC, mutant="epp-chunks-enlarged",
    red_when="a request body is forwarded in chunks larger than gateways accept",
)  # fmt: skip
def test_a_large_request_is_handed_on_in_chunks(protocol: RoutingRecording) -> None:
    """A large request body is forwarded to the gateway in chunks of at most 64 KiB."""
    assert not judge.chunk_findings(protocol.calls("large"), LARGEST_CHUNK)


@behaviour(
    "llmd.epp.trailers-end-the-body", level=SHOULD, spec=EXT_PROC,
    red_when="a request whose body ends with trailers hangs",
)  # fmt: skip
def test_trailers_end_a_body_too(protocol: RoutingRecording) -> None:
    """A request whose body ends with trailers, not with end_of_stream on its last chunk, is routed."""
    assert not judge.picked_findings(protocol.calls("trailers"))


@behaviour(
    "llmd.epp.prompt-forms", level=SHOULD, spec=OPENAI,
    red_when="a prompt given as a list of strings or of tokens is refused",
)  # fmt: skip
def test_prompts_may_be_lists(protocol: RoutingRecording) -> None:
    """A completion request whose prompt is a list of strings or of token ids is routed."""
    assert not judge.picked_findings(protocol.calls("prompt-forms"))


@behaviour(
    "llmd.epp.bodyless-routed", level=MUST, spec=PROTOCOL, mutant="epp-bodyless-refused",
    red_when="a GET, such as of /v1/models, is refused or hangs",
)  # fmt: skip
def test_requests_without_a_body_are_routed(protocol: RoutingRecording) -> None:
    """A request without a body is routed to an endpoint of the pool."""
    rows = protocol.calls("bodyless")
    assert not [*judge.agreement_findings(rows), *judge.membership_findings(rows, protocol.note(notes.MEMBERS))]


@behaviour(
    "llmd.epp.streams-apart", level=MUST, spec=EXT_PROC, mutant="epp-streams-mixed",
    red_when="concurrent requests get each other's bodies, or none",
)  # fmt: skip
def test_requests_at_once_are_kept_apart(protocol: RoutingRecording) -> None:
    """Each of 32 requests, 16 at a time, gets a pick and its own body back."""
    rows = protocol.calls("at-once")
    assert len(rows) == 32
    assert not judge.body_findings(rows)


@behaviour(
    "llmd.epp.invalid-json-refused", level=MUST, spec=PROTOCOL, mutant="epp-errors-forgiven",
    red_when="a body that is not a JSON object is routed, hangs, or is refused with a 5xx",
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(protocol: RoutingRecording) -> None:
    """A request body that is not a JSON object is refused with 400."""
    assert not judge.refused_findings(protocol.calls("absurd"), 400)


@behaviour(
    "llmd.epp.missing-model-refused", level=MUST, spec=PROTOCOL, mutant="epp-refusals-are-500",
    red_when="a request without a model name is routed, hangs, or is refused with a 5xx",
)  # fmt: skip
def test_a_request_without_a_model_is_refused(protocol: RoutingRecording) -> None:
    """A request without a model name is refused with 400, and the next valid request is routed."""
    assert not judge.refused_findings(protocol.calls("nameless"), 400)
    assert not judge.picked_findings(protocol.calls("after-refusals"))


@behaviour(
    "llmd.epp.hint-obeyed", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an endpoint outside the gateway's subset hint is picked",
)  # fmt: skip
def test_only_endpoints_that_the_gateway_allows_are_picked(protocol: RoutingRecording) -> None:
    """With a subset hint the pick is one of the hinted endpoints, even if another one is less loaded."""
    assert not judge.hint_findings(protocol.calls("hint"))


@behaviour(
    "llmd.epp.hint-empty-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an empty subset hint allows every endpoint",
)  # fmt: skip
def test_an_empty_list_allows_nothing(protocol: RoutingRecording) -> None:
    """With an empty subset hint a request is refused with 503."""
    assert not judge.refused_findings(protocol.calls("hint-empty"), 503)


@behaviour(
    "llmd.epp.hint-of-strangers-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="a subset hint that names no endpoint of the pool allows every endpoint",
)  # fmt: skip
def test_a_list_of_strangers_allows_nothing(protocol: RoutingRecording) -> None:
    """With a subset hint that names no endpoint of the pool, a request is refused with 503."""
    assert not judge.refused_findings(protocol.calls("hint-strangers"), 503)


@behaviour(
    "llmd.epp.hint-names-ports", level=MUST, spec=PROTOCOL,
    red_when="an endpoint is picked because its address is in the subset hint, although its port is not",
)  # fmt: skip
def test_a_list_names_ports_too(protocol: RoutingRecording) -> None:
    """A subset hint with the address of one endpoint and the port of another is refused with 503."""
    assert not judge.refused_findings(protocol.calls("hint-port"), 503)


@behaviour(
    "llmd.epp.hint-obeyed-bodyless", level=MUST, spec=PROTOCOL,
    red_when="a request without a body goes to an endpoint outside the gateway's subset hint",
)  # fmt: skip
def test_a_list_holds_for_requests_without_a_body(protocol: RoutingRecording) -> None:
    """The subset hint also holds for requests without a body."""
    assert not judge.hint_findings(protocol.calls("hint-bodyless"))


@behaviour(
    "llmd.epp.clients-cannot-choose", level=MUST, spec=PROTOCOL, mutant="epp-trusts-clients", timed=True,
    red_when="a client selects its endpoint by sending a destination header",
)  # fmt: skip
def test_a_client_cannot_choose_by_header(protocol: RoutingRecording) -> None:
    """A destination header that a client sends does not change the pick."""
    rows = protocol.calls("client-names")
    assert not judge.agreement_findings(rows)
    assert not judge.same_pick_findings([*rows, *protocol.calls("chunks")])


@behaviour(
    "llmd.epp.none-ready-refused", level=MUST, spec=PROTOCOL, mutant="epp-refusals-are-500", timed=True,
    red_when="while no endpoint is ready, a request is routed, hangs or breaks",
)  # fmt: skip
def test_without_a_ready_endpoint_requests_are_refused(protocol: RoutingRecording) -> None:
    """While no endpoint is ready a request is refused with 503, and routed again afterwards."""
    assert not judge.refused_findings(protocol.calls("none-ready"), 503)
    assert not judge.picked_findings(protocol.calls("ready-again"))


@behaviour(
    "llmd.epp.none-ready-refused-bodyless", level=SHOULD, spec=PROTOCOL,
    red_when="while no endpoint is ready, a request without a body is refused with another status than 503",
)  # fmt: skip
def test_without_a_ready_endpoint_requests_without_a_body_are_refused(protocol: RoutingRecording) -> None:
    """While no endpoint is ready a request without a body is refused with 503, too."""
    assert not judge.refused_findings(protocol.calls("none-ready-bodyless"), 503)
