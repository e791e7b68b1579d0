"""A way to somebody's endpoint picker: straight, or through a relay of ours where it speaks TLS.

Pickers make a certificate of their own that names nobody unless they are given one; gRPC's client insists on a name.
The relay takes any certificate, as gateways do that are told so, and gives plain text on a loopback address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

from gpuassay.background import Background
from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.llmd.existing.addresses import parts_of

SECONDS = 5.0
"""How long a picker may take to accept a connection."""
_PIECE = 64 * 1024


def speaks_tls(target: str) -> bool:
    """Whether a picker speaks TLS. Raises ClusterError, with one line, if nothing accepts a connection there."""
    try:
        plain = socket.create_connection(parts_of(target), SECONDS)
    except OSError as error:
        raise ClusterError(
            f"--epp-target {target}: {error.strerror or error}; check that the picker's gRPC port is reached from here"
            " (kubectl port-forward does)"
        ) from None
    try:
        with plain, _context().wrap_socket(plain):
            return True
    except OSError:  # what is no handshake is no TLS
        return False


@contextmanager
def reached(target: str) -> Generator[str]:
    """`host:port` at which the picker answers in plain text, for the length of a `with` block.

    Raises:
        ClusterError: as `speaks_tls`.
    """
    if not speaks_tls(target):
        yield target
        return
    background = Background("relay to a picker")
    try:
        server = background.run(_listening(target), SECONDS)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            with contextlib.suppress(TimeoutError):
                background.run(_closed(server), SECONDS)
    finally:
        background.close(SECONDS)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


async def _listening(target: str) -> asyncio.Server:
    """A relay on a port of 127.0.0.1."""
    host, port = parts_of(target)

    async def accept(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        # an SSLSocket would not do: two threads may not read and write one at a time before Python 3.13
        with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError), contextlib.closing(back):
            async with asyncio.timeout(SECONDS):
                far, forth = await asyncio.open_connection(host, port, ssl=_context())
            try:
                ways = [asyncio.ensure_future(_pump(near, forth)), asyncio.ensure_future(_pump(far, back))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                forth.transport.abort()  # a picker that has gone takes no leave

    return await asyncio.start_server(accept, "127.0.0.1", 0)


async def _closed(server: asyncio.Server) -> None:
    server.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await source.read(_PIECE):
            sink.write(block)
            await sink.drain()
