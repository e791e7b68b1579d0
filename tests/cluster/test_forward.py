"""A port of a pod is reached through the API server, byte for byte."""

from __future__ import annotations

import io
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.forward import BINARY, CLOSE, PING, PONG, forwarded, frame, messages


def served(opcode: int, payload: bytes, *, last: bool = True) -> bytes:
    """A message, or a piece of one, as a server sends it: not masked."""
    head = opcode | (0x80 if last else 0)
    short = len(payload) < 126
    return struct.pack("!BB" if short else "!BBH", head, *([len(payload)] if short else [126, len(payload)])) + payload


def unmasked(reader: io.BufferedReader) -> tuple[int, bytes]:
    """The next message of a client."""
    first, second = reader.read(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(reader.read(2 if length == 126 else 8), "big")
    key, payload = reader.read(4), reader.read(length)
    return first & 0x0F, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 70_000])
def test_what_is_sent_arrives(size: int) -> None:
    """Red when a message is masked or measured wrongly."""
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent = frame(BINARY, payload)
    assert unmasked(io.BufferedReader(io.BytesIO(sent))) == (BINARY, payload)
    assert sent[1] & 0x80, "a client must mask"


def test_pieces_are_put_together_and_control_messages_come_between() -> None:
    """Red when a message in pieces is taken for several, or one that is cut for a whole one."""
    stream = served(BINARY, b"ab", last=False) + served(PING, b"?") + served(0, b"cd") + served(CLOSE, b"")
    assert list(messages(io.BytesIO(stream))) == [(PING, b"?"), (BINARY, b"abcd"), (CLOSE, b"")]
    with pytest.raises(EOFError):
        list(messages(io.BytesIO(served(BINARY, b"abcd")[:-1])))


@contextmanager
def server(
    folder: Path, talk: Callable[[socket.socket, io.BufferedReader], None]
) -> Generator[tuple[Api, list[bytes]]]:
    """An API server that has one thing to say; and the lines of what it was asked."""
    listening = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def answer() -> None:
        taken, _ = listening.accept()
        with taken, taken.makefile("rb") as reader:
            while (line := reader.readline()) not in (b"\r\n", b""):
                asked.append(line.strip())
            talk(taken, reader)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    where = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = folder / "kubeconfig"
    context = {"name": "c", "context": {"cluster": "c"}}
    cluster = {"name": "c", "cluster": {"server": where}}
    body = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [cluster], "contexts": [context]}
    config.write_text(yaml.safe_dump(body))
    try:
        yield Api.from_kubeconfig(config, direct=True), asked
    finally:
        thread.join(10)
        listening.close()


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def test_bytes_go_there_and_back(tmp_path: Path) -> None:
    """Red when bytes are lost, the port's number is taken for data, or a ping stays without an answer."""
    told: list[tuple[int, bytes]] = []

    def talk(taken: socket.socket, reader: io.BufferedReader) -> None:
        port = struct.pack("<H", 8443)
        # the first messages come in one go with the answer
        taken.sendall(SWITCHED + served(BINARY, b"\0" + port) + served(BINARY, b"\1" + port) + served(PING, b"?"))
        told.extend([unmasked(reader), unmasked(reader)])
        [(_, payload)] = [one for one in told if one[0] == BINARY]
        taken.sendall(served(BINARY, payload) + served(CLOSE, b""))

    with server(tmp_path, talk) as (api, asked):
        with forwarded(api, "ns", "pod-a", 8443) as way:
            way.sendall(b"hello")
            assert way.recv(100) == b"hello"
            assert way.recv(100) == b""
        assert sorted(told) == [(BINARY, b"\0hello"), (PONG, b"?")]
        assert asked[0] == b"GET /api/v1/namespaces/ns/pods/pod-a/portforward?ports=8443 HTTP/1.1"
        assert b"Sec-WebSocket-Protocol: v4.channel.k8s.io" in asked


def test_a_port_that_nobody_serves_is_an_end(tmp_path: Path) -> None:
    """Red when the kubelet's refusal is waited for, or read as data."""

    def talk(taken: socket.socket, reader: io.BufferedReader) -> None:
        port = struct.pack("<H", 1)
        taken.sendall(SWITCHED + served(BINARY, b"\0" + port) + served(BINARY, b"\1" + port))
        taken.sendall(served(BINARY, b"\1connection refused"))
        reader.read(1)

    with server(tmp_path, talk) as (api, _), forwarded(api, "ns", "pod-a", 1) as way:
        assert way.recv(100) == b""


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    """Red when a missing right is told by a broken pipe."""

    def talk(taken: socket.socket, reader: io.BufferedReader) -> None:
        del reader
        taken.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden")

    refusal = pytest.raises(ClusterError, match="connection to port 8443 of pod-a cannot be had: 403 forbidden")
    with server(tmp_path, talk) as (api, _), refusal, forwarded(api, "ns", "pod-a", 8443):
        pass
