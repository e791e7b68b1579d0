"""Addresses as messages may show them."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_secrets(url: str) -> str:
    """The address without user, password, query and fragment, any of which may hold a secret."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "an address that cannot be read"
    place = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{place}{parts.path}" if parts.scheme else f"{'//' * bool(place)}{place}{parts.path}"
    return "".join(one if one.isprintable() else "?" for one in shown)[:300]
