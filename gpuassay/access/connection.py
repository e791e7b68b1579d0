"""One connection to the API server of a context, for everything that talks to it.

Address, trust, proxy and credentials are settled here once; the API client and the recorder send their requests through
it, so what one of them can reach the other can, too.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import HTTPError

import gpuassay
from gpuassay.access import tls
from gpuassay.access.address import address_of, skips_verification
from gpuassay.access.credentials import Grant, credentials_of
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen, choose
from gpuassay.access.material import Pair, authority
from gpuassay.access.pool import open_pool
from gpuassay.access.proxy import Proxy, proxy_for
from gpuassay.access.words import why
from gpuassay.secrets import hide_line, learn

REDIRECTS = range(300, 400)
RETRIES = urllib3.Retry(3, redirect=0, backoff_factor=0.1, retry_after_max=10, raise_on_status=False)
"""For requests that may be sent twice; a server that asks for patience is given that, but not for ever."""
ONCE = urllib3.Retry(0, redirect=0, respect_retry_after_header=False, raise_on_status=False)


class NoAnswer(HTTPError):  # noqa: N818 - reads as what it is
    """The server gave no answer; the message is one line, says why, and holds no secret."""


@dataclass(frozen=True)
class Handshake:
    """What a client of its own needs to begin a request that becomes another protocol, such as WebSocket.

    Attributes:
        url: where, without query.
        headers: what every request carries; some are secret.
        trust: how the server is trusted, and who we are to it.
        server_name: name in the server's certificate, where it is not that of the address.
        proxy: through which, or None.
    """

    url: str
    headers: Sequence[tuple[str, str]] = field(repr=False)
    trust: ssl.SSLContext
    server_name: str | None
    proxy: Proxy | None


class Connection:
    """One identity's way to one API server; may be used from many threads."""

    def __init__(self, chosen: Chosen, *, direct: bool = False, size: int = 16) -> None:
        """Settle everything that can be settled without the server.

        Args:
            chosen: what the context names.
            direct: ignore the proxies of the environment, for servers on loopback.
            size: connections kept.

        Raises:
            AccessError: something of it cannot be used.
        """
        self.chosen = chosen
        self.address = address_of(chosen)
        self._insecure = skips_verification(chosen)
        self._authority = authority(chosen) if self.address.secure else None
        if self._insecure and self._authority:
            raise AccessError(
                f"{chosen.of_cluster} has insecure-skip-tls-verify and certificate-authority; only one may be given"
            )
        self.proxy = proxy_for(chosen, self.address, {} if direct else None)
        if self.proxy:
            learn(self.proxy.password)
        if self._insecure:  # whoever accepts any certificate has said so; a warning per request says nothing more
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._size = size
        self._credentials = credentials_of(chosen, self.address)
        self._impersonation = _impersonation(chosen)
        self._lock = threading.Lock()
        self._pair: Pair | None = None
        self._pool = self._opened(self._credentials.grant().pair)

    def __repr__(self) -> str:
        """Context and server."""
        return f"Connection({self.chosen.context!r}, {self.address.url})"

    @classmethod
    def open(
        cls, kubeconfig: Path | str, context: str | None = None, *, direct: bool = False, size: int = 16
    ) -> Connection:
        """The connection of a context of a kubeconfig (None: the current one).

        Raises:
            AccessError: the kubeconfig cannot be used; one line says why.
        """
        return cls(choose(kubeconfig, context), direct=direct, size=size)

    @property
    def doubt(self) -> str:
        """What may be wrong with the credentials where the server does not accept them, or ""."""
        with suppress(AccessError):
            return hide_line(self._credentials.doubt)
        return ""

    def _opened(self, pair: Pair | None) -> urllib3.PoolManager:
        self._pair = pair
        whose = self.chosen.of_user
        trust = tls.context(self._authority, insecure=self._insecure, pair=pair, whose=whose)
        proxy_trust = None
        if self.proxy and self.proxy.url.startswith("https://"):
            proxy_trust = tls.context(self._authority, insecure=self._insecure, pair=None, whose=whose)
            if self._authority and not self._insecure:
                proxy_trust.load_default_certs()
        return open_pool(
            self._size, trust, self.proxy, proxy_tls=proxy_trust, server_name=self.chosen.cluster.tls_server_name
        )

    def _pool_of(self, grant: Grant) -> urllib3.PoolManager:
        with self._lock:
            if grant.pair != self._pair:  # a plugin gave another certificate; answers under way keep their connections
                self._pool = self._opened(grant.pair)
            return self._pool

    def _headers(self, grant: Grant, more: Mapping[str, str]) -> urllib3.HTTPHeaderDict:
        headers = urllib3.HTTPHeaderDict({"Accept": "application/json, */*", "User-Agent": _AGENT, **more})
        if grant.authorization:
            headers["Authorization"] = grant.authorization
        for name, value in self._impersonation:
            headers.add(name, value)
        return headers

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        timeout: tuple[float, float],
        retries: urllib3.Retry = ONCE,
        read: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """The answer to one request, whatever its status; after a 401 the credentials are asked for anew, once.

        Args:
            method: HTTP method.
            path: path below the server's address.
            query: query parameters.
            headers: further headers.
            body: what is sent.
            timeout: s to connect, and between two reads.
            retries: whether a request that was not answered is sent again.
            read: whether the body is read at once.

        Raises:
            NoAnswer: there was none.
            AccessError: the credentials are not to be had.
        """
        url = f"{self.address.url}{path}" + (f"?{urlencode(query)}" if query else "")
        grant = self._credentials.grant()
        for last in (False, True):
            try:
                response = self._pool_of(grant).request(
                    method.upper(),
                    url,
                    headers=self._headers(grant, headers or {}),
                    body=body,
                    # The keywords matter: the positional order is (total, connect), and a total cuts a healthy watch.
                    timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
                    retries=retries,
                    redirect=False,
                    preload_content=read,
                )
            except (HTTPError, OSError, ValueError) as e:
                # what urllib3 says may quote headers and addresses
                reason = why(e, self.address, self.proxy, timeout[1], certificate=grant.pair is not None)
                raise NoAnswer(hide_line(reason)) from None
            if response.status != 401 or last or not self._credentials.renew(grant):
                return response
            response.drain_conn()
            response.release_conn()
            grant = self._credentials.grant()
        raise AssertionError("unreachable")

    def handshake(self, path: str) -> Handshake:
        """The way to `path` for a client of its own.

        Raises:
            AccessError: the credentials are not to be had.
        """
        grant = self._credentials.grant()
        trust = tls.context(self._authority, insecure=self._insecure, pair=grant.pair, whose=self.chosen.of_user)
        headers = list(self._headers(grant, {}).items())
        return Handshake(f"{self.address.url}{path}", headers, trust, self.chosen.cluster.tls_server_name, self.proxy)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


_AGENT = f"gpuassay/{gpuassay.__version__}"


def _impersonation(chosen: Chosen) -> list[tuple[str, str]]:
    user = chosen.user
    rest = user.impersonate_uid or user.impersonate_groups or user.impersonate_extra
    if not user.impersonate:
        if rest:
            raise AccessError(f"{chosen.of_user} has as-uid, as-groups or as-user-extra without as")
        return []
    found = [("Impersonate-User", user.impersonate)]
    if user.impersonate_uid:
        found.append(("Impersonate-Uid", user.impersonate_uid))
    found += [("Impersonate-Group", one) for one in user.impersonate_groups or []]
    for key, values in (user.impersonate_extra or {}).items():
        found += [(f"Impersonate-Extra-{_percent(key)}", value) for value in values]
    for _, value in found:
        if not value.isprintable() or not value.isascii():
            raise AccessError(f"{chosen.of_user}: a name after 'as' holds characters that a header cannot carry")
    return found


def _percent(key: str) -> str:
    return quote(key.lower(), safe="!#$&'*+-.^_`|~")
