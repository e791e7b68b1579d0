"""A connection to a port of a pod through the API server, as `kubectl port-forward` has it.

Over a WebSocket with the subprotocol `v4.channel.k8s.io`, which the kubelet's streaming server speaks: every message
begins with a channel's number (0: data, 1: what went wrong), the first message of each channel holds the port's number.
The connection, its credentials and its proxies are those of every other request.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO
from urllib.parse import quote

import urllib3

from gpuassay.access.connection import NoAnswer
from gpuassay.access.errors import AccessError
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError

PROTOCOL = "v4.channel.k8s.io"
SECONDS: tuple[float, float] = (5, 30)
"""To connect, and without a word from the pod."""
BINARY, CLOSE, PING, PONG = 0x2, 0x8, 0x9, 0xA
DATA, ERROR = 0, 1
"""Channels."""
BLOCK = 1 << 15


@contextmanager
def forwarded(api: Api, namespace: str, pod: str, port: int) -> Generator[socket.socket]:
    """A socket that leads to the pod's port, for the length of a `with` block.

    Raises:
        ClusterError: the API server or the kubelet refuses, or does not answer.
    """
    tunnel = _Tunnel(api, f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/portforward", port)
    try:
        yield tunnel.near
    finally:
        tunnel.close()


class _Tunnel:
    """Carries bytes between a socket pair and a WebSocket."""

    def __init__(self, api: Api, path: str, port: int) -> None:
        headers = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "Z3B1YXNzYXktZm9yd2FyZA==", "Sec-WebSocket-Protocol": PROTOCOL,
        }  # fmt: skip
        what = f"a connection to port {port} of {path.split('/')[-2]}"
        try:
            answer = api.connection.request(
                "get", path, query={"ports": str(port)}, headers=headers, timeout=SECONDS, read=False
            )
        except (NoAnswer, AccessError) as error:
            raise ClusterError(f"{what} cannot be had: {error}") from None
        if answer.status != 101:
            said = " ".join(answer.data.decode(errors="replace").split())[:200]
            raise ClusterError(f"{what} cannot be had: {answer.status} {said}".rstrip())
        self._answer = answer
        self._socket, self._reader = _taken_over(answer)
        self._lock = threading.Lock()
        self.near, self._far = socket.socketpair()
        for one in (self.near, self._far):
            one.settimeout(SECONDS[1])
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._inward, self._outward)]
        for one in self._threads:
            one.start()

    def close(self) -> None:
        """End the connection."""
        for one in (self.near, self._far):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for one in self._threads:
            one.join(SECONDS[0])
        for one in (self.near, self._far, self._socket):
            one.close()
        self._answer.close()

    def _outward(self) -> None:
        """What is written here becomes messages."""
        with suppress(OSError):
            while block := self._far.recv(BLOCK):
                self._send(BINARY, bytes([DATA]) + block)
            self._send(CLOSE, b"")

    def _inward(self) -> None:
        """Messages become what can be read here."""
        begun = set[int]()
        with suppress(OSError, EOFError):
            for opcode, payload in messages(self._reader):
                if opcode == PING:
                    self._send(PONG, payload)
                elif opcode == CLOSE:
                    break
                elif payload and payload[0] not in begun:
                    begun.add(payload[0])  # the port's number
                elif payload and payload[0] == DATA:
                    self._far.sendall(payload[1:])
                elif payload and payload[0] == ERROR:
                    break
        with suppress(OSError):
            self._far.shutdown(socket.SHUT_WR)

    def _send(self, opcode: int, payload: bytes) -> None:
        with self._lock:
            self._socket.sendall(frame(opcode, payload))


def _taken_over(answer: urllib3.BaseHTTPResponse) -> tuple[socket.socket, BinaryIO]:
    """The socket of an answer that switched protocols, and a reader that holds what has come already.

    urllib3 has no public name for either.
    """
    inner: Any = answer
    return inner._connection.sock, inner._original_response.fp


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message from a client: masked, as RFC 6455 demands."""
    key = os.urandom(4)
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    mask = (key * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return head + key + masked.to_bytes(length, "big")


def messages(reader: BinaryIO) -> Generator[tuple[int, bytes]]:
    """Whole messages from a server, as opcode and payload; pieces are put together.

    Raises:
        EOFError: the stream ended within one.
    """
    opcode, gathered = 0, b""
    while first := reader.read(1):
        length = _exactly(reader, 1)[0] & 0x7F
        if length >= 126:
            length = int.from_bytes(_exactly(reader, 2 if length == 126 else 8), "big")
        payload = _exactly(reader, length)
        code, last = first[0] & 0x0F, bool(first[0] & 0x80)
        if code >= CLOSE:  # control messages come between pieces
            yield code, payload
            continue
        opcode, gathered = code or opcode, gathered + payload
        if last:
            yield opcode, gathered
            opcode, gathered = 0, b""


def _exactly(reader: BinaryIO, count: int) -> bytes:
    found = reader.read(count)
    if len(found) < count:
        raise EOFError
    return found
