"""Asking an endpoint picker without a gateway, and its mutants, on a picker of ours that keeps the protocol."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2, external_processor_pb2_grpc

from gpuassay.systems.llmd.acts.epp import Asking
from gpuassay.systems.llmd.acts.epp_connection import Connection
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.mutants.epp import BROKEN, Broken
from gpuassay.systems.llmd.rows import PickerCall

pb: Any = external_processor_pb2
wire: Any = external_processor_pb2_grpc

MEMBERS = ["127.0.0.1:1001", "127.0.0.2:1002"]
DESTINATION = "x-gateway-destination-endpoint"
PIECE = 62_000


class Picker(wire.ExternalProcessorServicer):
    """Picks the first allowed endpoint of `members`, and hands bodies on as they came."""

    def __init__(self) -> None:
        self.members = list(MEMBERS)

    def Process(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802 - the protocol's name
        body = b""
        for message in requests:
            kind = message.WhichOneof("request")
            if kind == "request_headers" and message.request_headers.end_of_stream:
                yield self._choice(message)
            elif kind == "request_body":
                body += bytes(message.request_body.body)
                if message.request_body.end_of_stream:
                    yield from self._answer(message, body)
            elif kind == "response_headers":
                yield pb.ProcessingResponse(response_headers=pb.HeadersResponse())
            elif kind == "response_body":
                yield self._piece("response_body", message.response_body.body, message.response_body.end_of_stream)

    def _answer(self, message: Any, body: bytes) -> Iterator[Any]:
        try:
            sensible = "model" in json.loads(body)
        except ValueError:
            sensible = False
        if not sensible:
            yield self._refusal(400)
            return
        choice = self._choice(message)
        yield choice
        if choice.WhichOneof("response") == "request_headers":
            for at in range(0, len(body), PIECE):
                yield self._piece("request_body", body[at : at + PIECE], at + PIECE >= len(body))

    def _choice(self, message: Any) -> Any:
        hint = message.metadata_context.filter_metadata.get("envoy.lb.subset_hint")
        allowed = self.members
        if hint is not None:
            listed = [one.string_value for one in hint.fields[f"{DESTINATION}-subset"].list_value.values]
            allowed = [one for one in self.members if one in listed]
        if not allowed:
            return self._refusal(503)
        answer = pb.ProcessingResponse(request_headers=pb.HeadersResponse())
        common = answer.request_headers.response
        common.clear_route_cache = True
        option = common.header_mutation.set_headers.add()
        option.header.key, option.header.raw_value = DESTINATION, allowed[0].encode()
        answer.dynamic_metadata.update({"envoy.lb": {DESTINATION: allowed[0]}})
        return answer

    @staticmethod
    def _refusal(status: int) -> Any:
        answer = pb.ProcessingResponse()
        answer.immediate_response.status.code = status
        return answer

    @staticmethod
    def _piece(kind: str, body: bytes, last: bool) -> Any:
        answer = pb.ProcessingResponse(**{kind: pb.BodyResponse()})
        part = getattr(answer, kind).response.body_mutation.streamed_response
        part.body, part.end_of_stream = body, last
        return answer


@contextmanager
def asked(broken: type[Broken] | None) -> Generator[tuple[Asking, Picker]]:
    """A connection to a picker of ours through a broken one."""
    picker = Picker()
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool)
        wire.add_ExternalProcessorServicer_to_server(picker, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        lab = SimpleNamespace(rows=defaultdict[Any, Any](list).__getitem__)
        site = cast("Any", SimpleNamespace(lab=lab, routing=SimpleNamespace(model="m")))
        try:
            with Connection(f"127.0.0.1:{port}", broken) as connection:
                yield Asking(site, connection, cast("Any", None)), picker
        finally:
            server.stop(0).wait()


Findings = Callable[[Asking, Picker], list[str]]


def plain(epp: Asking, **more: Any) -> list[PickerCall]:
    return [epp.ask("x", epp.body(f"hello {n}"), count=n, **more) for n in (1, 2, 5)]


def leaving(epp: Asking, picker: Picker) -> list[str]:
    before = epp.ask("x", epp.body("probe"), subset=[MEMBERS[0]])
    picker.members.remove(MEMBERS[0])
    after = epp.ask("x", epp.body("probe"), subset=[MEMBERS[0]])
    return [*judge.picked_findings([before]), *judge.refused_findings([after], 503)]


def coming(epp: Asking, picker: Picker) -> list[str]:
    picker.members.remove(MEMBERS[0])
    before = epp.ask("x", epp.body("probe"), subset=[MEMBERS[0]])
    picker.members.append(MEMBERS[0])
    after = epp.ask("x", epp.body("probe"), subset=[MEMBERS[0]])
    return [*judge.refused_findings([before], 503), *judge.picked_findings([after])]


def stream(epp: Asking, _: Picker) -> list[str]:
    parts = [f"data: {n}\n\n".encode() for n in range(4)]
    row = epp.exchange("x", epp.body("hello"), parts, content_type="text/event-stream")
    return judge.response_findings([row], by_chunk=True)


PROOFS: dict[str, Findings] = {
    "epp-metadata-lost": lambda epp, _: judge.agreement_findings(plain(epp)),
    "epp-foreign-endpoint": lambda epp, _: judge.membership_findings(plain(epp), MEMBERS),
    "epp-route-cache-kept": lambda epp, _: judge.route_cache_findings(plain(epp)),
    "epp-hint-lost": lambda epp, _: judge.hint_findings(plain(epp, subset=[MEMBERS[1]])),
    "epp-refusals-are-500": lambda epp, _: judge.refused_findings(plain(epp, subset=[]), 503),
    "epp-errors-forgiven": lambda epp, _: judge.refused_findings([epp.ask("x", b"{"), epp.ask("x", b"hello")], 400),
    "epp-body-truncated": lambda epp, _: judge.body_findings(plain(epp)),
    "epp-chunks-enlarged": lambda epp, _: judge.chunk_findings([epp.ask("x", epp.body("a" * 200_000), count=3)], 65536),
    "epp-bodyless-refused": lambda epp, _: judge.picked_findings([epp.ask("x", None, path="/v1/models")]),
    "epp-trusts-clients": lambda epp, _: judge.membership_findings(
        plain(epp, headers={DESTINATION: "127.0.0.9:9"}), MEMBERS
    ),
    "epp-streams-mixed": lambda epp, _: judge.body_findings(plain(epp)),
    "epp-response-rewritten": stream,
    "epp-response-buffered": stream,
    "epp-forgets-nothing": leaving,
    "epp-learns-nothing": coming,
}


@pytest.mark.parametrize("name", PROOFS)
def test_a_broken_picker_is_found_out_and_a_good_one_is_not(name: str) -> None:
    """Red when a mutant does not break what it says, or a good picker is blamed."""
    with asked(None) as (epp, picker):
        assert PROOFS[name](epp, picker) == []
    with asked(BROKEN[name]) as (epp, picker):
        assert PROOFS[name](epp, picker)


def test_a_response_is_followed_chunk_by_chunk() -> None:
    """Red when a chunk that is held back until the end counts as one that came back at once."""
    parts = [b"data: 1\n\n", b"data: 2\n\n"]
    with asked(None) as (epp, _), epp.connection.stream() as one:
        one.request(epp.body("hello"))
        one.begin_response({"content-type": "text/event-stream"})
        assert [one.next_chunk(parts[0], last=False), one.next_chunk(parts[1], last=True)] == parts
    with asked(BROKEN["epp-response-buffered"]) as (epp, _), epp.connection.stream(timeout=0.5) as one:
        one.request(epp.body("hello"))
        one.begin_response({"content-type": "text/event-stream"})
        with pytest.raises(grpc.RpcError, match="Deadline Exceeded"):
            one.next_chunk(parts[0], last=False)


def test_a_mutant_tells_only_of_its_own_kind() -> None:
    """Red when a mutant of health or metrics leaves either as it is."""
    row = {"name": "inference_pool_ready_pods", "labels": {"name": "p"}, "value": 3.0, "label": "a"}
    assert BROKEN["epp-always-healthy"].health("NOT_SERVING") == "SERVING"
    assert BROKEN["epp-never-healthy"].health("SERVING") == "NOT_SERVING"
    stuck = BROKEN["epp-counters-stuck"]
    assert stuck.samples([row]) == [row]
    assert stuck.samples([row | {"value": 5.0, "label": "b"}]) == [row | {"label": "b"}]
    assert Broken.health("NOT_SERVING") == "NOT_SERVING"
    assert Broken.samples([row]) == [row]
