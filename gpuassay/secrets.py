"""Nothing that we print or write holds a secret: what is known to be one is replaced wherever text leaves us.

Known are the gateway's token and what a kubeconfig says of its users. A server may say a token back, an exception may
quote a header: so the text is searched, wherever it came from.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

HIDDEN = "[hidden]"

VARIABLES = ("GPUASSAY_GATEWAY_TOKEN", "GPUASSAY_ENDPOINT_TOKEN")
"""Environment variables whose values are secrets."""

SHORT = 8
"""Characters below which a secret is replaced as a whole word only, lest it be found within others."""
TOO_SHORT = 4
"""Characters below which it is no secret: half of all text would be hidden."""

_NAMES = r"(?:[\w-]*(?:token|passw(?:or)?d|secret|api-?_?key|access-?_?key|signature)[\w-]*|key|sig|code|auth)"
_QUERY = re.compile(rf"(?i)([?&;]{_NAMES}=)[^&;#\s\"']+")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/?#\s\"'@]*(?:@[^/?#\s\"'@]*)*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)[\w.~+/=-]{16,}")
_OPTION = re.compile(r"(?i)(-{0,2}[\w-]*(?:token|passw(?:or)?d|secret|api-?_?key|client-?_?key)[\w-]*)")
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL)
_FIELD = re.compile(r"(?i)token|password|secret|key-data|apikey|api-key")

_learned: set[str] = set()


def learn(secret: str) -> None:
    """From now on `secret` is replaced."""
    if secret.strip():
        _learned.update({secret, secret.strip()})


def learn_kubeconfig(place: Path) -> None:
    """Tokens, passwords and keys of the users that a kubeconfig names; nothing where it cannot be read."""
    import yaml  # not for the load generator

    with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        content: Any = yaml.safe_load(place.expanduser().read_text())
        for name, value in _fields(content):
            if name == "tokenFile":
                with suppress(OSError, ValueError):
                    learn((place.expanduser().parent / value).read_text())
            elif _FIELD.search(name):
                learn(value)


def _fields(value: Any) -> Iterable[tuple[str, str]]:
    """Every name with text below `value`; of an `env` of an exec plugin, its variables."""
    if isinstance(value, Mapping):
        known = cast("Mapping[Any, Any]", value)
        if isinstance(known.get("name"), str) and isinstance(known.get("value"), str):
            yield str(known["name"]), str(known["value"])
        for name, inner in known.items():
            if isinstance(inner, str):
                yield str(name), inner
            else:
                yield from _fields(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in cast("Sequence[Any]", value):
            yield from _fields(inner)


def _known() -> set[str]:
    given = {os.environ.get(name, "") for name in VARIABLES}
    return _learned | {form for value in given if value.strip() for form in (value, value.strip())}


def hide_known(text: str) -> str:
    """`text` with every secret that is known replaced, also where it is quoted, escaped or in base64."""
    for secret in sorted(_known(), key=len, reverse=True):
        for form in _forms(secret):
            if form not in text or len(form) < TOO_SHORT:
                continue
            if len(form) >= SHORT:
                text = text.replace(form, HIDDEN)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text)
    return text


@cache
def _forms(secret: str) -> list[str]:
    encoded = base64.b64encode(secret.encode()).decode()
    in_url = "".join(chr(one) if chr(one).isalnum() or one in b"-._~" else f"%{one:02X}" for one in secret.encode())
    forms = (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], in_url, encoded, encoded.rstrip("="))
    return list(dict.fromkeys(forms))


def hide(text: str) -> str:
    """As `hide_known`, and what looks like a secret: credentials in URLs, bearer tokens, private keys.

    Example:
        hide("https://me:pw@host/v1?api-key=abc")  # https://[hidden]@host/v1?api-key=[hidden]
    """
    text = _USERINFO.sub(rf"\1{HIDDEN}@", hide_known(text))
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    return _PRIVATE_KEY.sub(rf"\1{HIDDEN}\2", text)


def hide_words(words: Iterable[str]) -> list[str]:
    """A command line: as `hide`, and the values of options that are named after a secret."""
    found: list[str] = []
    value_of_secret = False
    for word in words:
        name, equals, _ = word.partition("=")
        if value_of_secret and not word.startswith("-"):
            found.append(HIDDEN)
        elif equals and _OPTION.fullmatch(name):
            found.append(f"{name}={HIDDEN}")
        else:
            found.append(hide(word))
        value_of_secret = not equals and word.startswith("-") and _OPTION.fullmatch(word) is not None
    return found
