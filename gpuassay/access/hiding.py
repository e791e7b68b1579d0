"""Keeps secrets out of messages: whatever a program, a server or a library says goes through here first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpuassay.secrets import learn

HIDDEN = "***"
SHORTEST = 4
"""Characters; a shorter secret would blacken half of every sentence."""

_NAMED = re.compile(r"token|secret|passw|pwd|credential|api.?key|access.?key|private.?key|client.?key", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}")
_USERINFO = re.compile(r"(?<=://)[^/\s'\"]+@")
_BEARER = re.compile(r"\b(bearer|basic) (?=\S*\d)[\w.~+/=-]{8,}", re.IGNORECASE)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"\[]*(?:(?:bearer|basic)\s+)?)[^\s'\"]+", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)


def sounds_secret(name: str) -> bool:
    """Whether a field, a variable or a flag of this name is likely to hold a secret."""
    return _NAMED.search(name) is not None


class Hiding:
    """The secrets of one kubeconfig; may be used from many threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._secrets: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """How many, never which."""
        return f"Hiding({len(self._secrets)} secrets)"

    def add(self, secrets: Iterable[str | None]) -> None:
        """Hide these from now on."""
        stripped = {one.strip() for one in secrets if one}
        for one in stripped:
            learn(one)  # whatever else of the run is kept may not hold it either
        self._secrets |= {one for one in stripped if len(one) >= SHORTEST}

    def __call__(self, text: str) -> str:
        """The text as one line, without secrets: those known, and whatever has the shape of one."""
        for pattern, instead in (
            (_PRIVATE_KEY, HIDDEN),
            (_JWT, HIDDEN),
            (_USERINFO, ""),
            (_HEADER, rf"\1{HIDDEN}"),
            (_BEARER, rf"\1 {HIDDEN}"),
        ):
            text = pattern.sub(instead, text)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return " ".join(text.split())
