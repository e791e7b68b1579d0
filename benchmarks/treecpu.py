"""CPU time of programs and all that they start, sampled while they run (proc(5))."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

PERIOD = 0.2
"""s between samples."""

_TICK = os.sysconf("SC_CLK_TCK")


class TreeCpu:
    """Samples the CPU time of this process's descendants, without itself, until it is closed.

    Attributes:
        samples: (ns of CLOCK_MONOTONIC, CPU seconds so far of the processes that live or lived when last seen).
    """

    def __init__(self, without: set[int]) -> None:
        """Begin; `without` are process ids whose trees do not count."""
        self.samples: list[tuple[int, float]] = []
        self._without, self._seen = without, dict[int, float]()
        self._ended = threading.Event()
        self._sample()
        self._thread = threading.Thread(target=self._watch, name="tree-cpu", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(PERIOD):
            self._sample()
        self._sample()  # also what was spent since the last one

    def _sample(self) -> None:
        for pid in descendants(os.getpid(), self._without):
            seconds = cpu_seconds(pid)
            if seconds is not None:
                self._seen[pid] = seconds
        self.samples.append((time.monotonic_ns(), sum(self._seen.values())))


def descendants(pid: int, without: set[int]) -> set[int]:
    """The processes that `pid` started and theirs, but for the trees of `without`."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        parent = todo.pop()
        for task in _children_files(parent):
            try:
                children = {int(word) for word in task.read_text().split()}
            except OSError:
                continue
            todo += (new := children - found - without)
            found |= new
    return found


def _children_files(pid: int) -> list[Path]:
    try:
        return [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has used, s; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except (OSError, IndexError):
        return None
    return (int(fields[11]) + int(fields[12])) / _TICK
