"""The endpoint picker protocol, held against any picker that answers at HOST:PORT (`--epp-target`).

Nothing of pool or model servers is changed, so load and readiness are as they are: what is asked does not depend on
them. On an arm of ours the same is asked of llm-d's picker.
"""

from __future__ import annotations

import random

from gpuassay import MUST, SHOULD, Measure, behaviour
from gpuassay.load.headers import DESTINATION
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts.any_picker import talking
from gpuassay.systems.llmd.acts.epp import Asking
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.model.chance import chance_limit
from gpuassay.systems.llmd.readings import RoutingRecording
from gpuassay.systems.llmd.rows import PickerCall
from suites.llmd.epp_requests import EXT_PROC, LARGEST_CHUNK, OPENAI, ask_in_every_form, small
from suites.llmd.epps import KNOWN, PROTOCOL
from suites.variants import Deviation, per_variant

CUTS = (1, 2, 3, 5, 8, 13, 50)
STEERED = 24
NOBODY = ["192.0.2.1:80", "192.0.2.2:8000"]
"""Addresses that nobody has (RFC 5737)."""


def _known(id: str, picker: str) -> Deviation | None:
    """What llm-d's picker is known to do wrong; of somebody's nothing is known, so that a failure is one."""
    found = KNOWN.get(id.replace("llmd.any-picker.", "llmd.epp."))
    return found if picker == "llm-d" else None


def _hints(epp: Asking, members: list[str]) -> None:
    """Each endpoint as the only one that the gateway allows, two of them, and lists that allow none."""
    body = epp.body("hello")
    for one in members:
        epp.ask("hint", body, label=one, subset=[one])
        epp.ask("hint", body, label=f"{one}, and a stranger", subset=[NOBODY[0], one])
        epp.ask("hint-bodyless", None, path="/v1/models", label=one, subset=[one])
    epp.ask("hint-empty", body, subset=[])
    epp.ask("hint-strangers", body, subset=NOBODY)
    address = members[0].rpartition(":")[0]
    epp.ask("hint-port", body, label="an address of the pool with another port", subset=[f"{address}:1"])


@per_variant({"llm-d": ("own-arms",), "target": ("epp-target",)}, _known, system="routing", timeout=40, outside=True)
def talked(lab: RoutingLab, picker: str) -> None:
    """Requests in every form, subset hints, and clients that name an endpoint themselves."""
    with talking(lab, small("llm-d")) as epp:
        members = list(lab.noted(notes.MEMBERS))
        ask_in_every_form(epp, epp.site.routing.model, CUTS, trailers_timeout=2)
        for path in ("/v1/models", "/health", "/v1/models"):
            epp.ask("bodyless", None, path=path)
        _hints(epp, members)
        dice = random.Random(lab.token)
        for number in range(STEERED):
            named = dice.choice(members)
            epp.ask("client-names", epp.body(f"steered {number}"), label=named, headers={DESTINATION: named})
        epp.ask("client-strays", epp.body("to nowhere"), headers={DESTINATION: NOBODY[0]})


def _chosen(recording: RoutingRecording) -> list[PickerCall]:
    """Every row of a wave in which an endpoint must have been chosen, except known special cases."""
    waves = ("chunks", "large", "characters", "chat", "at-once", "bodyless", "after-refusals")
    return [row for wave in waves for row in recording.calls(wave)]


@behaviour(
    "llmd.any-picker.header-equals-metadata", level=MUST, spec=PROTOCOL, mutant="epp-metadata-lost",
    red_when="the picked endpoint is missing from the header or the dynamic metadata, or the two differ",
)  # fmt: skip
def test_header_and_metadata_name_the_same_endpoint(talked: RoutingRecording) -> None:
    """The picked endpoint is in the request header and in the dynamic metadata, and is the same in both."""
    assert not judge.agreement_findings(_chosen(talked))


@behaviour(
    "llmd.any-picker.endpoint-in-pool", level=MUST, spec=PROTOCOL, mutant="epp-foreign-endpoint",
    red_when="an endpoint is picked that is no ready endpoint of the InferencePool",
)  # fmt: skip
def test_picks_are_ready_endpoints_of_the_pool(talked: RoutingRecording) -> None:
    """Every pick is the address and port of a ready endpoint of the InferencePool."""
    assert not judge.membership_findings(_chosen(talked), talked.note(notes.MEMBERS))


@behaviour(
    "llmd.any-picker.route-cache-cleared", level=SHOULD, spec=EXT_PROC, mutant="epp-route-cache-kept",
    red_when="a gateway that routes by the header keeps the route that it selected before the header was set",
)  # fmt: skip
def test_the_gateway_is_told_to_choose_its_route_anew(talked: RoutingRecording) -> None:
    """Every pick comes with clear_route_cache, so that the gateway selects its route anew."""
    assert not judge.route_cache_findings(_chosen(talked))


@behaviour(
    "llmd.any-picker.request-body-kept", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a request body reaches the model server truncated or with another meaning",
)  # fmt: skip
def test_request_bodies_are_handed_on_with_their_meaning(talked: RoutingRecording) -> None:
    """A request body is forwarded whole and as equivalent JSON, however it is cut and whatever characters it holds."""
    assert not judge.body_findings([*talked.calls("chunks"), *talked.calls("characters"), *talked.calls("chat")])


@behaviour(
    "llmd.any-picker.request-numbers-kept", level=SHOULD, spec=OPENAI,
    red_when="an integer beyond 2^53, such as a seed, reaches the model server as another number",
)  # fmt: skip
def test_large_numbers_in_requests_are_kept(talked: RoutingRecording) -> None:
    """Integers in a request are forwarded exactly, even beyond 2^53, where a double cannot hold them."""
    assert not judge.body_findings(talked.calls("numbers"))


@behaviour(
    "llmd.any-picker.large-body", level=MUST, spec=EXT_PROC, mutant="epp-body-truncated",
    red_when="a 220 kB request is refused or truncated",
)  # fmt: skip
def test_a_large_request_comes_through_whole(talked: RoutingRecording) -> None:
    """A request of 220 kB is routed and forwarded whole."""
    assert not judge.body_findings(talked.calls("large"))


@behaviour(
    "llmd.any-picker.large-body-in-chunks", level=SHOULD, spec=EXT_PROC, mutant="epp-chunks-enlarged",
    red_when="a request body is forwarded in chunks larger than gateways accept",
)  # fmt: skip
def test_a_large_request_is_handed_on_in_chunks(talked: RoutingRecording) -> None:
    """A large request body is forwarded to the gateway in chunks of at most 64 KiB."""
    assert not judge.chunk_findings(talked.calls("large"), LARGEST_CHUNK)


@behaviour(
    "llmd.any-picker.trailers-end-the-body", level=SHOULD, spec=EXT_PROC,
    red_when="a request whose body ends with trailers hangs",
)  # fmt: skip
def test_trailers_end_a_body_too(talked: RoutingRecording) -> None:
    """A request whose body ends with trailers, not with end_of_stream on its last chunk, is routed."""
    assert not judge.picked_findings(talked.calls("trailers"))


@behaviour(
    "llmd.any-picker.prompt-forms", level=SHOULD, spec=OPENAI,
    red_when="a prompt given as a list of strings or of tokens is refused",
)  # fmt: skip
def test_prompts_may_be_lists(talked: RoutingRecording) -> None:
    """A completion request whose prompt is a list of strings or of token ids is routed."""
    assert not judge.picked_findings(talked.calls("prompt-forms"))


@behaviour(
    "llmd.any-picker.bodyless-routed", level=MUST, spec=PROTOCOL, mutant="epp-bodyless-refused",
    red_when="a GET, such as of /v1/models, is refused or hangs",
)  # fmt: skip
def test_requests_without_a_body_are_routed(talked: RoutingRecording) -> None:
    """A request without a body is routed to an endpoint of the pool."""
    rows = talked.calls("bodyless")
    assert not [*judge.agreement_findings(rows), *judge.membership_findings(rows, talked.note(notes.MEMBERS))]


@behaviour(
    "llmd.any-picker.streams-apart", level=MUST, spec=EXT_PROC, mutant="epp-streams-mixed",
    red_when="concurrent requests get each other's bodies, or none",
)  # fmt: skip
def test_requests_at_once_are_kept_apart(talked: RoutingRecording) -> None:
    """Each of 32 requests, 16 at a time, gets a pick and its own body back."""
    rows = talked.calls("at-once")
    assert len(rows) == 32
    assert not judge.body_findings(rows)


@behaviour(
    "llmd.any-picker.invalid-json-refused", level=MUST, spec=PROTOCOL, mutant="epp-errors-forgiven",
    red_when="a body that is not a JSON object is routed, hangs, or is refused with a 5xx",
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(talked: RoutingRecording) -> None:
    """A request body that is not a JSON object is refused with 400."""
    assert not judge.refused_findings(talked.calls("absurd"), 400)


@behaviour(
    "llmd.any-picker.missing-model-refused", level=MUST, spec=PROTOCOL, mutant="epp-refusals-are-500",
    red_when="a request without a model name is routed, hangs, or is refused with a 5xx",
)  # fmt: skip
def test_a_request_without_a_model_is_refused(talked: RoutingRecording) -> None:
    """A request without a model name is refused with 400, and the next valid request is routed."""
    assert not judge.refused_findings(talked.calls("nameless"), 400)
    assert not judge.picked_findings(talked.calls("after-refusals"))


@behaviour(
    "llmd.any-picker.hint-obeyed", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an endpoint outside the gateway's subset hint is picked",
)  # fmt: skip
def test_only_endpoints_that_the_gateway_allows_are_picked(talked: RoutingRecording) -> None:
    """With a subset hint the pick is one of the hinted endpoints, whichever of the pool that is."""
    assert not judge.hint_findings(talked.calls("hint"))


@behaviour(
    "llmd.any-picker.hint-empty-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="an empty subset hint allows every endpoint",
)  # fmt: skip
def test_an_empty_list_allows_nothing(talked: RoutingRecording) -> None:
    """With an empty subset hint a request is refused with 503."""
    assert not judge.refused_findings(talked.calls("hint-empty"), 503)


@behaviour(
    "llmd.any-picker.hint-of-strangers-refused", level=MUST, spec=PROTOCOL, mutant="epp-hint-lost",
    red_when="a subset hint that names no endpoint of the pool allows every endpoint",
)  # fmt: skip
def test_a_list_of_strangers_allows_nothing(talked: RoutingRecording) -> None:
    """With a subset hint that names no endpoint of the pool, a request is refused with 503."""
    assert not judge.refused_findings(talked.calls("hint-strangers"), 503)


@behaviour(
    "llmd.any-picker.hint-names-ports", level=MUST, spec=PROTOCOL,
    red_when="an endpoint is picked because its address is in the subset hint, although its port is not",
)  # fmt: skip
def test_a_list_names_ports_too(talked: RoutingRecording) -> None:
    """A subset hint with the address of an endpoint and another port is refused with 503."""
    assert not judge.refused_findings(talked.calls("hint-port"), 503)


@behaviour(
    "llmd.any-picker.hint-obeyed-bodyless", level=MUST, spec=PROTOCOL,
    red_when="a request without a body goes to an endpoint outside the gateway's subset hint",
)  # fmt: skip
def test_a_list_holds_for_requests_without_a_body(talked: RoutingRecording) -> None:
    """The subset hint also holds for requests without a body."""
    assert not judge.hint_findings(talked.calls("hint-bodyless"))


@behaviour(
    "llmd.any-picker.clients-cannot-choose", level=MUST, spec=PROTOCOL, mutant="epp-trusts-clients",
    red_when="a client selects its endpoint by sending a destination header",
)  # fmt: skip
def test_a_client_cannot_choose_by_header(talked: RoutingRecording, measure: Measure) -> None:
    """A destination header that a client sends names the pick no more often than by chance, and never a stranger."""
    rows, members = talked.calls("client-names"), talked.note(notes.MEMBERS)
    hits, limit = sum(row.destination == row.label for row in rows), chance_limit(len(rows), len(members))
    measure.value(hits=hits, limit=limit)
    assert not judge.agreement_findings(rows)
    assert not judge.membership_findings(talked.calls("client-strays"), members)
    assert hits <= limit, f"{hits} of {len(rows)} picks are what the client's own header names, chance allows {limit}"
