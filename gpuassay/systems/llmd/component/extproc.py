"""A client of Envoy's external-processing protocol: asks an endpoint picker as a gateway would, without a gateway.

One stream per request (EPP protocol, Gateway API Inference Extension): request headers and body, then, where the picker
has chosen, response headers and body. Every wait has an end.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2, external_processor_pb2_grpc

from gpuassay.cluster.errors import ClusterError
from gpuassay.load.headers import DESTINATION, DESTINATION_SERVED, SUBSET
from gpuassay.systems.llmd.gateway.configuration import NAMESPACE, SUBSET_NAMESPACE

_messages: Any = external_processor_pb2
_core: Any = base_pb2

_LARGEST = 64 * 2**20


@dataclass
class Answer:
    """What the picker answered to one phase (request or response) of a stream.

    Attributes:
        set_headers: headers that it sets, by lower-case name.
        destination: endpoint in the header `x-gateway-destination-endpoint`, None without one.
        metadata: dynamic metadata by namespace.
        clear_route_cache: whether it asks for a new choice of route.
        immediate: HTTP status of an immediate response, None without one.
        immediate_body: its body.
        body: the body as the picker hands it on.
        body_chunks: its chunks, in order.
        ended: gRPC code that ended the stream before the phase was complete ("" where it was).
        detail: what the picker said with it.
    """

    set_headers: dict[str, str] = field(default_factory=dict[str, str])
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    clear_route_cache: bool = False
    immediate: int | None = None
    immediate_body: bytes = b""
    body_chunks: list[bytes] = field(default_factory=list[bytes])
    ended: str = ""
    detail: str = ""

    @property
    def destination(self) -> str | None:
        """Endpoint named in the request header."""
        return self.set_headers.get(DESTINATION)

    @property
    def metadata_destination(self) -> str | None:
        """Endpoint named in the dynamic metadata."""
        found = self.metadata.get(NAMESPACE, {}).get(DESTINATION)
        return None if found is None else str(found)

    @property
    def body(self) -> bytes:
        """All chunks joined."""
        return b"".join(self.body_chunks)


def chunks(body: bytes, count: int) -> list[bytes]:
    """`body` in `count` parts of about equal length (fewer where it has fewer bytes)."""
    size = max(1, -(-len(body) // max(1, count)))
    return [body[at : at + size] for at in range(0, len(body), size)] or [b""]


class Stream:
    """One request seen by the picker; a context manager that ends the stream."""

    def __init__(self, stub: Any, timeout: float) -> None:
        """Used by `ExternalProcessing.stream`; `timeout` in seconds bounds the whole stream."""
        self._sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call: Any = stub.Process(self._outgoing(), timeout=timeout)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _outgoing(self) -> Iterator[Any]:
        while (message := self._sent.get()) is not None:
            yield message

    def close(self) -> None:
        """End the stream as a gateway does when the request is over."""
        self._sent.put(None)
        self._call.cancel()

    def request(
        self,
        body: bytes | Sequence[bytes] | None,
        *,
        path: str = "/v1/completions",
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        subset: Sequence[str] | None = None,
        trailers: bool = False,
    ) -> Answer:
        """Send request headers and body; returns when the picker has handed on the whole body, or refused.

        Args:
            body: in one chunk, or as chunks; None: a request without body.
            path: of the request.
            method: POST with a body, GET without one, if not given.
            headers: further request headers.
            subset: endpoints (`address:port`) that the gateway allows; None: no hint at all.
            trailers: end the body by trailers instead of the mark on its last chunk.
        """
        parts = None if body is None else [body] if isinstance(body, bytes) else list(body)
        sent = {
            ":method": method or ("GET" if parts is None else "POST"), ":path": path, ":authority": "localhost",
            ":scheme": "http", "content-type": "application/json", **(headers or {}),
        }  # fmt: skip
        hint = {SUBSET_NAMESPACE: {SUBSET: list(subset)}} if subset is not None else {}
        self._put("request_headers", _headers(sent, end=parts is None), hint)
        if parts is None:
            return self._collect("request", 0)
        self._put_body("request_body", parts, hint, trailers)
        if trailers:
            self._put("request_trailers", _messages.HttpTrailers(), hint)
        return self._collect("request", sum(map(len, parts)))

    def response(
        self,
        body: bytes | Sequence[bytes],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        served: str | None = None,
    ) -> Answer:
        """Send the response's headers and body; returns when the picker has handed on the whole body.

        Args:
            body: in one chunk, or as chunks (of a stream of server-sent events).
            status: HTTP status of the model server.
            headers: further response headers; content-type is JSON if not given.
            served: endpoint that served, as a gateway reports it.
        """
        parts = [body] if isinstance(body, bytes) else list(body)
        sent = {":status": str(status), "content-type": "application/json", **(headers or {})}
        told = {NAMESPACE: {DESTINATION_SERVED: served}} if served is not None else {}
        self._put("response_headers", _headers(sent, end=False), told)
        self._put_body("response_body", parts, told, False)
        return self._collect("response", sum(map(len, parts)))

    def _put_body(self, phase: str, parts: Sequence[bytes], metadata: Mapping[str, Any], open_end: bool) -> None:
        for number, part in enumerate(parts):
            last = number == len(parts) - 1 and not open_end
            self._put(phase, _messages.HttpBody(body=part, end_of_stream=last), metadata)

    def _put(self, phase: str, message: Any, metadata: Mapping[str, Any]) -> None:
        request = _messages.ProcessingRequest(**{phase: message})
        for namespace, fields in metadata.items():
            request.metadata_context.filter_metadata[namespace].update(fields)
        self._sent.put(request)

    def _collect(self, phase: str, length: int) -> Answer:
        """Take messages until the phase's body has come back with its end, an immediate response, or the end."""
        answer = Answer()
        try:
            for message in self._call:
                _note_metadata(message, answer)
                kind = message.WhichOneof("response")
                if kind == "immediate_response":
                    _note_immediate(message.immediate_response, answer)
                    return answer
                part = getattr(message, kind)
                if kind.endswith("_trailers"):
                    return answer
                _note_common(part.response, answer)
                if kind == f"{phase}_headers" and phase == "request" and length == 0:
                    return answer
                if kind == f"{phase}_body" and _note_body(part.response.body_mutation, answer):
                    return answer
            answer.ended = "OK"
        except grpc.RpcError as error:
            call: Any = error
            answer.ended, answer.detail = str(call.code().name), str(call.details())
        return answer


def _headers(values: Mapping[str, str], *, end: bool) -> Any:
    listed = [_core.HeaderValue(key=key, raw_value=value.encode()) for key, value in values.items()]
    return _messages.HttpHeaders(headers=_core.HeaderMap(headers=listed), end_of_stream=end)


def _options(mutation: Any) -> dict[str, str]:
    pairs = [(option.header.key.lower(), option.header) for option in mutation.set_headers]
    return {key: (header.raw_value or header.value.encode()).decode(errors="replace") for key, header in pairs}


def _note_common(common: Any, answer: Answer) -> None:
    answer.set_headers |= _options(common.header_mutation)
    answer.clear_route_cache = answer.clear_route_cache or bool(common.clear_route_cache)


def _note_body(mutation: Any, answer: Answer) -> bool:
    """Keep the chunk; whether it was the last."""
    kind = mutation.WhichOneof("mutation")
    if kind == "streamed_response":
        answer.body_chunks.append(bytes(mutation.streamed_response.body))
        return bool(mutation.streamed_response.end_of_stream)
    if kind == "body":
        answer.body_chunks.append(bytes(mutation.body))
    return True


def _note_immediate(immediate: Any, answer: Answer) -> None:
    answer.immediate = int(immediate.status.code)
    answer.immediate_body = bytes(immediate.body)


def _note_metadata(message: Any, answer: Answer) -> None:
    for namespace, value in message.dynamic_metadata.fields.items():
        fields: dict[str, Any] = {}
        for key, inner in value.struct_value.fields.items():
            fields[key] = inner.string_value if inner.WhichOneof("kind") == "string_value" else _plain(inner)
        answer.metadata.setdefault(namespace, {}).update(fields)


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_plain(entry) for entry in value.list_value.values]
    if kind == "struct_value":
        return {key: _plain(entry) for key, entry in value.struct_value.fields.items()}
    return None if kind in (None, "null_value") else getattr(value, kind)


class ExternalProcessing:
    """A connection to an endpoint picker; a context manager. Streams may be open side by side."""

    def __init__(self, target: str) -> None:
        """Connects to `target` (`host:port`) at the first stream."""
        self.target = target
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST),
                ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
            ],
        )  # fmt: skip
        make: Any = external_processor_pb2_grpc.ExternalProcessorStub
        self._stub: Any = make(self._channel)

    def __enter__(self) -> ExternalProcessing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._channel.close()

    def stream(self, timeout: float = 5.0) -> Stream:
        """Open a stream for one request that ends after `timeout` seconds at the latest."""
        return Stream(self._stub, timeout)

    def ask(
        self, body: bytes | None, *, count: int = 1, subset: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None, path: str = "/v1/completions", timeout: float = 5.0,
    ) -> Answer:  # fmt: skip
        """One request in `count` chunks, and the picker's answer to it; the stream is closed."""
        with self.stream(timeout) as stream:
            parts = None if body is None else chunks(body, count)
            return stream.request(parts, path=path, headers=headers, subset=subset)

    def pick(self, body: bytes, *, timeout: float = 5.0) -> str:
        """The endpoint (`address:port`) that is picked for a request body.

        Raises:
            ClusterError: none is picked; the picker's own words are shown.
        """
        answer = self.ask(body, timeout=timeout)
        if answer.destination is None:
            said = answer.immediate_body.decode(errors="replace") or answer.detail or answer.ended
            raise ClusterError(f"the endpoint picker picked nothing (status {answer.immediate}): {said}")
        return answer.destination
