"""A way to somebody's endpoint picker: straight, or through a relay of ours where it speaks TLS.

Pickers make a certificate of their own that names nobody unless they are given one; gRPC's client insists on a name.
The relay takes any certificate, as gateways do that are told so, and gives plain text on a loopback address.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager

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
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_relay, args=(listener, target), daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _relay(listener: socket.socket, target: str) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        try:
            far = _context().wrap_socket(socket.create_connection(parts_of(target), SECONDS))
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        threading.Thread(target=_both_ways, args=(near, far), daemon=True).start()


def _both_ways(near: socket.socket, far: ssl.SSLSocket) -> None:
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
