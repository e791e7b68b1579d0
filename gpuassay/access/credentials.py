"""Who we are at the server, now: what a user of a kubeconfig gives, read again where it changes while we run."""

from __future__ import annotations

import base64
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from gpuassay.access.address import Address
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen
from gpuassay.access.material import Pair, checked_token, client_pair, not_redacted, read_file
from gpuassay.access.oidc import Provider
from gpuassay.access.oidc import expiry as jwt_expiry
from gpuassay.access.plugin import Plugin
from gpuassay.secrets import learn

PAUSE = 5.0
"""s between two runs of a plugin that gives nothing new, or nothing good."""


@dataclass(frozen=True)
class Grant:
    """What goes along with a request.

    Attributes:
        authorization: value of the header, or "".
        pair: client certificate, or None.
        expires: when it ends, as far as that is known.
    """

    authorization: str = field(default="", repr=False)
    pair: Pair | None = None
    expires: datetime | None = None


class Credentials(Protocol):
    """The credentials of one user; may be used from many threads."""

    def grant(self) -> Grant:
        """What counts now. Raises AccessError where there is none to be had."""
        ...

    def renew(self, refused: Grant) -> bool:
        """After a 401: whether there is another grant than the one that was refused. Raises AccessError."""
        ...

    @property
    def doubt(self) -> str:
        """What may be wrong with them where the server does not accept them, or ""."""
        ...


class Fixed:
    """Credentials that stand in the kubeconfig."""

    def __init__(self, grant: Grant, doubt: str = "") -> None:
        """Take them."""
        self._grant, self._doubt = grant, doubt

    def grant(self) -> Grant:
        """Always the same."""
        return self._grant

    def renew(self, refused: Grant) -> bool:
        """Never."""
        del refused
        return False

    @property
    def doubt(self) -> str:
        """What was given, or that a certificate or token has ended."""
        return self._doubt or _ended(self._grant)


class TokenFile:
    """A token in a file that somebody renews, as in a pod."""

    def __init__(self, path: Path, whose: str, instead: str, pair: Pair | None) -> None:
        """Read it; `instead` counts while the file cannot be read, and `pair` goes along.

        Raises:
            AccessError: it holds no token, and there is no other.
        """
        self._path, self._what = path, f"tokenFile of {whose}"
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._token, self._pair = instead, pair
        self._read()

    def _read(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        except (OSError, ValueError):
            stamp = ()
        if stamp and stamp == self._stamp:
            return
        try:
            text = read_file(self._path, self._what)
            if not text.strip():
                raise AccessError(f"{self._what}: {self._path} is empty")
            token = checked_token(text, f"{self._what} ({self._path})")
        except AccessError:
            if self._token:  # while it is written anew, the last one counts
                return
            raise
        learn(token)
        self._token, self._stamp = token, stamp

    def grant(self) -> Grant:
        """What the file holds now."""
        with self._lock:
            self._read()
            return _bearer(self._token, self._pair)

    def renew(self, refused: Grant) -> bool:
        """Whether the file has changed since."""
        with self._lock:
            self._stamp = ()
        return self.grant().authorization != refused.authorization

    @property
    def doubt(self) -> str:
        """Where the token comes from."""
        return _ended(self.grant()) or f"the token is that of {self._path}"


class Asked:
    """Credentials that a plugin or a provider gives, kept until they end."""

    def __init__(self, first: Grant, ask: _Ask, who: str) -> None:
        """Begin with `first`."""
        self._grant, self._ask, self._who = first, ask, who
        self._lock = threading.Lock()
        self._asked = time.monotonic()
        self._failure = ""

    def _again(self) -> None:
        """Ask anew, but not without a pause."""
        if time.monotonic() - self._asked < PAUSE and (self._failure or _over(self._grant)):
            if self._failure:
                raise AccessError(self._failure)
            return
        self._failure = ""
        try:
            self._grant = self._ask()
        except AccessError as e:
            self._failure = str(e)
            raise
        finally:
            self._asked = time.monotonic()

    def grant(self) -> Grant:
        """What was given, or what is given anew when that has ended."""
        with self._lock:
            if _over(self._grant):
                self._again()
            return self._grant

    def renew(self, refused: Grant) -> bool:
        """Ask again, unless somebody has done so since."""
        with self._lock:
            if self._grant == refused:
                self._again()
            return self._grant != refused

    @property
    def doubt(self) -> str:
        """Who gave them."""
        return f"{_ended(self._grant) or 'they are'} what {self._who} gave"


class _Ask(Protocol):
    def __call__(self) -> Grant: ...


def _over(grant: Grant) -> bool:
    return grant.expires is not None and grant.expires <= datetime.now(UTC)


def _ended(grant: Grant) -> str:
    ends = grant.expires or (grant.pair.expires if grant.pair else None)
    if ends is None and grant.authorization.startswith("Bearer "):
        try:
            told = jwt_expiry(grant.authorization[7:])
            ends = datetime.fromtimestamp(told, UTC) if told is not None else None
        except (ValueError, RecursionError, OverflowError, OSError):
            return ""
    if ends is None or ends > datetime.now(UTC):
        return ""
    which = "client certificate" if grant.pair and not grant.authorization else "token"
    return f"the {which} ended at {ends:%Y-%m-%d %H:%M} UTC:"


def _bearer(token: str, pair: Pair | None = None, expires: datetime | None = None) -> Grant:
    return Grant(f"Bearer {token}" if token else "", pair, expires)


def _basic(name: str, password: str, pair: Pair | None = None) -> Grant:
    told = base64.b64encode(f"{name}:{password}".encode()).decode()
    learn(password, told)
    return Grant(f"Basic {told}", pair)


def credentials_of(chosen: Chosen, address: Address) -> Credentials:
    """The credentials of a context's user.

    A token counts before name and password, these before a plugin, and that before an auth-provider, as in client-go; a
    client certificate goes along with any of them.

    Raises:
        AccessError: they cannot be used.
    """
    user, whose = chosen.user, chosen.of_user
    learn(user.token, user.client_key_data)
    pair = client_pair(chosen)
    if (user.token or user.token_file) and (user.username or user.password):
        raise AccessError(f"{whose} has a token and a password; only one may be given")
    if user.exec is not None and user.auth_provider is not None:
        raise AccessError(f"{whose} has exec and auth-provider; only one may be given")
    token = checked_token(user.token, f"token of {whose}") if user.token and user.token.strip() else ""
    if user.token_file:
        return TokenFile(chosen.user_entry.beside(user.token_file), whose, token, pair)
    if token:
        return Fixed(_bearer(token, pair))
    if user.username or user.password:
        if not user.username or not user.password:
            given, lacking = ("username", "password") if user.username else ("password", "username")
            raise AccessError(f"{whose} has a {given} without {lacking}")
        if ":" in user.username:
            raise AccessError(f"username of {whose} holds a colon, which HTTP does not allow")
        not_redacted(user.password, f"password of {whose}")
        return Fixed(_basic(user.username, user.password, pair))
    if user.exec is not None:
        return _by_plugin(chosen, address, pair)
    if user.auth_provider is not None:
        return _by_provider(chosen, pair)
    if pair is not None:
        return Fixed(Grant(pair=pair))
    if address.userinfo is not None:
        return Fixed(_basic(*address.userinfo))
    return Fixed(Grant(), _nothing(chosen))


def _nothing(chosen: Chosen) -> str:
    if not chosen.user_name:
        return f"context {chosen.context!r} names no user, so nobody was asked for"
    told = ", ".join(sorted(map(str, chosen.user_entry.body)))
    empty = "its token is empty" if chosen.user.token is not None else f"it has {told}" if told else "it is empty"
    return f"{chosen.of_user} gives no credentials ({empty}), so the server was asked as nobody"


def _by_plugin(chosen: Chosen, address: Address, pair: Pair | None) -> Credentials:
    plugin = Plugin(chosen, address.url)

    def ask() -> Grant:
        given = plugin.run()
        return _bearer(given.token, given.pair or pair, given.expires)

    return Asked(ask(), ask, plugin.who)


def _by_provider(chosen: Chosen, pair: Pair | None) -> Credentials:
    provider, whose = chosen.user.auth_provider, chosen.of_user
    name = (provider.name if provider else None) or ""
    config = (provider.config if provider else None) or {}
    if name == "oidc":
        source = Provider(chosen)

        def grant(token: str) -> Grant:
            ends = jwt_expiry(token)
            return _bearer(token, pair, datetime.fromtimestamp(ends, UTC) if ends is not None else None)

        first = [grant(source.token())]
        return Asked(first[0], lambda: grant(source.renew()), f"the OIDC provider of {whose}")
    if name == "gcp" and config.get("access-token"):
        ends = None
        with suppress(ValueError):
            ends = datetime.fromisoformat(config.get("expiry") or "")
        if ends is None or (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) > datetime.now(UTC):
            learn(config["access-token"])
            return Fixed(_bearer(checked_token(config["access-token"] or "", f"access-token of {whose}"), pair))
    if not name:
        raise AccessError(f"auth-provider of {whose} has no name")
    advice = {
        "gcp": "write the kubeconfig anew with `gcloud container clusters get-credentials` and its plugin",
        "azure": "convert the kubeconfig with `kubelogin convert-kubeconfig`",
    }.get(name, "use exec, a token or a client certificate")
    raise AccessError(f"auth-provider {name!r} of {whose} cannot be used, Kubernetes has dropped it: {advice}")
