"""What a Go program says of itself: the module that it was built from, and its version. No Go is needed.

Every program that Go has linked holds it (https://pkg.go.dev/debug/buildinfo; the form of Go 1.18 and later). The
version is the one that the project's Makefile links in, or that of a release where the source was a module or a
checkout of its tag; else nothing is known.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

_MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16
_HEADER = 32
_STRINGS_INLINE = 2
_MODULE = re.compile(r"^mod\t\S+\t(?P<version>v\d\S*)", re.MULTILINE)
_STAMP = re.compile(r"^build\t-ldflags=.*-X[ =]\S*(?i:version)\S*=(?P<version>v\d+\.\d+\.\d+[^\s\"']*)", re.MULTILINE)
"""A version that a project's own Makefile has linked in, under whatever name: `-X .../version.BuildRef=v0.10.0`."""


def version_of(program: Path) -> str | None:
    """The version of a program's own module, such as v0.10.0; None where it is no Go program, or tells none."""
    with program.open("rb") as file:
        try:
            body = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):  # empty, or nothing that can be mapped
            return None
        with body:
            text = _module_text(body)
            found = _STAMP.search(text) or _MODULE.search(text)
    return found["version"] if found else None


def _module_text(body: mmap.mmap) -> str:
    """The lines on modules, "" where there are none."""
    at = body.find(_MAGIC)
    while at >= 0 and (at % _ALIGNED or at + _HEADER > len(body)):
        at = body.find(_MAGIC, at + 1)
    if at < 0 or not body[at + len(_MAGIC) + 1] & _STRINGS_INLINE:
        return ""
    _, after_go = _string(body, at + _HEADER)
    text, _ = _string(body, after_go)
    return text.decode(errors="replace")


def _string(body: mmap.mmap, at: int) -> tuple[bytes, int]:
    """A string behind its length (base 128, low part first), and where the next one begins."""
    length = shift = 0
    while at < len(body):
        byte = body[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return body[at : at + length], at + length
