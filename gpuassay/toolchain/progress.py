"""Says how far a long build is: one line rewritten on a terminal, one line every 15 seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

Say = Callable[[str], None]
"""Takes one line for the user."""


def say_on_stderr(line: str) -> None:
    """Write one line to standard error."""
    print(line, file=sys.stderr, flush=True)


def silent(_: str) -> None:
    """Write nothing."""


def duration(seconds: float) -> str:
    """A length of time in words, rounded the way a person would say it."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"{round(seconds / 10) * 10} s"
    return f"{round(seconds / 60)} min"


def build_seconds(cpu_seconds: float) -> float:
    """Wall time of a build that needs `cpu_seconds`, on the cores that this process may use."""
    return cpu_seconds / max(1, len(os.sched_getaffinity(0)))


@dataclass
class PackageCount:
    """Counts compiled packages and tells what is left.

    Attributes:
        what: what is built.
        total: packages that have to be compiled.
        expected: wall seconds that the whole is thought to take, before anything is known.
        stream: where lines go.
        interval: seconds between lines where `stream` is no terminal.
    """

    what: str
    total: int
    expected: float
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    interval: float = 15.0
    clock: Callable[[], float] = time.monotonic
    done: int = 0

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._last = self._started
        self._terminal = self.stream.isatty()

    def line(self) -> str:
        """What stands on the terminal now."""
        if self.done >= self.total:
            return f"building {self.what}: {self.total}/{self.total} packages, linking"
        return f"building {self.what}: {self.done}/{self.total} packages, about {duration(self.left())} left"

    def left(self) -> float:
        """Seconds that are probably left: the first guess, or the time spent so far once that is more, by share."""
        share = self.done / self.total if self.total else 1.0
        return (1 - share) * max(self.expected, self.clock() - self._started)

    def advance(self, packages: int = 1) -> None:
        """Count `packages` more."""
        self.done = min(self.total, self.done + packages)
        self.show()

    def show(self) -> None:
        """Write the line if it is time to."""
        now = self.clock()
        if self._terminal:
            self.stream.write(f"\r\x1b[K{self.line()}")
            self.stream.flush()
        elif now - self._last >= self.interval:
            self._last = now
            self.stream.write(self.line() + "\n")
            self.stream.flush()

    def finish(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
