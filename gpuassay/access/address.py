"""The server's address, and whether it is trusted without a look at its certificate."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from gpuassay.access import shapes
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen


@dataclass(frozen=True)
class Address:
    """Where the API server is.

    Attributes:
        url: scheme, host, port and path, without a slash at its end and without user information.
        userinfo: name and password that the address holds, as Go sends them.
    """

    url: str
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """Name or address, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return urlsplit(self.url).port or (443 if self.secure else 80)


def skips_verification(chosen: Chosen) -> bool:
    """The truth value of `insecure-skip-tls-verify`.

    Raises:
        AccessError: it is none.
    """
    told = (chosen.cluster.insecure_skip_tls_verify or "").lower()
    if told not in shapes.TRUE + shapes.FALSE:
        raise AccessError(f"{chosen.of_cluster}: insecure-skip-tls-verify must be true or false")
    return told in shapes.TRUE


def address_of(chosen: Chosen) -> Address:
    """The server of a context.

    An address without a scheme is https where TLS settings are given (client-go, `rest.DefaultServerURL`); otherwise
    it is refused, for client-go would then send the credentials in clear.

    Raises:
        AccessError: there is none, or it is no address of an API server.
    """
    told = (chosen.cluster.server or "").strip()
    wrong = f"{chosen.of_cluster}: server"
    if not told:
        raise AccessError(f"{wrong} is not given; write https://HOST:PORT")
    tls = (
        chosen.cluster.certificate_authority or chosen.cluster.certificate_authority_data or skips_verification(chosen)
        or chosen.user.client_certificate or chosen.user.client_certificate_data
    )  # fmt: skip
    if "://" not in told:
        if not tls:
            raise AccessError(f"{wrong} has no scheme; write https://HOST:PORT")
        told = f"https://{told}"
    try:
        parts = urlsplit(told)
        _ = parts.port
    except ValueError:
        raise AccessError(f"{wrong} is no address: write https://HOST:PORT, an IPv6 address in brackets") from None
    if parts.scheme not in ("http", "https"):
        raise AccessError(f"{wrong} has the scheme {parts.scheme!r}; write https://HOST:PORT")
    if not parts.hostname or any(letter.isspace() for letter in told):
        raise AccessError(f"{wrong} is no address; write https://HOST:PORT")
    if parts.query or parts.fragment:
        raise AccessError(f"{wrong} holds a query or fragment; write https://HOST:PORT/PATH")
    plain = SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")
    userinfo = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
    return Address(plain.geturl(), userinfo)
