"""Every hostile request is answered: taken, or refused with a sentence that names the field; never an error of ours.

Kubernetes API conventions, "Response Status Kind": what is wrong with a request is a 4xx; a 5xx is the server's fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from gpuassay.record.notes import Note


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request.

    Attributes:
        what: kind, and whether it was created or changed.
        field: path of the field that got the value.
        value: as JSON, cut to 60 characters.
        status: of the answer; 0: none came; 200: accepted.
        message: of a refusal.
    """

    what: str
    field: str
    value: str
    status: int
    message: str = ""


TRIED = Note("hostile_tried", list[Tried], "every hostile request, and what was answered", default=[])
OFFERED = Note("hostile_offered", int, "how many hostile values the schemas give", default=0)

_PANIC = re.compile(r"panic|runtime error|nil pointer|Observed a panic|goroutine \d+", re.IGNORECASE)


def unanswered(tried: Iterable[Tried]) -> list[str]:
    """Requests that got no answer, an error of the server's, or a panic."""
    return [
        f"{one.what}, {one.field} = {one.value}: {one.status or 'no answer'} {one.message[:300]}"
        for one in tried
        if one.status == 0 or one.status >= 500 or _PANIC.search(one.message)
    ]


def unnamed(tried: Iterable[Tried]) -> list[str]:
    """Refusals that do not say which field is at fault."""
    return [
        f"{one.what}, {one.field} = {one.value}: {one.status} {one.message[:300]}"
        for one in tried
        if one.field and 400 <= one.status < 500 and not _names(one.message, one.field)
    ]


def broken(tried: Iterable[Tried]) -> list[str]:
    """Healthy requests that were refused: something before them has left its mark."""
    return [f"{one.what}: {one.status} {one.message[:300]}" for one in tried if not one.field and one.status != 200]


def panics(lines: Iterable[object]) -> list[str]:
    """Lines of the log that tell of a panic."""
    return [text[:300] for line in lines if _PANIC.search(text := str(line))]


def _names(message: str, field: str) -> bool:
    """Whether a message names the field, or something above it that is no list's index."""
    parts = [one for one in field.split(".") if not one.isdecimal() and one not in {"spec", "metadata"}]
    return any(one in message for one in parts or ["spec", "metadata"])
