"""Ports of pods by the API server, held against a server that speaks the protocol of a kubelet."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from gpuassay.cluster.api import Api
from gpuassay.cluster.port_forward import PROTOCOL, Tunnels
from gpuassay.waiting import wait
from tests.access.apiserver import GOOD, Server, config, written

PORT = 8000


@dataclass
class Kubelet:
    """A pod's port that gives back what it gets, in capitals.

    Attributes:
        fails: what the kubelet says instead.
        asked: path of every request, with its bearer token.
    """

    fails: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, request.headers.get("Authorization", "")))
        if request.headers.get("Authorization") != f"Bearer {GOOD}":
            return web.Response(status=401)
        channel = web.WebSocketResponse(protocols=(PROTOCOL,))
        await channel.prepare(request)
        for number in (0, 1):
            await channel.send_bytes(bytes([number]) + PORT.to_bytes(2, "little"))
        if self.fails:
            await channel.send_bytes(b"\x01" + self.fails.encode())
        async for message in channel:
            if message.type == WSMsgType.BINARY and message.data[1:] == b"end":
                break
            await channel.send_bytes(b"\x00" + bytes(message.data[1:]).upper())
        await channel.close()
        return channel


@contextmanager
def running(kubelet: Kubelet) -> Generator[int]:
    """Its port on loopback."""
    loop, found = asyncio.new_event_loop(), list[int]()
    begun = threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", kubelet.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.append(runner.addresses[0][1])
        return runner

    def run() -> None:
        runner = loop.run_until_complete(serve())
        begun.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@contextmanager
def tunnels(folder: Path, port: int, token: str = GOOD) -> Generator[Tunnels]:
    """The way through a server on that port."""
    import trustme

    server = Server(trustme.CA(), port, "http")
    with Tunnels(Api.from_kubeconfig(written(folder, config(server, {"token": token})))) as found:
        yield found


def said(port: int, *words: bytes) -> list[bytes]:
    """What a TCP connection to a local port gives back for each word; b"" once it is closed."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        found: list[bytes] = []
        for word in words:
            connection.sendall(word)
            found.append(connection.recv(1 << 16))
        return found


def test_bytes_go_both_ways_without_the_frames_of_the_protocol(tmp_path: Path) -> None:
    """Red when a channel's number or the port at its beginning is taken for data, or the pod is not named anew."""
    kubelet, names = Kubelet(), iter(("first", "second"))
    with running(kubelet) as port, tunnels(tmp_path, port) as found:
        local = found.open("here", lambda: next(names), PORT)
        assert said(local, b"one", b"two") == [b"ONE", b"TWO"]
        assert said(local, b"x" * 200_000)[0].strip(b"X") == b""
    path = "/api/v1/namespaces/here/pods/{}/portforward?ports=8000"
    assert [asked for asked, _ in kubelet.asked] == [path.format("first"), path.format("second")]


def test_the_end_of_the_pod_is_the_end_of_the_connection(tmp_path: Path) -> None:
    """Red when a client of a server that has gone waits for ever."""
    with running(Kubelet()) as port, tunnels(tmp_path, port) as found:
        assert said(found.open("here", lambda: "one", PORT), b"one", b"end") == [b"ONE", b""]


@pytest.mark.parametrize(("kubelet", "token"), [(Kubelet(fails="connection refused"), GOOD), (Kubelet(), "wrong")])
def test_what_stands_in_the_way_is_told(tmp_path: Path, kubelet: Kubelet, token: str) -> None:
    """Red when a refusal leaves a client without an end, nobody learns why, or the token is in what is told."""
    with running(kubelet) as port, tunnels(tmp_path, port, token) as found:
        local = found.open("here", lambda: "one", PORT)
        with socket.create_connection(("127.0.0.1", local), 10) as connection:
            connection.settimeout(10)
            assert connection.recv(10) == b""
        told = wait(lambda: found.complaints, bool, what="a complaint", timeout=10)
    assert (kubelet.fails or "401") in told[-1]
    assert token not in told[-1]


def test_nothing_listens_once_it_is_closed(tmp_path: Path) -> None:
    """Red when a port or a connection outlives the arm that it leads to."""
    with running(Kubelet()) as port:
        with tunnels(tmp_path, port) as found:
            local = found.open("here", lambda: "one", PORT)
            connection = socket.create_connection(("127.0.0.1", local), 10)
            connection.sendall(b"one")
            assert connection.recv(10) == b"ONE"
        with connection:
            connection.settimeout(10)
            assert connection.recv(10) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", local), 1)
        found.close()


def test_a_way_that_does_not_close_in_time_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a scenario that failed on a busy machine is told as a TimeoutError without a word."""
    monkeypatch.setattr("gpuassay.cluster.port_forward.CONNECT_SECONDS", 0.05)
    busy = threading.Event()
    with pytest.raises(ValueError, match="what went wrong"), tunnels(tmp_path, 1) as ways:
        ways._background._loop.call_soon_threadsafe(busy.wait)  # pyright: ignore[reportPrivateUsage]
        raise ValueError("what went wrong")
    busy.set()
    ways._background.close(10)  # pyright: ignore[reportPrivateUsage]
    assert ways._background.closed  # pyright: ignore[reportPrivateUsage]
