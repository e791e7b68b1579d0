"""Every hostile request is answered: taken, or refused with a sentence that names the field; never an error of ours.

Kubernetes API conventions, "Response Status Kind": what is wrong with a request is a 4xx; a 5xx is the server's fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol


class Answered(Protocol):
    """A request and its answer, as `gpuassay.hostile.sending.Tried` has them."""

    @property
    def what(self) -> str:
        """Kind, and what was done."""
        ...

    @property
    def field(self) -> str:
        """Path of the field with the hostile value; "" where there was none."""
        ...

    @property
    def value(self) -> str:
        """The value, as JSON."""
        ...

    @property
    def status(self) -> int:
        """HTTP status; 0: no answer."""
        ...

    @property
    def message(self) -> str:
        """Of a refusal."""
        ...


_PANIC = re.compile(r"panic|runtime error|nil pointer|Observed a panic|goroutine \d+", re.IGNORECASE)


def unanswered(tried: Iterable[Answered]) -> list[str]:
    """Requests that got no answer, an error of the server's, or a panic."""
    return [
        f"{one.what}, {one.field} = {one.value}: {one.status or 'no answer'} {one.message[:300]}"
        for one in tried
        if one.status == 0 or one.status >= 500 or _PANIC.search(one.message)
    ]


def unnamed(tried: Iterable[Answered]) -> list[str]:
    """Refusals that do not say which field is at fault."""
    return [
        f"{one.what}, {one.field} = {one.value}: {one.status} {one.message[:300]}"
        for one in tried
        if one.field and 400 <= one.status < 500 and not _names(one.message, one.field)
    ]


def broken(tried: Iterable[Answered]) -> list[str]:
    """Healthy requests that were refused: something before them has left its mark."""
    return [f"{one.what}: {one.status} {one.message[:300]}" for one in tried if not one.field and one.status != 200]


def panics(lines: Iterable[object]) -> list[str]:
    """Lines of the log that tell of a panic."""
    return [text[:300] for line in lines if _PANIC.search(text := str(line))]


def _names(message: str, field: str) -> bool:
    """Whether a message names the field, or something above it that is no list's index."""
    parts = [one for one in field.split(".") if not one.isdecimal() and one not in {"spec", "metadata"}]
    return any(one in message for one in parts or ["spec", "metadata"])
