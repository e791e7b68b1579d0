"""Whether a folder can be written to: found out before hours of work whose result goes there."""

from __future__ import annotations

import tempfile
from pathlib import Path


def why_not(folder: Path) -> str | None:
    """None if files can be made in `folder`, else why not. Asked by making one: rights alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__
