"""Small servers in threads that answer as they are told: the faults that an echo server does not have."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Generator

from gpuassay.load.plan import Ask, ClosedLoop, Plan, Shape, completion_body

Talk = Callable[[socket.socket, int], bool | None]
"""Answers the request of a number (from 0) on a connection; False: hang up then."""

DONE = b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
MODELS = b'{"object":"list","data":[{"id":"m"}]}'


def token(text: str = "a") -> bytes:
    return b'data: {"choices":[{"index":0,"text":"%s"}]}\n\n' % text.encode()


def fixed(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    """An answer of known length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def stream(*events: bytes, more: str = "") -> bytes:
    """A whole stream of events as one answer."""
    return fixed(b"".join(events), kind="text/event-stream", more=more)


def chunked(*chunks: bytes) -> bytes:
    """The beginning of a chunked stream: without the last chunk, it is cut."""
    return HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks)


class Told:
    """What a server saw: requests in order (path, head, body), and the most it had at a time."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.most = 0
        self.changed = threading.Condition()
        self._now = 0

    def began(self, path: str, head: str, body: bytes) -> int:
        with self.changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self.requests.append((path, head, body))
            self.changed.notify_all()
            return len(self.requests) - 1

    def ended(self) -> None:
        with self.changed:
            self._now -= 1


@contextlib.contextmanager
def serving(talk: Talk, *, models: bytes = MODELS) -> Generator[tuple[str, Told]]:
    """A server that answers `/v1/models` with `models` and leaves every other request to `talk`."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    told, threads, sockets = Told(), list[threading.Thread](), list[socket.socket]()

    def converse(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError), sock.makefile("rb") as file:
            while line := file.readline():
                head = line.decode()
                while (field := file.readline().decode()).strip():
                    head += field.lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
                body = file.read(length)
                path = line.split()[1].decode()
                if path == "/v1/models":
                    sock.sendall(fixed(models))
                    continue
                number = told.began(path, head, body)
                try:
                    if talk(sock, number) is False:
                        return
                finally:
                    told.ended()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sockets.append(sock)
                threads.append(threading.Thread(target=converse, args=(sock,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", told
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


def plan_for(url: str, count: int, shape: Shape | int = 1, **more: object) -> Plan:
    """`count` streamed completions of model `m`, labelled `p0`, `p1`, ... in a closed loop of `shape` streams."""
    settings: dict[str, object] = {
        "url": url,
        "model": "m",
        "bodies": {f"p{i}": completion_body(f"prompt {i}", 4) for i in range(count)},
        "asks": tuple(Ask(f"p{i}") for i in range(count)),
        "shape": ClosedLoop(shape) if isinstance(shape, int) else shape,
        "timeout": 10.0,
    }
    return Plan(**{**settings, **more})  # pyright: ignore[reportArgumentType]
