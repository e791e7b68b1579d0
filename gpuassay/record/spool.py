"""Spool files: one per resource, lines of JSON, written by the recorder process and tailed by the live view.

Lines are `{"at": ns, "type": "ADDED"|"MODIFIED"|"DELETED"|"BOOKMARK", "object": {...}}`, with `"synthetic": true`
before the object where the change itself was not seen, and two of the recorder's own:
`{"at", "type": "SYNC", "kind", "rv"}` (a list is complete, the watch goes on from `rv`) and
`{"at", "type": "GAP", "kind", "from", "to", "reason"}` (changes between two versions may be missing).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SUFFIX = ".jsonl"
_ENVELOPE = b'{"type":'


class Spool:
    """Appends lines to the file of one kind and wakes the reader after each batch."""

    def __init__(self, folder: Path, kind: str, wake: Callable[[str, int], None]) -> None:
        """Create the file; `wake(kind, size)` is called after every append."""
        self.path = folder / f"{kind}{SUFFIX}"
        self._kind, self._wake = kind, wake
        self._fd = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._size = os.fstat(self._fd).st_size

    def append(self, *lines: bytes) -> None:
        """Append complete lines (without newline) in one batch."""
        data = memoryview(b"".join(line + b"\n" for line in lines))
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]
        self._wake(self._kind, self._size)

    def known(self) -> dict[str, Mapping[str, Any]]:
        """The objects that exist according to the file, by uid.

        Read back only after a gap, so that nothing needs to be kept in memory for it.
        """
        latest: dict[str, Mapping[str, Any]] = {}
        with self.path.open("rb") as lines:
            for line in lines:
                record = json.loads(line)
                if record["type"] in ("ADDED", "MODIFIED"):
                    latest[record["object"]["metadata"]["uid"]] = record["object"]
                elif record["type"] == "DELETED":
                    latest.pop(record["object"]["metadata"]["uid"], None)
        return latest


def stamp(raw: bytes, at: int) -> bytes:
    """Put the receipt time in front of a raw watch line, without parsing it."""
    return b'{"at":%d,' % at + raw[1:]


def is_watch_line(raw: bytes) -> bool:
    """Whether the bytes are a complete watch event as API servers write it."""
    return raw.startswith(_ENVELOPE) and raw.endswith(b"}")


def synthetic(at: int, change: str, obj: Mapping[str, Any]) -> bytes:
    """A line for a change that was inferred from a list, not seen."""
    return _json({"at": at, "type": change, "synthetic": True, "object": obj})


def sync(at: int, kind: str, rv: int) -> bytes:
    """A line that says: a list is complete."""
    return _json({"at": at, "type": "SYNC", "kind": kind, "rv": rv})


def gap(at: int, kind: str, lost: int, found: int, reason: str) -> bytes:
    """A line that says: changes between the versions `lost` and `found` may be missing."""
    return _json({"at": at, "type": "GAP", "kind": kind, "from": lost, "to": found, "reason": reason})


def _json(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
