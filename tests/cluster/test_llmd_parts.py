"""Parts of a routing arm that need no cluster: configurations, pool membership, tap, external-processing client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2, external_processor_pb2_grpc

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import log_objects
from gpuassay.load.headers import DESTINATION
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component import profiles
from gpuassay.systems.llmd.component.endpoints import ACTIVE_PORTS, members, running
from gpuassay.systems.llmd.component.extproc import ExternalProcessing, chunks
from gpuassay.systems.llmd.component.probe import FALSE_ALARM, rounds
from gpuassay.systems.llmd.component.serve.forwarder import described
from gpuassay.systems.llmd.component.simulator import Cache, Latency, duration
from gpuassay.systems.llmd.component.spec import Arm
from gpuassay.systems.llmd.gateway import configuration as gateway
from gpuassay.systems.llmd.gateway import envoy
from gpuassay.systems.llmd.gateway.ads import Node
from gpuassay.systems.llmd.gateway.configuration import NAMESPACE, Plan
from gpuassay.systems.llmd.gateway.envoy import program

PLACES = {"MODEL": "m", "EVENTS": "tcp://127.0.0.1:1", "TOKENIZER": "127.0.0.1:2"}
HANDLERS = {
    "single-profile-handler", "disagg-profile-handler", "disagg-headers-handler", "prefix-based-pd-decider",
}  # fmt: skip
"""Plugins that work without being named in a scheduling profile."""
_messages: Any = external_processor_pb2


# Red when a profile is renamed, loses its plugin, or a placeholder is left in what the picker reads.
@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_is_a_whole_configuration(name: str) -> None:
    made = profiles.configuration(name, PLACES)
    assert "$" not in json.dumps(made)
    declared = {entry["type"] for entry in made["plugins"]}
    used = {entry["pluginRef"] for profile in made["schedulingProfiles"] for entry in profile["plugins"]}
    assert used | HANDLERS & declared == declared
    assert used <= declared


# Red when speculation is asked for without the gate that makes it work, or the other way round.
@pytest.mark.parametrize("name", profiles.PRECISE)
def test_speculation_and_its_feature_gate_come_together(name: str) -> None:
    made = profiles.configuration(name, PLACES)
    scorer = profiles.plugin(made, "precise-prefix-cache-scorer")["parameters"]
    assert ("prepareDataPlugins" in made.get("featureGates", [])) == bool(scorer.get("speculativeIndexing"))
    assert scorer["kvEventsConfig"]["discoverPods"] is False


def test_a_configuration_is_changed_only_in_its_copy() -> None:
    def without_gate(configuration: dict[str, Any]) -> None:
        del configuration["featureGates"]

    assert "featureGates" not in profiles.configuration("precise", PLACES, without_gate)
    assert "featureGates" in profiles.configuration("precise", PLACES)


def test_unknown_profiles_places_and_plugins_are_named() -> None:
    with pytest.raises(ClusterError, match=r"no endpoint-picker profile is called 'fast'; there are approximate, "):
        profiles.configuration("fast", PLACES)
    with pytest.raises(ClusterError, match=r"profile 'precise' needs a value for \$\{EVENTS\}"):
        profiles.configuration("precise", {"MODEL": "m"})
    with pytest.raises(ClusterError, match="has no plugin 'queue-scorer'; it has"):
        profiles.plugin(profiles.configuration("random", PLACES), "queue-scorer")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"replicas": 9}, "9 replicas: a pool on one machine has 1 to 8"),
        ({"profile": "best"}, "no endpoint-picker profile is called 'best'"),
        ({"profile": "round-robin", "gateway": None}, "needs a picker or a gateway"),
        ({"cache": Cache(blocks=0)}, "reads KV-cache events: give the replicas a cache"),
        ({"picker": "light"}, "picker 'light' reads no configuration: its profile is 'built-in'"),
        ({"profile": "built-in"}, "is for a picker that reads no configuration; 'llm-d' does"),
        ({"picker": "heavy"}, "no endpoint picker is called 'heavy'; there are llm-d, gaie, gaie-1.4.0, light"),
        ({"profile": "prefill-decode"}, "0 of 8 replicas as prefill servers .* needs some of both kinds"),
        ({"prefillers": 2}, "2 of 8 replicas as prefill servers with profile 'precise'"),
        ({"events": "pigeon"}, "events='pigeon' is none of"),
        ({"gateway": "nginx"}, "no gateway design is called 'nginx'"),
        ({"failure_mode": "FailSlow"}, "failure mode 'FailSlow' is none of"),
    ],
)
def test_an_arm_that_cannot_be_is_refused_before_anything_starts(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        Arm(**wrong)


def test_latency_is_written_as_go_durations() -> None:
    assert duration(0.00092) == "920us"
    flags = Latency(constant_ttft=0.0).flags()
    assert flags[flags.index("--latency-calculator") + 1] == "constant"
    assert "--prefill-overhead" not in flags


POOL: Manifest = {"spec": {"selector": {"matchLabels": {"app": "a"}}, "targetPorts": [{"number": 1}, {"number": 2}]}}


def pod(address: str, *, ready: bool = True, ports: str | None = "1", **meta: Any) -> Manifest:
    annotations = {} if ports is None else {ACTIVE_PORTS: ports}
    return {"metadata": {"labels": {"app": "a"}, "annotations": annotations} | meta} | running(address, ready=ready)


# Red when a Pod that must not get requests counts as a member of the pool, or one that must does not.
def test_members_are_ready_pods_with_matching_labels_on_their_active_ports() -> None:
    pods = [
        pod("127.0.0.1"),
        pod("127.0.0.2", ports=None),
        pod("127.0.0.3", ports="2, 7"),
        pod("127.0.0.4", ready=False),
        pod("127.0.0.5", labels={"app": "b"}),
        pod("127.0.0.6", deletionTimestamp="2026-01-01T00:00:00Z"),
        pod(""),
        pod("127.0.0.7", ports=""),
    ]
    assert members(POOL, pods) == ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.2:2", "127.0.0.3:2"]


# Red when a field of the bootstrap is unknown to Envoy, or has the wrong shape.
@pytest.mark.parametrize("design", gateway.DESIGNS)
@pytest.mark.parametrize("mode", gateway.FAILURE_MODES)
def test_envoy_accepts_every_design(design: str, mode: str, tmp_path: Path) -> None:
    node = Node("gateway", "space", "192.0.2.7", 20004) if design == "istio" else None
    plan = Plan(20001, 20002, tmp_path / "pool" / "endpoints.json", design, 20003, mode, node=node)
    plan.endpoints.parent.mkdir()
    plan.endpoints.write_text(json.dumps(gateway.endpoints(["127.0.0.1:80"], 1)))
    (tmp_path / "envoy.json").write_text(json.dumps(gateway.bootstrap(plan)))
    command = [program()[0], "--mode", "validate", "-c", tmp_path / "envoy.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_envoy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "PACKAGE", "envoy-server-of-nobody")
    with pytest.raises(ClusterError, match=r"^Envoy is missing: install the Python package envoy-server-of-nobody$"):
        program()


def test_the_tap_tells_events_of_both_encodings_and_survives_what_it_cannot_read() -> None:
    arrays = [["BlockStored", [1, 2, 3], None], ["BlockRemoved", [4]], ["AllBlocksCleared"]]
    maps = [{"type": "BlockStored", "block_hashes": [1, 2]}]
    for events, blocks in ((arrays, 4), (maps, 2)):
        payload = msgspec.msgpack.encode([0.5, events])
        line = described([b"kv@127.0.0.1:1@m", (7).to_bytes(8, "big"), payload], 5)
        assert (line["at"], line["topic"], line["sequence"]) == (5, "kv@127.0.0.1:1@m", 7)
        assert (line["blocks"], line["bytes"]) == (blocks, len(payload))
    assert described([b"t"], 5)["unreadable"] is True
    assert described([b"t", b"", b"\xc1"], 5)["unreadable"] is True


# Red when a picker that guesses could pass the probe of events.
@pytest.mark.parametrize("replicas", range(2, 9))
def test_guessing_does_not_pass_a_round_of_probes(replicas: int) -> None:
    assert replicas ** -(replicas * rounds(replicas)) <= FALSE_ALARM * 1.01


def test_log_lines_that_are_no_json_are_kept_as_text() -> None:
    assert log_objects('{"a": 1}\n\npanic: no\n3\n') == [{"a": 1}, {"text": "panic: no"}, {"text": "3"}]


@pytest.mark.parametrize(("length", "count", "sizes"), [(10, 3, [4, 4, 2]), (2, 5, [1, 1]), (0, 1, [0]), (5, 1, [5])])
def test_a_body_is_cut_into_chunks(length: int, count: int, sizes: list[int]) -> None:
    body = bytes(range(length))
    assert [len(chunk) for chunk in chunks(body, count)] == sizes
    assert b"".join(chunks(body, count)) == body


class Teller(external_processor_pb2_grpc.ExternalProcessorServicer):
    """Picks an endpoint after the whole body, hands bodies on chunk by chunk, refuses empty ones, hangs on `hang`."""

    def Process(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - gRPC's name
        held: list[bytes] = []
        for message in request_iterator:
            kind = message.WhichOneof("request")
            if kind == "request_body":
                held.append(message.request_body.body)
                if message.request_body.end_of_stream:
                    yield from self.picked(held, message)
            elif kind == "response_headers":
                yield _messages.ProcessingResponse(response_headers=_messages.HeadersResponse())
            elif kind == "response_body":
                body = message.response_body
                yield self.body("response_body", body.body, body.end_of_stream)

    def body(self, phase: str, part: bytes, end: bool) -> Any:
        answer = _messages.BodyResponse()
        answer.response.body_mutation.streamed_response.body = part
        answer.response.body_mutation.streamed_response.end_of_stream = end
        return _messages.ProcessingResponse(**{phase: answer})

    def picked(self, held: list[bytes], message: Any) -> Iterator[Any]:
        text = b"".join(held)
        if text == b"hang":
            return
        if not text:
            refusal = _messages.ImmediateResponse(body=b"nothing asked")
            refusal.status.code = 400
            yield _messages.ProcessingResponse(immediate_response=refusal)
            return
        hint = message.metadata_context.filter_metadata["envoy.lb.subset_hint"].fields
        allowed = [value.string_value for key in hint for value in hint[key].list_value.values]
        chosen = allowed[0] if allowed else f"127.0.0.1:{len(text)}"
        headers = _messages.HeadersResponse()
        headers.response.clear_route_cache = True
        option = headers.response.header_mutation.set_headers.add()
        option.header.key, option.header.raw_value = DESTINATION, chosen.encode()
        answer = _messages.ProcessingResponse(request_headers=headers)
        answer.dynamic_metadata.update({NAMESPACE: {DESTINATION: chosen}})
        yield answer
        for number, part in enumerate(held):
            yield self.body("request_body", part, number == len(held) - 1)


@pytest.fixture(scope="module")
def teller() -> Iterator[ExternalProcessing]:
    library: Any = grpc
    server = library.server(ThreadPoolExecutor(4))
    services: Any = external_processor_pb2_grpc
    services.add_ExternalProcessorServicer_to_server(Teller(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with ExternalProcessing(f"127.0.0.1:{port}") as client:
        yield client
    server.stop(0).wait()


# Red when the client loses a chunk, a header, metadata or the hint, or mixes up the two phases.
def test_an_external_processor_is_asked_in_both_phases(teller: ExternalProcessing) -> None:
    with teller.stream() as stream:
        asked = stream.request([b"ab", b"cd", b"e"])
        assert (asked.destination, asked.metadata_destination) == ("127.0.0.1:5", "127.0.0.1:5")
        assert (asked.body_chunks, asked.clear_route_cache, asked.ended) == ([b"ab", b"cd", b"e"], True, "")
        assert stream.response([b"1", b"2"]).body_chunks == [b"1", b"2"]
    assert teller.ask(b"abc", subset=["127.0.0.9:1"]).destination == "127.0.0.9:1"


def test_a_refusal_and_silence_are_told_apart(teller: ExternalProcessing) -> None:
    refused = teller.ask(b"")
    assert (refused.immediate, refused.immediate_body, refused.destination) == (400, b"nothing asked", None)
    silent = teller.ask(b"hang", timeout=0.3)
    assert (silent.immediate, silent.ended) == (None, "DEADLINE_EXCEEDED")
    with pytest.raises(ClusterError, match=r"picked nothing \(status 400\): nothing asked"):
        teller.pick(b"")


def test_a_picker_that_is_not_there_is_an_end_not_a_hang() -> None:
    with ExternalProcessing("127.0.0.1:1") as nobody:
        assert nobody.ask(b"x", timeout=2).ended == "UNAVAILABLE"
