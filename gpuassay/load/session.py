"""A `requests` session that asks a gateway as the load generator does: what one reaches, the other reaches, too."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.auth import AuthBase

from gpuassay.load.client import AGENT
from gpuassay.load.proxies import proxy_for
from gpuassay.load.tls import named_bundle


class _AsGiven(AuthBase):
    """Leaves credentials as they are: without it, an entry of ~/.netrc would replace the token that was given."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


class GatewaySession(requests.Session):
    """User-Agent, proxies and trusted authorities are the load generator's.

    Credentials are those that are given; cookies are not kept, for one that ties a client to a replica would.
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers["user-agent"] = AGENT
        self.auth = _AsGiven()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def merge_environment_settings(
        self, url: str | bytes | None, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> Any:
        """Of requests.Session. Raises LoadError if the environment names a proxy that cannot be used."""
        proxy = proxy_for(url.decode() if isinstance(url, bytes) else url or "")
        named: Mapping[str, str] = {} if proxy is None else dict.fromkeys(("http", "https"), proxy.url)
        if verify is None or verify is True:
            bundle = named_bundle()
            verify = bundle[1] if bundle is not None else True
        return {
            "proxies": proxies or dict(named),
            "stream": self.stream if stream is None else stream,
            "verify": verify if self.verify is not False else False,
            "cert": cert or self.cert,
        }
