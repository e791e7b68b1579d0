"""Addresses as messages may show them."""

from __future__ import annotations

import re

_LONGEST = 300
_PORT = re.compile(r"[^:]*(:\d*)?|.*\](:\d*)?")


def without_secrets(url: str) -> str:
    """The address, good or not, without user, password, query and fragment, any of which may hold a secret."""
    scheme, mark, rest = url.strip().partition("://")
    if not mark:
        scheme, rest = "", scheme
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    place, slash, path = rest.partition("/")
    if "@" in place or (not slash and not mark):
        place = place.rpartition("@")[2]
    elif "@" in path and not _PORT.fullmatch(place):
        place, path = path.rpartition("@")[2], ""  # a password with a slash in it
        slash = ""
    shown = f"{scheme}{mark}{place}{slash}{path}"
    return "".join(one if one.isprintable() else "?" for one in shown)[:_LONGEST]
