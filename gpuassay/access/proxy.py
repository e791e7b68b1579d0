"""Which proxy leads to the server.

`proxy-url` of the kubeconfig counts before the environment and is never left out. Of the environment, Go's rules
(`golang.org/x/net/http/httpproxy`): HTTPS_PROXY or HTTP_PROXY by the server's scheme, not for loopback, not for what
NO_PROXY names: a host and what lies below it, `.suffix` for what lies below only, an address, a CIDR block, each with a
port or without, or `*`. ALL_PROXY counts after them, as curl and Python have it. SOCKS5 names are resolved by the
proxy, as Go does for `socks5` and `socks5h` alike.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gpuassay.access.address import Address
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen

SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    Attributes:
        url: scheme, host and port; fit for messages.
        origin: who names it.
        name: user name at the proxy.
        password: its password.
    """

    url: str
    origin: str
    name: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def socks(self) -> bool:
        """Whether it speaks SOCKS."""
        return self.url.startswith("socks")

    @property
    def sentence(self) -> str:
        """The proxy, for messages."""
        return f"the proxy {self.url} ({self.origin})"


def proxy_for(chosen: Chosen, address: Address, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy of a context; None: there is none. Without an environment: that of this process.

    Raises:
        AccessError: it is named in a way that cannot be used.
    """
    if chosen.cluster.proxy_url:
        return _parsed(chosen.cluster.proxy_url.strip(), f"proxy-url of {chosen.of_cluster}")
    return proxy_from(address, os.environ if environment is None else environment)


def proxy_from(address: Address, told: Mapping[str, str]) -> Proxy | None:
    """The proxy that an environment names for a server; None: there is none.

    Raises:
        AccessError: as `proxy_for`.
    """
    for name in ("https_proxy" if address.secure else "http_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            url = told.get(spelling, "").strip()
            if url:
                if _left_out(address, told.get("no_proxy") or told.get("NO_PROXY") or ""):
                    return None
                return _parsed(url if "://" in url else f"http://{url}", spelling)
    return None


def _parsed(told: str, origin: str) -> Proxy:
    wrong = f"{origin} is no proxy that can be used: write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
    try:
        parts = urlsplit(told)
        port = parts.port
    except ValueError:
        raise AccessError(wrong) from None
    if parts.scheme not in SCHEMES or not parts.hostname or any(letter.isspace() for letter in told):
        raise AccessError(wrong)
    scheme = "socks5h" if parts.scheme.startswith("socks") else parts.scheme
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    number = port or {"http": 80, "https": 443}.get(scheme, 1080)
    return Proxy(f"{scheme}://{host}:{number}", origin, unquote(parts.username or ""), unquote(parts.password or ""))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _left_out(address: Address, no_proxy: str) -> bool:
    host, literal = address.host.rstrip("."), _address(address.host)
    if host == "localhost" or (literal and literal.is_loopback):
        return True
    return any(_matches(rule.strip().lower(), host, literal, address.port) for rule in no_proxy.split(","))


def _matches(rule: str, host: str, literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if rule in ("", "*"):
        return rule == "*"
    if literal is not None and "/" in rule:
        try:
            return literal in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, number = rule.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        rule = name
    rule = rule.strip("[]")
    if literal is not None:
        return _address(rule) == literal
    rule = rule.removeprefix("*")
    return host.endswith(rule) if rule.startswith(".") else host == rule or host.endswith(f".{rule}")
