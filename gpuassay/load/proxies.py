"""The proxy that the environment names, as other clients take it: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.

Loopback addresses are asked directly whatever is named, as by Go's clients: arms of ours are there.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gpuassay.load.addresses import without_secrets
from gpuassay.load.errors import LoadError

_NAMES = ("http_proxy", "https_proxy", "all_proxy")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9]{2})")
_MAX_HEAD = 64 * 1024


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: its name or number.
        port: where it listens.
        url: as the environment names it, with user and password; never printed.
        authorization: the value of Proxy-Authorization, "" for none; never printed.
    """

    host: str
    port: int
    url: str = field(repr=False)
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Where it is."""
        return f"http://{authority(self.host, self.port)}"


class ProxyRefused(ConnectionError):  # noqa: N818 - reads as what it is
    """The proxy does not connect."""


def authority(host: str, port: int) -> str:
    """Host and port as addresses have them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> Proxy | None:
    """The proxy through which `url` is to be asked; None: directly.

    Raises:
        LoadError: the environment names one that cannot be used; its user and password are not shown.
    """
    if is_loopback(urlsplit(url).hostname or "") or not any(name.lower() in _NAMES for name in os.environ):
        return None
    # the rules of NO_PROXY, networks included, are those of the client that asks everything but loads
    from requests.utils import get_environ_proxies, select_proxy

    named = select_proxy(url, get_environ_proxies(url))
    if not named:
        return None
    text = named if "://" in named else f"http://{named}"
    try:
        parts = urlsplit(text)
        port = parts.port or 80
    except ValueError as error:
        raise LoadError(f"the proxy {without_secrets(text)} of the environment: {error}") from None
    if parts.scheme != "http" or not parts.hostname:
        raise LoadError(
            f"the environment names the proxy {without_secrets(text)}: only http:// proxies can be used;"
            " name another in HTTPS_PROXY or HTTP_PROXY, or except the server by NO_PROXY"
        )
    return Proxy(parts.hostname, port, text, _basic(parts.username, parts.password))


def _basic(user: str | None, password: str | None) -> str:
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


async def tunnel(
    proxy: Proxy, host: str, port: int, tls: ssl.SSLContext, into: asyncio.Protocol, agent: str
) -> asyncio.Transport:
    """A TLS connection to `host` through the proxy (RFC 9110, section 9.3.6), with `into` as its protocol.

    Raises:
        ProxyRefused: it answers the CONNECT with anything but 2xx.
        OSError: it cannot be reached, or TLS is not trusted.
    """
    loop = asyncio.get_running_loop()
    place = authority(host, port)
    transport, asking = await loop.create_connection(lambda: _Connect(loop, f"proxy {proxy}"), proxy.host, proxy.port)
    try:
        known = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        transport.write(f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\nuser-agent: {agent}\r\n{known}\r\n".encode())
        await asking.answered
        secured = await loop.start_tls(transport, into, tls, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ProxyRefused(f"proxy {proxy}: the connection ended")
    into.connection_made(secured)
    return secured


class _Connect(asyncio.Protocol):
    """Waits for a proxy's answer to CONNECT."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.answered: asyncio.Future[None] = loop.create_future()
        self._name, self._text = name, b""

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        self._text += data
        if self.answered.done() or (b"\r\n\r\n" not in self._text and len(self._text) < _MAX_HEAD):
            return
        status = _STATUS.match(self._text)
        if status is not None and status[1].startswith(b"2"):
            self.answered.set_result(None)
        else:
            said = f"{int(status[1])} to CONNECT" if status else f"no HTTP: {self._text[:40]!r}"
            self.answered.set_exception(ProxyRefused(f"{self._name} answers {said}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio.Protocol."""
        if not self.answered.done():
            self.answered.set_exception(ProxyRefused(f"{self._name} ends the connection without an answer"))
