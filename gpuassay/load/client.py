"""Sends requests over kept connections, each within its time."""

from __future__ import annotations

import asyncio
import ssl
import time
from urllib.parse import urlsplit

import gpuassay
from gpuassay.load.answer import Reading, note_failure
from gpuassay.load.credentials import credentials, hidden, secrets
from gpuassay.load.http1 import Connection
from gpuassay.load.plan import Plan
from gpuassay.load.proxies import Proxy, authority, proxy_for, tunnel
from gpuassay.load.rows import Row
from gpuassay.load.tls import client_context

AGENT = f"gpuassay/{gpuassay.__version__}"
"""What requests say of who sends them; some firewalls refuse those that say nothing."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class Client:
    """The connections of one run: as many as there are requests at a time, the last used first."""

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        """For the plan's server. Raises LoadError if credentials, proxy or authorities cannot be used."""
        parts = urlsplit(plan.url)
        self._plan, self._loop = plan, loop
        self._host = str(parts.hostname).encode("idna").decode()
        self._tls: ssl.SSLContext | None = client_context(verify=plan.verify_tls) if parts.scheme == "https" else None
        self._port = parts.port or DEFAULT_PORTS[parts.scheme]
        self._proxy = proxy_for(plan.url)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        known = credentials()
        host = host_field(self._host, self._port, parts.scheme)
        named = known.pop("host", host)  # where one address serves several
        self._base, self._host_line = parts.path.rstrip("/"), f" HTTP/1.1\r\nhost: {named}\r\n"
        self._fields = {
            "content-type": "application/json",
            "accept": "*/*",
            # a server that packs events holds them back; without this header it may
            "accept-encoding": "identity",
            "user-agent": AGENT,
            **known,
        }
        if self._proxy is not None and self._tls is None:
            self._base = f"http://{host}{self._base}"  # RFC 9112, section 3.2.2
            if self._proxy.authorization:
                self._fields["proxy-authorization"] = self._proxy.authorization

    async def ask(self, body: bytes, headers: dict[str, str], row: Row, *, streamed: bool, path: str = "") -> None:
        """Post `body` and fill in the row, whatever happens. Only a cancellation is passed on (`interrupted`).

        `path` counts instead of the plan's, where there is one.
        """
        # a request's own headers count for more
        named = self._fields | {name.lower(): value for name, value in headers.items()}
        fields = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        head = f"POST {self._base}{path or self._plan.path}{self._host_line}content-length: {len(body)}\r\n{fields}\r\n"
        request = head.encode("latin-1") + body
        reading = Reading(row, streamed=streamed, keep=self._plan.keep_headers)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._plan.timeout):
                row.start_ns = time.monotonic_ns()  # nothing before this waits, and nothing after it is preparation
                connection = await self._connection()
                await connection.exchange(request, reading)
        except asyncio.CancelledError:
            row.error, row.detail = "interrupted", "the load generator was told to stop"
            row.end_ns = time.monotonic_ns()
            raise
        except Exception as error:
            # whatever a broken server leads to is this request's failure and nobody else's
            note_failure(row, error)
            if isinstance(error, TimeoutError):
                row.detail = f"no complete answer within {self._plan.timeout:g} s"
            row.detail = hidden(row.detail, secrets(named))
            row.end_ns = row.end_ns or time.monotonic_ns()
        if connection is not None and connection.usable:
            self._idle.append(connection)

    async def close(self) -> None:
        """Drop all connections and wait until they are gone."""
        for connection in self._open:
            connection.close()
        for connection in self._open:
            await connection.lost.wait()

    async def _connection(self) -> Connection:
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
            self._open.discard(connection)
        if self._proxy is not None and self._tls is not None:
            connection = Connection(self._loop)
            await tunnel(self._proxy, self._host, self._port, self._tls, connection, AGENT)
        else:
            host, port = _place(self._proxy) or (self._host, self._port)
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop), host, port, ssl=self._tls
            )
        self._open.add(connection)
        return connection


def host_field(host: str, port: int, scheme: str) -> str:
    """The value of `host`: without the scheme's own port, as every client sends it."""
    if port != DEFAULT_PORTS[scheme]:
        return authority(host.partition("%")[0], port)
    bare = host.partition("%")[0]  # the zone of a link-local address is nobody else's business: RFC 6874
    return f"[{bare}]" if ":" in bare else bare


def _place(proxy: Proxy | None) -> tuple[str, int] | None:
    return None if proxy is None else (proxy.host, proxy.port)
