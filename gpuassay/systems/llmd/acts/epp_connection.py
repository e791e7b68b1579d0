"""Streams to an endpoint picker (EPP), chunk by chunk where that is wanted, and through the mutant of the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2

from gpuassay.systems.llmd.component.extproc import ExternalProcessing, Stream
from gpuassay.systems.llmd.mutants.epp import Broken

PATIENCE = 5.0
"""Seconds for one request, answer and all: what takes longer hangs."""

_messages: Any = external_processor_pb2
_core: Any = base_pb2


class _Disturbed:
    """A call whose messages pass a broken picker."""

    def __init__(self, call: Any, broken: Broken) -> None:
        self._call, self._broken = call, broken

    def __iter__(self) -> Iterator[Any]:
        for message in self._call:
            yield from self._broken.answered(message)

    def cancel(self) -> None:
        if not self._broken.holds_streams:
            self._call.cancel()


@dataclass(frozen=True)
class _DisturbedStub:
    stub: Any
    make: type[Broken]

    def Process(self, outgoing: Iterator[Any], timeout: float) -> _Disturbed:  # noqa: N802 - the protocol's name
        broken = self.make()

        def passed() -> Iterator[Any]:
            yield from map(broken.sent, outgoing)
            if broken.holds_streams:
                threading.Event().wait(timeout)  # the stream's own end frees it

        return _Disturbed(self.stub.Process(passed(), timeout=timeout), broken)


class StepwiseStream(Stream):
    """A stream whose response can be sent chunk by chunk, each only after the one before has come back."""

    def __enter__(self) -> StepwiseStream:
        return self

    def begin_response(self, headers: Mapping[str, str]) -> None:
        """Send response headers, and wait for them to come back.

        Raises:
            grpc.RpcError: the stream ended, for example because they were held back until its time was up.
        """
        sent = {":status": "200", **headers}
        listed = [_core.HeaderValue(key=key, raw_value=value.encode()) for key, value in sent.items()]
        self._put("response_headers", _messages.HttpHeaders(headers=_core.HeaderMap(headers=listed)), {})
        self._next("response_headers")

    def next_chunk(self, part: bytes, *, last: bool) -> bytes:
        """Send one chunk of the response, and return what comes back for it. Errors as `begin_response`."""
        self._put_body("response_body", [part], {}, not last)
        answer = self._next("response_body")
        return bytes(answer.response.body_mutation.streamed_response.body)

    def _next(self, kind: str) -> Any:
        for message in self._call:
            if message.WhichOneof("response") == kind:
                return getattr(message, kind)
        raise EOFError("the picker ended the stream")


class Connection(ExternalProcessing):
    """A connection to a picker, through the mutant of the run if it has one for it."""

    def __init__(self, target: str, broken: type[Broken] | None) -> None:
        """`target` is `host:port`; `broken` stands for another picker."""
        super().__init__(target)
        if broken is not None:
            self._stub = _DisturbedStub(self._stub, broken)

    def __enter__(self) -> Connection:
        return self

    def stream(self, timeout: float = PATIENCE) -> StepwiseStream:
        """Open a stream for one request that ends after `timeout` seconds at the latest."""
        return StepwiseStream(self._stub, timeout)
