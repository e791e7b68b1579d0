"""Users of an OpenID Connect provider (`auth-provider: oidc`), as client-go treats them.

The id-token is the bearer token. One that has ended is renewed with the refresh-token, and what the provider then gives
is written back, because it may have ended the old refresh-token: without that, the user would be logged out.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

import urllib3
import yaml

from gpuassay.access import tls
from gpuassay.access.address import Address
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen, choose
from gpuassay.access.material import certificates_in, checked_token, not_redacted, read_file
from gpuassay.access.pool import open_pool
from gpuassay.access.proxy import proxy_from
from gpuassay.access.words import why
from gpuassay.secrets import hide_line, learn

SECONDS = 15.0
"""How long the provider may take, s."""


def expiry(token: str) -> float | None:
    """When an id-token ends, s since the epoch; None: it does not say.

    Raises:
        ValueError: it is no JSON Web Token.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no three parts")
    claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("no claims")
    ends = cast("dict[str, Any]", claims).get("exp")
    return float(ends) if isinstance(ends, (int, float)) else None


class Provider:
    """The provider of one user."""

    def __init__(self, chosen: Chosen) -> None:
        """Take what the kubeconfig says of it."""
        provider = chosen.user.auth_provider
        self._told: dict[str, str] = {
            key: value for key, value in ((provider.config if provider else None) or {}).items() if value
        }
        learn(*(self._told.get(key) for key in ("id-token", "refresh-token", "client-secret")))
        self._chosen = chosen

    @property
    def _who(self) -> str:
        return f"the OIDC id-token of {self._chosen.of_user}"

    def token(self) -> str:
        """The id-token, renewed where it has ended.

        Raises:
            AccessError: there is none that is good, and no way to a new one.
        """
        token = self._told.get("id-token")
        state = "is not there"
        if token:
            checked = checked_token(token, self._who)
            try:
                ends = expiry(checked)
            except (ValueError, RecursionError):
                raise AccessError(f"{self._who} is no JSON Web Token: log in again") from None
            if ends is None or ends > time.time():
                return checked
            with suppress(OverflowError, OSError, ValueError):
                state = f"ended at {datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
        if not self._told.get("refresh-token"):
            raise AccessError(f"{self._who} {state}, and there is no refresh-token: log in again")
        return self._renewed(state)

    def renew(self) -> str:
        """Another id-token than the last: one that somebody has written into the kubeconfig since, or a new one.

        Raises:
            AccessError: as `token`.
        """
        before = self._told.get("id-token")
        with suppress(AccessError):
            provider = choose(self._chosen.files, self._chosen.context).user.auth_provider
            self._told |= {key: value for key, value in ((provider and provider.config) or {}).items() if value}
            learn(self._told.get("id-token"), self._told.get("refresh-token"))
        if self._told.get("id-token") != before or not self._told.get("refresh-token"):
            return self.token()
        return self._renewed("has ended or is refused")

    def _renewed(self, state: str) -> str:
        start = f"{self._who} {state}, and cannot be renewed:"
        lacking = [key for key in ("idp-issuer-url", "client-id") if not self._told.get(key)]
        if lacking:
            raise AccessError(f"{start} {' and '.join(lacking)} not given")
        not_redacted(self._told["refresh-token"], f"refresh-token of {self._chosen.of_user}")
        issuer = self._told["idp-issuer-url"].rstrip("/")
        found = self._asked("GET", f"{issuer}/.well-known/openid-configuration", start, {}, {})
        endpoint = found.get("token_endpoint")
        if not isinstance(endpoint, str):
            raise AccessError(f"{start} {hide_line(issuer)} is no OIDC provider, it names no token_endpoint")
        form = {"grant_type": "refresh_token", "refresh_token": self._told["refresh-token"]}
        name, secret = self._told["client-id"], self._told.get("client-secret", "")
        login: dict[str, str] = {}
        if secret:
            login = urllib3.make_headers(basic_auth=f"{quote(name, safe='')}:{quote(secret, safe='')}")
        else:
            form["client_id"] = name
        answer = self._asked("POST", endpoint, f"{start} log in again;", form, login)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise AccessError(f"{start} the provider gave no id_token")
        new = {"id-token": token}
        if isinstance(refresh := answer.get("refresh_token"), str):
            new["refresh-token"] = refresh
        learn(*new.values())
        self._told |= new
        _write_back(self._chosen.user_entry.path, self._chosen.user_name, new)
        return checked_token(token, self._who)

    def _asked(
        self, method: str, url: str, start: str, form: Mapping[str, str], login: Mapping[str, str]
    ) -> Mapping[str, Any]:
        address = Address(url)
        if not url.startswith(("https://", "http://")) or not address.host:
            raise AccessError(f"{start} the provider's address is no URL")
        proxy = proxy_from(address, os.environ)
        trusted = tls.context(self._authority(), insecure=False, pair=None, whose=self._who)
        pool = open_pool(1, trusted, proxy)
        body = urlencode(form) if form else None
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **login}
        try:
            response = pool.request(
                method, url, body=body, headers=headers, timeout=SECONDS, retries=urllib3.Retry(0, redirect=2)
            )
            answer: Any = json.loads(response.data)
            told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        except urllib3.exceptions.HTTPError as e:
            raise AccessError(f"{start} the provider: {hide_line(why(e, address, proxy, SECONDS))}") from None
        except ValueError:
            raise AccessError(f"{start} the provider's answer is no JSON") from None
        finally:
            pool.clear()
        if response.status != 200:
            said = " ".join(str(told[key]) for key in ("error", "error_description") if told.get(key))
            raise AccessError(f"{start} the provider answers {response.status} {hide_line(said)[:200]}".rstrip())
        return told

    def _authority(self) -> str | None:
        what = f"idp-certificate-authority of {self._chosen.of_user}"
        if data := self._told.get("idp-certificate-authority-data"):
            try:
                text = base64.b64decode("".join(data.split()), validate=True).decode()
            except ValueError:
                raise AccessError(f"{what} is no base64 of PEM") from None
            return certificates_in(text, what)
        if file := self._told.get("idp-certificate-authority"):
            return certificates_in(read_file(self._chosen.user_entry.beside(file), what), what)
        return None


def _write_back(path: Path, user: str, new: Mapping[str, str]) -> None:
    """Put new tokens of a user into its kubeconfig, in one step; where that may not be written they stay with us."""
    with suppress(OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        real = path.resolve()
        text = real.read_text("utf-8-sig")
        document: Any = yaml.safe_load(text)
        for entry in document["users"]:
            if str(entry["name"]) == user:
                entry["user"]["auth-provider"]["config"].update(new)
        dumped = json.dumps(document, indent=2) if text.lstrip().startswith("{") else yaml.safe_dump(document)
        descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}-")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(dumped)
            os.chmod(name, real.stat().st_mode & 0o777)
            os.replace(name, real)
        except OSError:
            os.unlink(name)
            raise
