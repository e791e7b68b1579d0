"""Writing a file so that a reader, or an interrupt, never meets half of it."""

from __future__ import annotations

import os
from pathlib import Path


def put(path: Path, text: str) -> Path:
    """Replace `path` by `text` (UTF-8) in one step; returns `path`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # nobody knows of the draft
    finally:
        part.unlink(missing_ok=True)
    return path
