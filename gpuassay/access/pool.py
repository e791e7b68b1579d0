"""The connections to one server, through a proxy or not: urllib3's pool, and PySocks below it for SOCKS."""

from __future__ import annotations

import ssl
from typing import Any

import urllib3
from urllib3.contrib.socks import SOCKSProxyManager
from urllib3.util import make_headers

from gpuassay.access.proxy import Proxy


def open_pool(
    size: int,
    tls: ssl.SSLContext,
    proxy: Proxy | None,
    *,
    proxy_tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> urllib3.PoolManager:
    """A pool; nothing is connected yet.

    Args:
        size: connections kept per server.
        tls: how the server is trusted.
        proxy: through which, or None.
        proxy_tls: how a proxy of its own TLS is trusted.
        server_name: name in the server's certificate, where it is not that of the address.
    """
    settings: dict[str, Any] = {"num_pools": 4, "maxsize": size, "ssl_context": tls}
    if server_name:
        settings["server_hostname"] = server_name
    if proxy is None:
        return urllib3.PoolManager(**settings)
    if proxy.socks:
        login = {"username": proxy.name, "password": proxy.password} if proxy.name else {}
        return SOCKSProxyManager(proxy.url, **login, **settings)
    headers = make_headers(proxy_basic_auth=f"{proxy.name}:{proxy.password}") if proxy.name else {}
    return urllib3.ProxyManager(proxy.url, proxy_headers=headers, proxy_ssl_context=proxy_tls, **settings)
