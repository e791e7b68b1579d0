"""Kueue's log: JSON lines at V(2), read by offset."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast


def read_lines(path: Path, since: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Complete JSON lines from byte `since` on, and the offset to go on from.

    Lines that are no JSON object (a Go panic) are returned as `{"text": line}`.
    """
    with path.open("rb") as file:
        file.seek(since)
        block = file.read()
    end = block.rfind(b"\n") + 1
    return [_parse(line) for line in block[:end].splitlines() if line.strip()], since + end


def parsed(text: str) -> list[dict[str, Any]]:
    """Lines of a log that was had as text."""
    return [_parse(line.encode()) for line in text.splitlines() if line.strip()]


def _parse(line: bytes) -> dict[str, Any]:
    text = line.decode(errors="replace")
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        parsed = None
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {"text": text}


def complaint(lines: Iterable[dict[str, Any]]) -> str | None:
    """Kueue's own last words: the message and error of the last line that reports one."""
    for line in reversed(list(lines)):
        if "text" in line:
            return str(line["text"]).strip()
        if line.get("level") in ("error", "fatal", "panic") or "error" in line:
            return f"{line.get('msg', '')}: {line.get('error', '')}".strip(": ")
    return None
