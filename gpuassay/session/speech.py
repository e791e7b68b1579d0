"""Progress lines on pytest's terminal.

The engine works in a thread of its own while pytest captures what the main thread prints, so lines are queued and
printed by the main thread whenever it waits.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import time
from dataclasses import dataclass, field

import pytest

from gpuassay.secrets import hide


@dataclass
class Speech:
    """Where progress lines go; `reporter` and `capture` are pytest's, None outside of a session."""

    reporter: pytest.TerminalReporter | None = None
    capture: object | None = None
    direct: bool = False
    """Print at once: in the xdist controller no test runs, and nothing is captured."""
    _lines: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue[str])

    def say(self, text: str) -> None:
        """Queue a line with the time of day."""
        self.tell(f"[{time.strftime('%H:%M:%S')}] {text}")

    def tell(self, text: str) -> None:
        """Queue a line as it is."""
        self._lines.put(hide(text))
        if self.direct:
            self.flush()

    def flush(self) -> None:
        """Print what is queued; call it from the main thread."""
        if self._lines.empty():
            return
        open_air = getattr(self.capture, "global_and_fixture_disabled", contextlib.nullcontext)
        with open_air():
            while not self._lines.empty():
                self._print(self._lines.get())

    def _print(self, line: str) -> None:
        if self.reporter is None:
            print(line, file=sys.stderr)
        else:
            self.reporter.ensure_newline()
            self.reporter.write_line(line)
