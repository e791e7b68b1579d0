"""Sends requests over kept connections, each within its time."""

from __future__ import annotations

import asyncio
import ssl
import time
from urllib.parse import urlsplit

from gpuassay.load.answer import Reading, note_failure
from gpuassay.load.credentials import credentials
from gpuassay.load.http1 import Connection
from gpuassay.load.plan import Plan
from gpuassay.load.rows import Row


class Client:
    """The connections of one run: as many as there are requests at a time, the last used first."""

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        """For the plan's server."""
        parts = urlsplit(plan.url)
        self._plan, self._loop = plan, loop
        self._host, self._tls = str(parts.hostname), _tls(plan) if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._credentials = credentials()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._begin = (
            f"POST {parts.path.rstrip('/')}{plan.path} HTTP/1.1\r\nhost: {name}:{self._port}\r\n"
            "content-type: application/json\r\naccept: */*\r\n"
        )

    async def ask(self, body: bytes, headers: dict[str, str], row: Row, *, streamed: bool) -> None:
        """Post `body` and fill in the row, whatever happens. Only a cancellation is passed on (`interrupted`)."""
        # a request's own credentials count for more
        named = headers if any(name.lower() == "authorization" for name in headers) else self._credentials | headers
        fields = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        request = f"{self._begin}content-length: {len(body)}\r\n{fields}\r\n".encode("latin-1") + body
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
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop), self._host, self._port, ssl=self._tls
        )
        self._open.add(connection)
        return connection


def _tls(plan: Plan) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not plan.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
