"""Why a server did not answer, in one sentence that says what to do."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

import urllib3.exceptions as urllib3
from socks import ProxyError as SocksError

from gpuassay.access.address import Address
from gpuassay.access.proxy import Proxy

_EXPIRED, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _UNKNOWN_ISSUER, _NAME, _IP = 10, 18, 19, 20, 62, 64
"""Codes of OpenSSL's x509_vfy.h."""

_ADVICE = {
    _EXPIRED: "renew the server's certificate, or put this machine's clock right",
    _SELF_SIGNED: "put the authority of the server into certificate-authority-data",
    _SELF_SIGNED_CHAIN: "certificate-authority is that of another cluster, or is not given",
    _UNKNOWN_ISSUER: "certificate-authority is that of another cluster, or is not given",
    _NAME: "use a name that the certificate has, or set tls-server-name to one",
    _IP: "use an address that the certificate has, or set tls-server-name to a name in it",
}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that it was made from, outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [getattr(one, "reason", None), getattr(one, "original_error", None), one.__cause__, one.__context__]
        inner += [*one.args, getattr(one, "socket_err", None)]
        waiting += [part for part in inner if isinstance(part, BaseException)]


def why(
    error: BaseException,
    address: Address,
    proxy: Proxy | None,
    seconds: float | None = None,
    *,
    certificate: bool = False,
) -> str:
    """The reason.

    Args:
        error: what was raised.
        address: the server that was asked.
        proxy: through which.
        seconds: s that an answer was waited for.
        certificate: whether a client certificate was shown.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            advice = _ADVICE.get(one.verify_code)
            message = one.verify_message.rstrip(".")
            return f"certificate verify failed: {message}{f'; {advice}' if advice else ''}"
    if proxy is not None and any(isinstance(one, (urllib3.ProxyError, SocksError)) for one in chain):
        return f"{proxy.sentence} does not lead there: {_last(chain)}"
    for one in chain:
        if isinstance(one, ssl.SSLError) and not isinstance(one, ssl.SSLEOFError) and (said := _tls(one)):
            return said
        if isinstance(one, socket.gaierror):
            return f"the name {address.host!r} cannot be resolved ({one.strerror})"
        if isinstance(one, ConnectionRefusedError):
            return f"connection refused by {address.host}:{address.port}"
    for one in chain:  # an error of a name or a port is a ConnectTimeoutError, too
        if isinstance(one, urllib3.ReadTimeoutError):
            return "it took the connection and gave no answer" + (f" within {seconds:g} s" if seconds else "")
        if type(one) is urllib3.ConnectTimeoutError:
            return f"nobody took the connection at {address.host}:{address.port} in time"
    closed = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)
    if address.secure and any(isinstance(one, closed) for one in chain):
        return "it closed the connection" + ("; it may refuse the client certificate" if certificate else "")
    if not address.secure and any(isinstance(one, (ConnectionError, urllib3.ProtocolError)) for one in chain):
        return f"{_last(chain)}; if it speaks TLS, its server must begin with https://"
    return _last(chain)


def _tls(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return "it does not speak TLS; if it is plain HTTP, its server must begin with http://"
    plain = reason.replace("_", " ").lower()
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return f"it refuses the client certificate ({plain}): it has expired, or is of another cluster"
    return f"no TLS with it ({plain})" if plain else ""


def _last(chain: list[BaseException]) -> str:
    for one in reversed(chain):
        said = " ".join((getattr(one, "strerror", None) or str(one)).split())
        if said:
            return re.sub(r" \(_ssl\.c:\d+\)$", "", said).rstrip(".")
    return type(chain[0]).__name__
