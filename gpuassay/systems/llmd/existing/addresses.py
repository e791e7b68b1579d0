"""Addresses of the form HOST:PORT."""

from __future__ import annotations


def parts_of(target: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. ValueError if it is not of that form."""
    host, colon, port = target.rpartition(":")
    good = colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not good or not host.isprintable() or any(one in host for one in " /@"):
        raise ValueError(f"{target!r} is not of the form HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
