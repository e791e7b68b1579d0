"""Ports of pods as ports of this machine, by the API server: the way in for programs that speak TCP, such as gRPC.

Each TCP connection to the local port is one WebSocket to the Pod's `portforward` (subprotocol v4.channel.k8s.io), with
nothing but the rights of the kubeconfig. A frame's first byte is the channel, 0 for data and 1 for errors, and the
first frame of each holds the port's number (Kubernetes, k8s.io/kubelet, pkg/cri/streaming/portforward).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import aiohttp

from gpuassay.access.connection import Handshake
from gpuassay.access.errors import AccessError
from gpuassay.background import Background
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError
from gpuassay.secrets import hide_line

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
BLOCK = 1 << 16
CONNECT_SECONDS = 10.0
SETTLE_SECONDS = 3.0
"""How long connections may take to be closed."""


class Tunnels:
    """Local ports that lead to ports of pods; a context manager, which closes them all.

    Pods are named anew for every connection, so that a port goes on to lead to a pod that was made again.
    """

    def __init__(self, api: Api) -> None:
        """Nothing is connected yet."""
        self._api = api
        self._background = Background("tunnels")
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._session: aiohttp.ClientSession | None = None
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self.complaints: list[str] = []
        """Why connections could not be made or broke off, the latest last."""

    def __enter__(self) -> Tunnels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, namespace: str, pod: Callable[[], str], port: int) -> int:
        """A port of 127.0.0.1 that leads to `port` of a pod; `pod` gives its name when somebody connects."""
        return self._background.run(self._serve(namespace, pod, port), 2 * CONNECT_SECONDS)

    def close(self) -> None:
        """Close all ports and connections. Idempotent; what does not close in time on a busy machine goes with us."""
        if self._background.closed:
            return
        with suppress(TimeoutError):  # it would take the place of what went wrong inside the `with` block
            self._background.run(self._end(), 2 * CONNECT_SECONDS)
        self._background.close(CONNECT_SECONDS)

    async def _serve(self, namespace: str, pod: Callable[[], str], port: int) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            try:
                await self._carry(namespace, pod, port, reader, writer)
            except (aiohttp.ClientError, OSError, ClusterError, AccessError, TimeoutError) as error:
                self._complain(f"{namespace}, port {port}: {type(error).__name__}: {error}")
            except asyncio.CancelledError:
                return  # of `close` alone; asyncio would print it otherwise
            finally:
                with suppress(OSError):
                    writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _carry(
        self,
        namespace: str,
        pod: Callable[[], str],
        port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Carry bytes both ways until one side ends."""
        name = await asyncio.to_thread(pod)
        way = await asyncio.to_thread(
            self._api.connection.handshake, f"/api/v1/namespaces/{namespace}/pods/{name}/portforward?ports={port}"
        )
        async with await self._connected(way) as channel:
            up = asyncio.ensure_future(_send(reader, channel))
            down = asyncio.ensure_future(self._receive(channel, writer, f"{namespace}/{name}, port {port}"))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in (up, down):
                    one.cancel()
                await asyncio.gather(up, down, return_exceptions=True)

    async def _connected(self, way: Handshake) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, socket_factory=self._socket)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        proxy = login = None
        if way.proxy is not None:
            if not way.proxy.url.startswith("http://"):
                raise ClusterError(
                    f"ports of pods cannot be reached through {way.proxy.sentence}: only through http://"
                )
            proxy = way.proxy.url
            login = aiohttp.BasicAuth(way.proxy.name, way.proxy.password) if way.proxy.name else None
        return await self._session.ws_connect(
            way.url, protocols=(PROTOCOL,), headers=way.headers, ssl=way.trust, server_hostname=way.server_name,
            proxy=proxy, proxy_auth=login, max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=1.0),  # pyright: ignore[reportCallIssue]
        )  # fmt: skip

    async def _receive(self, channel: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter, what: str) -> None:
        begun = {DATA: False, ERROR: False}
        async for message in channel:
            if message.type != aiohttp.WSMsgType.BINARY or not message.data:
                continue
            number, block = message.data[0], message.data[1:]
            if number in begun and not begun[number]:
                begun[number], block = True, block[2:]  # the port's number
            if number == DATA and block:
                writer.write(block)
                await writer.drain()
            elif number == ERROR and block:
                self._complain(f"{what}: {block.decode(errors='replace')}")
                return

    def _complain(self, said: str) -> None:
        self.complaints = [*self.complaints[-9:], hide_line(said)]

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None and self._session.connector is not None:
            # TLS would take leave of a server that may not answer any more
            await self._session.connector.close(abort_ssl=True)
            await self._session.close()
        await self._end_sockets()

    def _socket(self, found: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*found[:3])
        self._sockets.add(made)
        return made

    async def _end_sockets(self) -> None:
        """Close what still takes leave of the server, for which asyncio waits half a minute, and see it closed."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + SETTLE_SECONDS
        while any(one.fileno() >= 0 for one in self._sockets) and time.monotonic() < end:
            await asyncio.sleep(0.01)


async def _send(reader: asyncio.StreamReader, channel: aiohttp.ClientWebSocketResponse) -> None:
    while block := await reader.read(BLOCK):
        await channel.send_bytes(bytes([DATA]) + block)
