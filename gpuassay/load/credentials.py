"""The bearer token of whom the load is put on: from the environment, so that no plan, row or command line holds it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from gpuassay.load.errors import LoadError

TOKEN = "GPUASSAY_GATEWAY_TOKEN"
"""Environment variable with the token: a secret has no place on a command line."""

KEYS = ("authorization", "api-key", "x-api-key")
"""Headers that say who asks."""

_SECRET = (*KEYS, "proxy-authorization", "cookie", "x-auth-token", "ocp-apim-subscription-key", "x-goog-api-key")


def credentials(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header that carries the token; none without one.

    Blanks around it, such as the line end of the file that it was read from, are none of it.

    Raises:
        LoadError: it has characters that no header may have. It is not shown.
    """
    token = environ.get(TOKEN, "").strip()
    if not token:
        return {}
    if token.lower().startswith("bearer "):
        raise LoadError(f"{TOKEN}: the token alone, no spaces; the word Bearer is put before it")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise LoadError(f"{TOKEN}: a bearer token has printable ASCII characters and no spaces")
    return {"authorization": f"Bearer {token}"}


def secrets(headers: Mapping[str, str]) -> list[str]:
    """What of these headers no message may show, the longest first."""
    found: set[str] = set()
    for name, value in headers.items():
        if name.lower() in _SECRET:
            found |= {value, value.rpartition(" ")[2]}
    return sorted((one for one in found if len(one) > 2), key=len, reverse=True)


def hidden(text: str, of: Iterable[str]) -> str:
    """The text with every secret in it blacked out: servers are about that repeat what they were sent."""
    for one in of:
        text = text.replace(one, "***")
    return text
