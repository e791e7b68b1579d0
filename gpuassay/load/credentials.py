"""How we name ourselves to whom the load is put on: from the environment, so that no plan, row or command line tells.

A bearer token is a variable; other headers, and a client's certificate, are files that variables name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpuassay.load.errors import LoadError
from gpuassay.secrets import HIDDEN, learn

TOKEN = "GPUASSAY_GATEWAY_TOKEN"
"""Environment variable with the token: a secret has no place on a command line."""

HEADERS = "GPUASSAY_LOAD_HEADERS"
"""Environment variable with the name of a file of further headers, one `NAME: VALUE` a line."""

CERTIFICATE = "GPUASSAY_LOAD_CERTIFICATE"
"""Environment variable with the name of a PEM file that holds a client's certificate and its key."""

KEYS = ("authorization", "api-key", "x-api-key")
"""Headers that say who asks."""

_SECRET = (*KEYS, "proxy-authorization", "cookie", "x-auth-token", "ocp-apim-subscription-key", "x-goog-api-key")


def credentials(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header that carries the token, and those of the file that `HEADERS` names; none without them.

    Blanks around a token, such as the line end of the file that it was read from, are none of it.

    Raises:
        LoadError: it has characters that no header may have, or the file will not do. Neither is shown.
    """
    place = environ.get(HEADERS, "")
    named = read_headers(Path(place), HEADERS) if place else {}
    return named | _bearer(environ.get(TOKEN, "").strip())


def _bearer(token: str) -> dict[str, str]:
    if not token:
        return {}
    if token.lower().startswith("bearer "):
        raise LoadError(f"{TOKEN}: the token alone, no spaces; the word Bearer is put before it")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise LoadError(f"{TOKEN}: a bearer token has printable ASCII characters and no spaces")
    return {"authorization": f"Bearer {token}"}


_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")
_NOT_THEIRS = ("content-length", "transfer-encoding", "connection", "content-type", "accept-encoding", "expect", "te")
_PUBLIC = re.compile(r"host|accept.*|user-agent|x-request-id|traceparent|.*model.*")
"""Names of headers whose values may be shown."""


def read_headers(file: Path, option: str) -> dict[str, str]:
    """The headers that a file holds, one `NAME: VALUE` a line, names in lower case; `#` begins a comment line.

    What they say is kept out of all that is printed or written from now on, but for a few that tell nobody's secret
    (Host, names of models). `option` is what named the file, for messages.

    Raises:
        LoadError: it cannot be read, a line is no header, or one that every request has anyway; no value is shown.
    """
    try:
        lines = file.read_text("latin-1").splitlines()
    except OSError as error:
        raise LoadError(f"{option} {file}: {error.strerror}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise LoadError(f"{option} {file}: line {number} is not of the form NAME: VALUE")
        name, value = parts[1].lower(), parts[2].strip()
        if name in _NOT_THEIRS:
            raise LoadError(f"{option} {file}: line {number}: {name} is set by whoever sends the request")
        if name in found:
            raise LoadError(f"{option} {file}: line {number} names {name} again")
        found[name] = value
        if not _PUBLIC.fullmatch(name):
            learn(value)
            learn(value.rpartition(" ")[2])
    if not found:
        raise LoadError(f"{option} {file}: holds no header")
    return found


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
        text = text.replace(one, HIDDEN)
    return text
