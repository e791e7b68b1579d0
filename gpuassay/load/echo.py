"""An OpenAI-like server that streams at known times and keeps its own send times as the truth.

`python -m gpuassay.load.echo TIMING.json READY` serves until it is ended; READY then holds its port. One thread waits
for sockets and for a kernel timer, so that events leave within some 0.05 ms of their time. `GET /truth` gives a line
per answered request (`gpuassay.load.timing.Truth`). A request is known by its `x-request-id`, or, for clients that
send none, by the `id` that the events of its answer carry, as an OpenAI-like server's do.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import select
import socket
import sys
import time
from itertools import count
from pathlib import Path

import msgspec

from gpuassay.load.clock import Timer
from gpuassay.load.headers import POD, REQUEST_ID
from gpuassay.load.realtime import SERVER, realtime
from gpuassay.load.timing import EchoTiming, Truth

MODEL = "echo"
_JSON = "application/json"
_SSE_HEAD = (
    f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{POD}: echo\r\n\r\n"
).encode()
_STREAM_MARK = (b'"stream":true', b'"stream": true')
MAX_HEAD = 64 * 1024
READ = 1 << 20


class _Connection:
    """One client: what it has sent so far, and what it has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self.received, self.unsent, self.open = sock, bytearray(), b"", True


class _Answer:
    """One answer under way."""

    def __init__(self, connection: _Connection, request_id: str, parsed_ns: int, size: int, chat: bool, stream: bool):
        self.connection, self.request_id, self.parsed_ns, self.size = connection, request_id, parsed_ns, size
        self.chat, self.stream, self.sent, self.first_ns = chat, stream, 0, 0
        self.offsets: list[int] = []
        self.frame = b""


class EchoServer:
    """The server; `serve` runs it in the calling thread.

    Attributes:
        port: where it listens on `host`.
        truths: what it did, in the order in which answers ended.
    """

    def __init__(self, timing: EchoTiming, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen at once. Raises OSError if the address is not to be had."""
        self.timing = timing
        self.truths: list[Truth] = []
        self._listener = socket.create_server((host, port), backlog=1024)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._timer = Timer()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._due: list[tuple[int, int, _Answer]] = []
        self._tie = count()
        self._connections: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        for fd in (self._listener.fileno(), self._timer.fileno(), self._wake):
            self._epoll.register(fd, select.EPOLLIN)
        self._number = count()
        self._text = "word " * timing.tokens_per_event
        self._role = _frame(b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n')

    def stop(self) -> None:
        """End `serve`; from any thread."""
        os.eventfd_write(self._wake, 1)

    def serve(self) -> None:
        """Serve until `stop`; closes everything."""
        listener, timer = self._listener.fileno(), self._timer.fileno()
        try:
            while True:
                ready = self._epoll.poll()
                self._send_due()  # before anything that takes time
                for fd, _ in ready:
                    if fd == self._wake:
                        return
                    if fd == listener:
                        self._accept()
                    elif fd == timer:
                        self._timer.expirations()
                    elif fd in self._connections:
                        self._read(self._connections[fd])
                    self._send_due()
                if self._due:
                    self._timer.set(self._due[0][0])
        finally:
            for connection in list(self._connections.values()):
                self._close(connection)
            self._epoll.close()
            self._timer.close()
            self._listener.close()
            os.close(self._wake)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _close(self, connection: _Connection) -> None:
        if connection.open:
            connection.open = False
            del self._connections[connection.socket.fileno()]
            self._epoll.unregister(connection.socket.fileno())
            connection.socket.close()

    def _read(self, connection: _Connection) -> None:
        if connection.unsent:
            self._send(connection, b"")
        if not connection.open:
            return
        try:
            data = connection.socket.recv(READ)  # whatever is left makes the socket readable again
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        now = time.monotonic_ns()
        connection.received += data
        self._parse(connection, now)

    def _parse(self, connection: _Connection, parsed_ns: int) -> None:
        """Answer the request if it is there as a whole, since `parsed_ns`."""
        received = connection.received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            if len(received) > MAX_HEAD:
                self._close(connection)
            return
        lines = bytes(received[:end]).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = fields.get("content-length", "0")
        if not length.isdigit() or "transfer-encoding" in fields:
            self._reply(connection, "411 Length Required", b'{"error":"content-length is needed"}')
            self._close(connection)
            return
        size = int(length)
        if len(received) < end + 4 + size:
            return
        body = bytes(received[end + 4 : end + 4 + size])
        del received[: end + 4 + size]
        method, _, rest = lines[0].partition(" ")
        self._route(connection, method, rest.split(" ", 1)[0], body, fields.get(REQUEST_ID, ""), parsed_ns)

    def _route(
        self, connection: _Connection, method: str, path: str, body: bytes, request_id: str, parsed_ns: int
    ) -> None:
        if method == "POST" and path in ("/v1/completions", "/v1/chat/completions"):
            stream = any(mark in body for mark in _STREAM_MARK)
            request_id = request_id or f"{MODEL}-{next(self._number)}"
            answer = _Answer(connection, request_id, parsed_ns, len(body), path.endswith("chat/completions"), stream)
            answer.offsets = self.timing.offsets_ns(request_id)
            if not stream:
                del answer.offsets[:-1]
            heapq.heappush(self._due, (parsed_ns + answer.offsets[0], next(self._tie), answer))
            if stream:
                answer.frame = _frame(_event(answer.chat, self._text, request_id))
                self._send(connection, _SSE_HEAD + (self._role if answer.chat else b""))
        elif path == "/v1/models":
            self._reply(connection, "200 OK", b'{"object":"list","data":[{"id":"%s"}]}' % MODEL.encode())
        elif path == "/truth":
            self._reply(connection, "200 OK", b"".join(msgspec.json.encode(truth) + b"\n" for truth in self.truths))
        elif path == "/health":
            self._reply(connection, "200 OK", b"{}")
        else:
            self._reply(connection, "404 Not Found", b'{"error":"no such path"}')

    def _reply(self, connection: _Connection, status: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {_JSON}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._send(connection, head.encode() + body)

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic_ns():
            _, _, answer = heapq.heappop(self._due)
            if not answer.connection.open:
                self._note(answer, 0)
                continue
            self._send_next(answer)

    def _send_next(self, answer: _Answer) -> None:
        last = answer.sent + 1 == len(answer.offsets)
        now = time.monotonic_ns()
        if not answer.stream:
            self._reply(answer.connection, "200 OK", _whole(answer, self.timing.tokens))
        else:
            frame = answer.frame
            self._send(answer.connection, frame + _tail(self.timing.tokens, answer.size) if last else frame)
        answer.first_ns = answer.first_ns or now
        answer.sent += 1
        if last:
            self._note(answer, now)
        else:
            due = answer.parsed_ns + answer.offsets[answer.sent]
            heapq.heappush(self._due, (due, next(self._tie), answer))

    def _note(self, answer: _Answer, last_ns: int) -> None:
        self.truths.append(Truth(answer.request_id, answer.parsed_ns, answer.first_ns, last_ns, answer.size))

    def _send(self, connection: _Connection, data: bytes) -> None:
        """Send what the client takes; the rest follows when it takes more."""
        had = bool(connection.unsent)
        data = connection.unsent + data
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.unsent = data[sent:]
        if bool(connection.unsent) != had:
            mask = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
            self._epoll.modify(connection.socket.fileno(), mask)


def _frame(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112, section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(chat: bool, text: str, request_id: str) -> bytes:
    said: dict[str, object] = {"delta": {"content": text}} if chat else {"text": text}
    return b"data: " + msgspec.json.encode({"id": request_id, "choices": [{"index": 0, **said}]}) + b"\n\n"


def _usage(tokens: int, size: int) -> dict[str, int]:
    return {"prompt_tokens": size // 4, "completion_tokens": tokens, "total_tokens": size // 4 + tokens}


def _tail(tokens: int, size: int) -> bytes:
    usage = msgspec.json.encode({"choices": [], "usage": _usage(tokens, size)})
    return _frame(b"data: " + usage + b"\n\ndata: [DONE]\n\n") + b"0\r\n\r\n"


def _whole(answer: _Answer, tokens: int) -> bytes:
    text = "word " * tokens
    said: dict[str, object] = {"message": {"role": "assistant", "content": text}} if answer.chat else {"text": text}
    return msgspec.json.encode(
        {"id": answer.request_id, "choices": [{"index": 0, **said}], "usage": _usage(tokens, answer.size)}
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gpuassay.load.echo", description=__doc__)
    parser.add_argument("timing", type=Path, help="EchoTiming as JSON")
    parser.add_argument("ready", type=Path, help="file that gets the port when it listens")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args(arguments)
    try:
        timing = msgspec.json.decode(chosen.timing.read_bytes(), type=EchoTiming)
        server = EchoServer(timing, chosen.host, chosen.port)
    except (msgspec.DecodeError, ValueError, OSError) as error:
        print(f"error: echo server: {error}", file=sys.stderr)
        return 2
    part = chosen.ready.with_name(f"{chosen.ready.name}.part")
    part.write_text(str(server.port))
    part.replace(chosen.ready)
    gc.disable()  # answers make no cycles, and a collection is an event that leaves late
    with realtime(SERVER):
        server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
