"""Exceptions in one line for whoever can mend what is wrong."""

from __future__ import annotations

import os

from gpuassay.secrets import hide, hide_line

LONGEST = 2000
"""Characters of such a line."""


def told(error: BaseException) -> str:
    """The message as one line without secrets; of an error of the operating system, the file and what is wrong."""
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        named = [_shown(one) for one in (error.filename, error.filename2) if one is not None]
        return hide(f"{' -> '.join(named)}: {error.strerror}" if named else error.strerror)
    line = hide_line(str(error)) or type(error).__name__
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def _shown(name: object) -> str:
    """A file's name in one line; of a long one its beginning."""
    text = os.fsdecode(name) if isinstance(name, str | bytes) else str(name)
    text = text.encode(errors="replace").decode()  # names need not be UTF-8
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 200 else f"{text[:200]}..."
