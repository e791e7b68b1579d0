"""Credential plugins: a program that prints an ExecCredential (`client.authentication.k8s.io`).

As client-go runs them: a command with a folder in it is relative to the kubeconfig's, the program gets our environment
and `env`, and what it is to know in KUBERNETES_EXEC_INFO. Nobody sits in front of a run, so none is asked anything.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from gpuassay.access import shapes
from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen
from gpuassay.access.material import Pair, authority, certificates_in, checked_token, key_in
from gpuassay.secrets import hide_line, learn, sounds_secret

GROUP = "client.authentication.k8s.io"
VERSIONS = tuple(f"{GROUP}/{one}" for one in ("v1", "v1beta1", "v1alpha1"))
"""v1alpha1 is gone from kubectl since 1.24; a plugin that answers in it does no harm."""
SECONDS = 60.0
"""How long a plugin may take, s: one that waits for a login in a browser must not hang a run."""
SHOWN = 400
"""Characters of a plugin's own words."""


@dataclass(frozen=True)
class Credential:
    """What a plugin gave.

    Attributes:
        token: bearer token, or "".
        pair: client certificate, or None.
        expires: when both end; None: they last as long as we do.
    """

    token: str = field(repr=False)
    pair: Pair | None
    expires: datetime.datetime | None


def _secrets(told: shapes.Exec) -> list[str | None]:
    found = [one.value for one in told.env or [] if sounds_secret(one.name)]
    before = ""
    for word in told.args or []:
        name, equals, value = word.partition("=")
        if equals and sounds_secret(name):
            found.append(value)
        elif sounds_secret(before) and before.startswith("-") and "=" not in before:
            found.append(word)
        before = word
    return found


class Plugin:
    """The plugin of one user."""

    def __init__(self, chosen: Chosen, server: str) -> None:
        """Check what the kubeconfig says of it; nothing runs yet.

        Raises:
            AccessError: that cannot be used.
        """
        told = chosen.user.exec or shapes.Exec()
        self._told, self._chosen, self._server = told, chosen, server
        learn(*_secrets(told))
        if not told.command:
            raise AccessError(f"exec of {chosen.of_user} names no command")
        command = told.command
        if os.path.dirname(command) and not os.path.isabs(command):
            command = str(chosen.user_entry.beside(command))
        self._words = [command, *(told.args or [])]
        self._who = f"exec plugin {os.path.basename(command)!r} of {chosen.of_user}"
        if not told.api_version:
            raise AccessError(f"{self._who}: apiVersion is not given; it is one of {', '.join(VERSIONS)}")
        if told.api_version not in VERSIONS:
            raise AccessError(
                f"{self._who}: apiVersion {told.api_version!r} is not known; it is one of {', '.join(VERSIONS)}"
            )
        mode = told.interactive_mode or "IfAvailable"
        if mode not in ("Never", "IfAvailable", "Always"):
            raise AccessError(f"{self._who}: interactiveMode must be Never, IfAvailable or Always")
        self._asks = mode == "Always"

    @property
    def who(self) -> str:
        """The plugin, for messages."""
        return self._who

    def run(self) -> Credential:
        """Ask the plugin.

        Raises:
            AccessError: it is not there, fails, takes too long, or prints something else; its own words are told.
        """
        if self._asks and not (sys.stdin and sys.stdin.isatty()):
            raise AccessError(
                f"{self._who} needs a terminal (interactiveMode: Always), and there is none: use a kubeconfig with a "
                "token or a certificate"
            )
        said, complaint, code = self._execute()
        words = self._short(complaint)
        if code:
            raise AccessError(f"{self._who} failed (exit code {code}): {words or self._before_json(said) or 'no word'}")
        return self._credential(self._parsed(said, words))

    def _execute(self) -> tuple[str, str, int]:
        """Standard output, standard error and exit code."""
        environment = os.environ | {one.name: one.value or "" for one in self._told.env or []}
        environment["KUBERNETES_EXEC_INFO"] = json.dumps(self._info())
        try:
            process = subprocess.Popen(
                self._words,
                stdin=None if self._asks else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                text=True,
                errors="replace",
                start_new_session=not self._asks,
            )
        except (FileNotFoundError, NotADirectoryError):
            hint = " ".join((self._told.install_hint or "").split())
            where = "is not there" if os.path.dirname(self._words[0]) else "is not installed (not in PATH)"
            raise AccessError(f"{self._who} {where}{f': {hide_line(hint)}' if hint else ''}") from None
        except (OSError, ValueError) as e:
            reason = getattr(e, "strerror", None) or "its arguments or environment hold a null byte"
            raise AccessError(f"{self._who} cannot be started: {reason}") from None
        try:
            said, complaint = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                if self._asks:
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
            _, complaint = process.communicate()
            raise AccessError(
                f"{self._who} gave nothing within {SECONDS:g} s; if it waits for a login, run `kubectl get ns` "
                f"with this context once: {self._short(complaint) or 'it said nothing'}"
            ) from None
        return said, complaint, process.returncode

    def _info(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": self._asks}
        if (self._told.provide_cluster_info or "").lower() in shapes.TRUE:
            spec["cluster"] = self._cluster()
        return {"apiVersion": self._told.api_version, "kind": "ExecCredential", "spec": spec}

    def _cluster(self) -> dict[str, Any]:
        told = self._chosen.cluster
        found: dict[str, Any] = {"server": self._server}
        if told.tls_server_name:
            found["tls-server-name"] = told.tls_server_name
        if (told.insecure_skip_tls_verify or "").lower() in shapes.TRUE:
            found["insecure-skip-tls-verify"] = True
        if (ca := authority(self._chosen)) is not None:
            found["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
        if told.proxy_url:
            found["proxy-url"] = told.proxy_url
        for one in told.extensions or []:
            if one.get("name") == f"{GROUP}/exec":
                found["config"] = one.get("extension")
        return found

    def _short(self, text: str) -> str:
        hidden = hide_line(text)
        return hidden if len(hidden) <= SHOWN else f"... {hidden[-SHOWN:]}"

    def _before_json(self, said: str) -> str:
        """What stands before the credential, which nobody may see."""
        return self._short(said.partition("{")[0])

    def _parsed(self, said: str, words: str) -> Mapping[str, Any]:
        told = f"; it said: {words}" if words else ""
        if not said.strip():
            raise AccessError(f"{self._who} printed nothing{told}")
        try:
            answer: Any = json.loads(said)
        except ValueError:
            before = self._before_json(said)
            raise AccessError(
                f"{self._who} printed something else than an ExecCredential in JSON on its standard output"
                f"{f': {before}' if before else ''}{told}"
            ) from None
        if not isinstance(answer, dict) or cast("dict[str, Any]", answer).get("kind") != "ExecCredential":
            raise AccessError(f"{self._who} printed JSON that is no ExecCredential{told}")
        found = cast("dict[str, Any]", answer)
        version = found.get("apiVersion")
        if version != self._told.api_version:
            spoken = version if isinstance(version, str) and version.startswith(GROUP) else "none that is known"
            raise AccessError(
                f"{self._who} answers in apiVersion {hide_line(spoken)}, the kubeconfig asks for "
                f"{self._told.api_version}: renew the plugin, or write the kubeconfig anew with it{told}"
            )
        status = found.get("status")
        if not isinstance(status, dict):
            raise AccessError(f"{self._who} gave an ExecCredential without status{told}")
        return cast("dict[str, Any]", status)

    def _credential(self, status: Mapping[str, Any]) -> Credential:
        token, certificate = status.get("token") or "", status.get("clientCertificateData") or ""
        key, expires = status.get("clientKeyData") or "", status.get("expirationTimestamp")
        if not all(isinstance(one, str) for one in (token, certificate, key)):
            raise AccessError(f"{self._who} gave a token or certificate that is no text")
        learn(token)
        if bool(certificate) != bool(key):
            lacking = "clientKeyData" if certificate else "clientCertificateData"
            raise AccessError(f"{self._who} gave no {lacking} with the other half of the certificate")
        if not token and not certificate:
            raise AccessError(f"{self._who} gave neither a token nor a client certificate")
        pair = None
        if certificate:
            pair = Pair(
                certificates_in(certificate, f"clientCertificateData of {self._who}"),
                key_in(key, f"clientKeyData of {self._who}"),
            )
        checked = checked_token(token, f"the token of {self._who}") if token else ""
        return Credential(checked, pair, self._time(expires))

    def _time(self, told: object) -> datetime.datetime | None:
        if told is None:
            return None
        try:
            found = datetime.datetime.fromisoformat(cast("str", told))
        except (ValueError, TypeError):
            raise AccessError(f"{self._who} gave an expirationTimestamp that is no time (RFC 3339)") from None
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
