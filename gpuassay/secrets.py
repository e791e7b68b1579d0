"""What a secret is, and how it is hidden: nothing that we print or write holds one.

Three things make a secret: it was learned (the gateway's token, what a kubeconfig says of its users, what a plugin or
a provider gave), it has the shape of one (a private key, a JSON Web Token, credentials in a URL or a header), or it
stands under a name that sounds like one (a variable, a flag, a field). A server may say a token back, an exception may
quote a header: so text is searched where it leaves us, wherever it came from. What is learned holds for the whole
process. One thing is hidden elsewhere: what the headers of a single request of a load say, in what is answered to it
(`gpuassay.load.credentials.hidden`).
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
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)(?:[\w.~+/=-]{16,}|(?=\S*\d)[\w.~+/=-]{8,})")
_HEADER = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"\[]*(?:(?:bearer|basic)\s+)?)[^\s'\"]+")
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){1,4}")
_NAMED = re.compile(r"(?i)token|secret|passw|pwd|credential|api.?key|access.?key|private.?key|client.?key|key-data")
_OPTION = re.compile(r"-{0,2}[\w-]+")
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL)
_PATH = ("client-key", "tokenFile")
"""Fields of a kubeconfig that name a file: sound secret, and are none."""

_learned: set[str] = set()


def sounds_secret(name: str) -> bool:
    """Whether a field, a variable or a flag of this name is likely to hold a secret."""
    return _NAMED.search(name) is not None


def learn(*secrets: str | None) -> None:
    """From now on each of them is replaced, in all that this process says; what is empty is passed over."""
    for secret in secrets:
        if secret and secret.strip():
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
            elif name not in _PATH and sounds_secret(name):
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
    """As `hide_known`, and what looks like a secret: credentials in URLs and headers, tokens, private keys.

    Example:
        hide("https://me:pw@host/v1?api-key=abc")  # https://[hidden]@host/v1?api-key=[hidden]
    """
    text = _USERINFO.sub(rf"\1{HIDDEN}@", hide_known(text))
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    return _PRIVATE_KEY.sub(rf"\1{HIDDEN}\2", text)


def hide_line(text: str) -> str:
    """As `hide`, then as one line: for what a program, a server or a library has said."""
    return " ".join(hide(text).split())


def hide_words(words: Iterable[str]) -> list[str]:
    """A command line: as `hide`, and the values of options that are named after a secret."""
    found: list[str] = []
    value_of_secret = False
    for word in words:
        name, equals, _ = word.partition("=")
        if value_of_secret and not word.startswith("-"):
            found.append(HIDDEN)
        elif equals and _names_a_secret(name):
            found.append(f"{name}={HIDDEN}")
        else:
            found.append(hide(word))
        value_of_secret = not equals and word.startswith("-") and _names_a_secret(word)
    return found


def _names_a_secret(option: str) -> bool:
    return _OPTION.fullmatch(option) is not None and sounds_secret(option)
