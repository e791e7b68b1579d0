"""Cutting shared log files (controller log, audit log) into the lines of one scenario.

Every object of a scenario carries the scenario's token in its name or namespace (`x` and six hexadecimal digits), so a
line belongs to the scenarios whose tokens occur in it. Kueue's scheduler also writes lines that name no object, only
the scheduling cycle: they go with every scenario that has a line of the same cycle.
"""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any, cast

from gpuassay.manifest import Manifest

_TOKEN = re.compile(rb"x[0-9a-f]{6}(?![0-9a-z])")
_CYCLE = re.compile(rb'"schedulingCycle":(\d+)')


class LineIndex:
    """Follows a growing file of JSON lines and hands out a scenario's share of it.

    Thread-safe. Where lines name the folder `run_dir`, they say RUN instead.
    """

    def __init__(self, path: Path, run_dir: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._secret = str(run_dir.absolute()).encode() if run_dir else b""
        self._path = path
        self._offset = 0
        self._rest = b""
        self._lines: list[tuple[frozenset[bytes], int | None, bytes]] = []

    def position(self) -> int:
        """Number of lines known now: a scenario's window starts here."""
        with self._lock:
            self._read()
            return len(self._lines)

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            # where the run lives is nobody's business but this machine's
            line = raw.replace(self._secret, b"RUN") if self._secret else raw
            cycle = _CYCLE.search(line)
            self._lines.append((frozenset(_TOKEN.findall(line)), int(cycle[1]) if cycle else None, line))

    def of(self, token: str, start: int, *, everything: bool = False) -> list[Manifest]:
        """Parsed lines since `start` that concern `token` (its last seven characters), in file order.

        Args:
            token: the scenario's token.
            start: a former `position()`.
            everything: all lines, for a scenario that had the cluster to itself.
        """
        mark = token[-7:].encode()
        with self._lock:
            self._read()
            window = self._lines[start:]
        cycles = {cycle for tokens, cycle, _ in window if cycle is not None and mark in tokens}
        chosen = [
            line
            for tokens, cycle, line in window
            # one cycle decides on the heads of all queues: what it says of another scenario's is none of ours
            if everything or mark in tokens or (cycle in cycles and not tokens)
        ]
        return [parsed for line in chosen if (parsed := _parse(line)) is not None]


def _parse(line: bytes) -> Manifest | None:
    """A JSON object, or None for the odd line a program prints before its logger is set up."""
    try:
        parsed: Any = json.loads(line)
    except ValueError:
        return None
    return cast("Manifest", parsed) if isinstance(parsed, dict) else None
