"""A model server of ours in a replica's place: it answers exact bytes, and keeps exactly what reached it.

What a gateway does to bytes, to the time between two chunks and to connections cannot be seen with a server that makes
up its answers. The stand-in takes the address of a replica that was killed, so picker and gateway go on as before.
Which answer is wanted is said by the request header `x-answer`.
"""

from __future__ import annotations

import hashlib
import json
import select
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from gpuassay.load.headers import POD

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.simulator import Replica

ANSWER = "x-answer"
"""Request header that names the answer that is wanted: a key of `BODIES`, `ODD_USAGE`, or one of the cases below."""

STREAM, ENDLESS, REFUSAL, NOT_FOUND = "stream", "endless", "refusal", "not-found"
"""Chunks of which the second waits for `StandIn.go_on`; chunks without end; a 503; a 404."""

_USAGE = '"usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}'

COOKIES = "cookies"
"""An answer with the headers of `TOLD`, of which one comes twice."""
_PLAIN = b'{"object": "text_completion", ' + _USAGE.encode() + b"}"
TOLD = (("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2"), ("x-told", "once"), ("x-empty", ""))

BODIES: Mapping[str, bytes] = {
    # what a parser and a serialiser would not give back: spaces, escapes, order, a double key, big and long numbers
    "odd-json": (
        '{ "z" :1e2,\t"object":"text_completion", "a": "\\u00e9 \u00e9 \\/", "b": 12345678901234567890.10,\n'
        ' "twice": 1, "twice": 2, ' + _USAGE + " }\n\n"
    ).encode(),
    "large-json": ('{"object": "text_completion", "a": "' + "tokens \u00fc " * 250_000 + '", ' + _USAGE + "}").encode(),
    "no-json": bytes(range(256)) * 64,
    "empty": b"",
}  # fmt: skip
"""Answers of fixed bytes with status 200."""

ODD_USAGE: Mapping[str, bytes] = {
    "usage-is-null": b'{"object": "text_completion", "usage": null}',
    "usage-is-a-list": b'{"object": "text_completion", "usage": []}',
    "tokens-are-text": b'{"object": "text_completion", "usage": {"prompt_tokens": "3", "completion_tokens": 1}}',
}
"""Answers with status 200 whose usage is not what OpenAI's API says."""

REFUSALS: Mapping[str, tuple[int, bytes]] = {
    REFUSAL: (503, b'{"error": {"message": "the engine sleeps", "code": 503}}'),
    NOT_FOUND: (404, b'{"error": {"message": "no such adapter", "code": 404}}'),
}
"""Answers of fixed bytes with another status."""

EVENTS = (
    b'data: {"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": "first"}]}\n\n',
    b'data: {"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": "second"}]}\n\n',
    b"data: [DONE]\n\n",
)
"""The chunks of a stream."""

GO_SECONDS = 3.0
"""How long a stream waits to be told to go on: longer than a gateway needs for a chunk, shorter than a client waits."""
ENDLESS_SECONDS = 8.0
_BEAT = 0.05


def digest(body: bytes) -> str:
    """Stands for a body in a recording: 16 hex digits of its SHA-256, and its length."""
    return f"{hashlib.sha256(body).hexdigest()[:16]}/{len(body)}"


def canonical(body: bytes) -> str | None:
    """The same for all spellings of a JSON value, None for what is none."""
    try:
        return digest(json.dumps(json.loads(body), sort_keys=True).encode())
    except ValueError:
        return None


@dataclass
class StandIn:
    """What reached a stand-in.

    Attributes:
        name: of the Pod whose place it takes.
        seen: one mapping per request: `label` (header `x-label`), `headers`, `body` (digest), `value` (canonical JSON),
            `at_ns`, and for streams `sent` (chunks), `went_on` and `left_ns` (when the other side was seen to be gone).
    """

    name: str
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _go: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Let waiting streams send what is left."""
        self._go.set()

    def hold(self) -> None:
        """Streams wait again after their first chunk."""
        self._go.clear()

    def wait_go(self) -> bool:
        """Used by the server: whether it was told to go on in time."""
        return self._go.wait(GO_SECONDS)


@contextmanager
def standing_in(replica: Replica) -> Generator[StandIn]:
    """Kill a replica and answer in its place for the length of a `with` block."""
    replica.kill()
    found = StandIn(replica.name)
    server = _Server(replica.stand_in_address, _handler(found))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name=f"stand-in {replica.name}", daemon=True)
    thread.start()
    try:
        with replica.answered_by(server.server_address[1]):
            yield found
    finally:
        found.go_on()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of the test, no news for the terminal."""


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are kept, not printed."""

        def do_GET(self) -> None:
            """Metrics for the picker, and a list of models."""
            if self.path == "/metrics":
                self._answer(200, b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n", "text/plain")
            else:
                self._answer(200, b'{"object": "list", "data": []}')

        def do_POST(self) -> None:
            """Answers as asked by the header."""
            body = self._read()
            row: dict[str, Any] = {
                "at_ns": time.monotonic_ns(),
                "label": self.headers.get("x-label", ""),
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "all_headers": [[name.lower(), value] for name, value in self.headers.items()],
                "body": digest(body),
                "value": canonical(body),
            }
            stand_in.seen.append(row)
            wanted = self.headers.get(ANSWER, "odd-json")
            if wanted in REFUSALS:
                self._answer(*REFUSALS[wanted])
            elif wanted in (STREAM, ENDLESS):
                self._stream(row, endless=wanted == ENDLESS)
            else:
                self._answer(200, {**BODIES, **ODD_USAGE, COOKIES: _PLAIN}[wanted])

        def _read(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            parts: list[bytes] = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header(POD, stand_in.name)
            for name, value in TOLD if self.headers.get(ANSWER) == COOKIES else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, row: dict[str, Any], *, endless: bool) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.send_header(POD, stand_in.name)
            self.end_headers()
            row["sent"] = 0
            try:
                self._chunk(row, EVENTS[0])
                if endless:
                    self._beat(row)
                else:
                    row["went_on"] = stand_in.wait_go()
                    for event in EVENTS[1:]:
                        self._chunk(row, event)
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                row["left_ns"] = time.monotonic_ns()
                self.close_connection = True

        def _chunk(self, row: dict[str, Any], event: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            row["sent"] += 1

        def _beat(self, row: dict[str, Any]) -> None:
            """A chunk now and then until the other side closes or resets, which raises OSError."""
            until = time.monotonic() + ENDLESS_SECONDS
            while time.monotonic() < until:
                if select.select([self.connection], [], [], _BEAT)[0] and not self.connection.recv(1):
                    raise ConnectionResetError
                self._chunk(row, EVENTS[1])

    return Handler
