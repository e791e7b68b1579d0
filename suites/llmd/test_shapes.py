"""Requests of every shape are answered through the gateway as a model server answers them directly.

The table holds requests only (`shape_table`). Simulated model servers repeat what they are asked, so equal requests
have equal answers; ids and times that servers make up are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gpuassay import MUST, Note, behaviour, known_defect, scenario
from gpuassay.systems.llmd.acts import recording_server as standin
from gpuassay.systems.llmd.acts.deployment import opened
from gpuassay.systems.llmd.acts.gateway_requests import naming, prescribed
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.acts.shapes import MODEL, Shape, ask_shape, ask_shapes
from gpuassay.systems.llmd.component.simulator import NO_LATENCY, Cache
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.judge import shapes
from gpuassay.systems.llmd.objects.prompts import synthetic
from gpuassay.systems.llmd.readings import SHAPES, RoutingRecording
from suites.llmd.shape_table import CHAT, COMPLETIONS, GROUPS, REFUSED, TABLE
from suites.variants import param

OPENAI = "https://platform.openai.com/docs/api-reference"
HTTP = "https://www.rfc-editor.org/rfc/rfc9110"
PARSER = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp/util/request/body.go"
SIMULATOR = "https://github.com/llm-d/llm-d-inference-sim/tree/v0.10.2/pkg/llm-d-inference-sim"
HEADERS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/blob/v1.4.0/pkg/epp/handlers"
LISTS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/2721"

OTHERS = 12
"""Other prompts: that all go to one of three replicas by chance has a probability of 2e-6."""
SENT = (("x-twice", "first"), ("x-twice", "second"), ("x-empty", ""), ("x-spaced", "a  b"), ("x-once", "only"))
"""Headers that a client sends."""

WARM = Note("warm", dict[str, str], "the replica that has the prompt of each request, by its label")
SEEN = Note("seen_headers", dict[str, list[list[str]]], "headers as they reached a model server, by way")
GOT = Note("got_headers", dict[str, list[list[str]]], "headers of its answer as they reached the client, by way")


ECHOING = Arm(profile="precise", replicas=2, cache=Cache(), latency=NO_LATENCY, simulator_flags=("--mode", "echo"))
CHOICES = "choices"
"""The group of requests for several answers at once."""


@scenario(system="routing", timeout=40)
def shaped(lab: RoutingLab) -> None:
    """Each request of the table, of a model server directly and through Envoy and a precise picker."""
    with opened(lab, ECHOING) as site:
        ask_shapes(site, [shape for shape in TABLE if shape.group != CHOICES])


@scenario(system="routing", timeout=40)
def chosen(lab: RoutingLab) -> None:
    """Requests for two choices, on an arm of their own: the simulator fails some, which would stain every other."""
    with opened(lab, ECHOING) as site:
        ask_shapes(site, [shape for shape in TABLE if shape.group == CHOICES])


def _completions(text: str) -> Iterator[Shape]:
    """A completion, and the same with changes that do not concern where it is cached."""
    asked: dict[str, Any] = {"model": MODEL, "prompt": text, "max_tokens": 1}
    plain = Shape("same", "plain", COMPLETIONS, asked)
    yield plain
    for name, more in {
        "a longer answer": {"max_tokens": 9}, "temperature": {"temperature": 0.3}, "seed": {"seed": 4},
        "a stream": {"stream": True}, "user": {"user": "somebody"}, "stop": {"stop": ["zz"]},
        "an unknown field": {"vendor": [1]}, "ignore_eos": {"ignore_eos": True},
    }.items():  # fmt: skip
        yield replace(plain, label=name, body=asked | more)
    yield replace(plain, label="fields in another order", body=dict(reversed(asked.items())))
    spaced = json.dumps(asked, indent=7).encode().replace(b"  ", b" \n ")
    yield replace(plain, label="other white space", body=spaced)
    yield replace(plain, label="a query string", path=f"{COMPLETIONS}?api-version=2")
    for name, value in {
        "x-request-id": "another", "authorization": "Bearer none-of-ours", "user-agent": "somebody/1",
        "x-gateway-inference-fairness-id": "tenant", "x-gateway-inference-objective": "nobody-made-this",
    }.items():  # fmt: skip
        yield replace(plain, label=f"header {name}", headers=((name, value),))


def _chats(text: str) -> Iterator[Shape]:
    """A chat, and the same with changes that do not concern where it is cached."""
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    plain = Shape("same", "chat", CHAT, asked)
    yield plain
    for name, more in {
        "a longer chat answer": {"max_tokens": 9}, "a chat stream": {"stream": True}, "chat seed": {"seed": 4},
    }.items():  # fmt: skip
        yield replace(plain, label=name, body=asked | more)


def _filled(shape: Shape, model: str) -> Shape:
    """The shape with the model's name in bytes that are sent as they are."""
    ready = shape.body.replace(MODEL.encode(), model.encode()) if isinstance(shape.body, bytes) else shape.body
    return replace(shape, body=ready)


@scenario(system="routing", timeout=40)
def placed(lab: RoutingLab) -> None:
    """Prompts that one replica each was warmed with, asked with irrelevant changes; then prompts that nobody has."""
    with opened(lab, Arm(profile="precise-no-speculation", replicas=3, cache=Cache(), latency=NO_LATENCY)) as site:
        forwarder = site.routing.forwarder
        assert forwarder is not None
        number, asked = 0, list[Shape]()
        for make in (_completions, _chats):
            for place in range(len(list(make("")))):
                number += 1
                text = synthetic(f"place{number}", 64, 47).text
                first, wanted = next(make(text)), list(make(text))[place]
                home, before = site.replicas[(number * 2) % 3], len(forwarder.events())
                ask_shape(site, replace(first, group="warming"), home.url)
                forwarder.await_events(home.topic, since=before)
                lab.note_under(WARM, wanted.label, home.name)
                asked.append(_filled(wanted, site.routing.model))
        ask_shapes(site, asked, directly=False)
        fresh = [next(_completions(synthetic(f"fresh{n}", 64, 48).text)) for n in range(OTHERS)]
        others = [replace(one, group="other", label=f"other {n}") for n, one in enumerate(fresh)]
        ask_shapes(site, others, directly=False)


@scenario(system="routing", timeout=30)
def headed(lab: RoutingLab) -> None:
    """A request with odd headers to a recording model server, directly and through the gateway; the answer has some."""
    arm = prescribed(Arm(profile="random", replicas=2, cache=Cache(blocks=0), latency=NO_LATENCY))
    with opened(lab, arm) as site, standin.standing_in(site.replicas[0]) as inn:
        home = site.replicas[0]
        body = {"model": MODEL, "prompt": "a few words", "max_tokens": 1}
        marks = (*SENT, (standin.ANSWER, standin.COOKIES), *naming([home]).items())
        for way, url in (("direct", f"http://{home.endpoint}"), ("gateway", None)):
            row = ask_shape(site, Shape("headers", way, COMPLETIONS, body, headers=marks), url)
            lab.note_under(SEEN, way, inn.seen[-1]["all_headers"] if len(inn.seen) > (url is None) else [])
            lab.note_under(GOT, way, row.headers)


def _header(name: str, source: str) -> Any:
    """A header as parameter; the picker keeps headers in a map and writes them all anew, so of several one is left."""
    several = name in ("x-twice", "set-cookie")
    reason = "of headers with one name the last alone is left: all are kept in a map, and written anew"
    return param(name, (f"{HEADERS}/{source}", reason) if several else None)


KNOWN = {
    "prompt-lists": (LISTS, "only a prompt that is a string is understood"),
    "prompt-tokens": (LISTS, "only a prompt that is a string is understood"),
    "messages": (PARSER, "every path but four is read as a completion, and refused for want of a prompt"),
    "embeddings": (PARSER, "every path but four is read as a completion, and refused for want of a prompt"),
    "tokens-in": (PARSER, "every path but four is read as a completion, and refused for want of a prompt"),
}
"""By group: link, and what is wrong. Seen with llm-d-inference-scheduler v0.7.1."""


def _group(name: str) -> Any:
    """A group as parameter."""
    return param(name, KNOWN.get(name))


@pytest.mark.parametrize("group", [_group(name) for name in GROUPS if name != CHOICES])
@behaviour(
    "llmd.shapes.answered-as-directly", level=MUST, spec=OPENAI, mutant="gateway-alters-answers",
    red_when="a request of some shape is refused, changed or answered otherwise because it came through the gateway",
)  # fmt: skip
def test_every_shape_is_answered_as_directly(shaped: RoutingRecording, group: str) -> None:
    """A request through Envoy and the picker gets the status, media type and meaning that the model server gives."""
    found = shapes.findings(shaped.rows(SHAPES), group)
    assert not found, "\n".join(found)


@known_defect(
    SIMULATOR, "the simulator now and then answers 500 to a request for two choices: one id for both",
    shows=r"choices, .*\b500\b|5xx", racy=True,
)  # fmt: skip
@behaviour(
    "llmd.shapes.choices-as-directly", level=MUST, spec=OPENAI, mutant="gateway-alters-answers",
    red_when="a request for several choices is refused, cut, or answered otherwise than its model server answers it",
)  # fmt: skip
def test_several_choices_are_answered_as_directly(chosen: RoutingRecording) -> None:
    """A request for two choices gets the status and meaning through Envoy and the picker that its server gives."""
    found = shapes.findings(chosen.rows(SHAPES), CHOICES)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", REFUSED)
@behaviour(
    "llmd.shapes.refused-as-directly", level=MUST, spec=OPENAI, mutant="picker-frozen",
    red_when="a request that a model server refuses is served, never answered, or blamed on the server (5xx)",
)  # fmt: skip
def test_what_a_model_server_refuses_is_refused(shaped: RoutingRecording, group: str) -> None:
    """A request that the model server refuses with 4xx is refused with 4xx through Envoy and the picker."""
    found = shapes.findings(shaped.rows(SHAPES), group)
    assert not found, "\n".join(found)


@behaviour(
    "llmd.shapes.irrelevant-changes-stay", level=MUST, spec=OPENAI, mutant="picker-random",
    red_when="a change that does not concern the cache moves a request away from the replica that has its prompt",
)  # fmt: skip
def test_an_irrelevant_change_moves_no_request(placed: RoutingRecording) -> None:
    """A prompt keeps its replica, whatever fields, headers, white space, key order or query string come with it."""
    same = [row for row in placed.rows(SHAPES) if row.group == "same"]
    found = shapes.moved_findings(same, placed.note(WARM))
    assert not found, "\n".join(found)


@behaviour(
    "llmd.shapes.prompts-decide", level=MUST, spec=OPENAI, mutant="one-endpoint-left",
    red_when="prompts that nobody has cached all go to one replica",
)  # fmt: skip
def test_another_prompt_may_go_elsewhere(placed: RoutingRecording) -> None:
    """Of twelve prompts that nobody has cached not all go to one replica."""
    rows = [row for row in placed.rows(SHAPES) if row.group == "other"]
    assert len(rows) == OTHERS
    assert not shapes.deciding_findings(rows, rows[0].served_by)


@pytest.mark.parametrize("name", [_header(name, "request.go") for name in dict.fromkeys(name for name, _ in SENT)])
@behaviour(
    "llmd.shapes.request-headers-kept", level=MUST, spec=HTTP, mutant="gateway-ignores-picks",
    red_when="a client's header is lost, merged or changed on the way to the model server",
)  # fmt: skip
def test_headers_of_requests_are_kept(headed: RoutingRecording, name: str) -> None:
    """Every value of a client's header reaches the model server through Envoy and the picker, in its order."""
    ways = headed.note(SEEN)
    assert not shapes.kept_findings(ways["direct"], ways["gateway"], [name])


@pytest.mark.parametrize("name", [_header(name, "response.go") for name in dict(standin.TOLD)])
@behaviour(
    "llmd.shapes.response-headers-kept", level=MUST, spec=HTTP, mutant="gateway-ignores-picks",
    red_when="a header of the model server's answer is lost, merged or changed on the way to the client",
)  # fmt: skip
def test_headers_of_answers_are_kept(headed: RoutingRecording, name: str) -> None:
    """Every value of a header of the model server's answer reaches the client, in its order."""
    ways = headed.note(GOT)
    assert not shapes.kept_findings(ways["direct"], ways["gateway"], [name])
