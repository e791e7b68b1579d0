"""The report while the run is under way: written after the first finished module, then every minute.

Whoever looks in the middle, interrupts or kills the run sees what is known. The page is made by a process of its own at
idle priority: drawing it here would hold up the threads that act out scenarios.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.cluster.process import Process, start
from gpuassay.session.ledger import Ledger

EVERY = 60.0
"""Seconds between two reports."""


@dataclass
class SoFar:
    """Writes what is known so far into the run directory.

    Attributes:
        ledger: what is known.
        directory: the run directory.
        every: seconds between two reports.
    """

    ledger: Ledger
    directory: Path
    every: float = EVERY
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _first: threading.Event = field(default_factory=threading.Event)
    _module: str = ""
    _drawing: Process | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="gpuassay-so-far", daemon=True)
        self._thread.start()

    def judged(self, test: str) -> None:
        """A test has ended; the first of another module says that one module is finished."""
        module = test.partition("::")[0]
        if self._module and module != self._module:
            self._first.set()
        self._module = module

    def stop(self) -> None:
        """End, so that the last report can be written."""
        self._ended.set()
        self._first.set()
        if self._thread is not None:
            self._thread.join()
        if self._drawing is not None:
            self._drawing.stop(grace=5)

    def _work(self) -> None:
        self._first.wait()
        while not self._ended.is_set():
            due = time.monotonic() + self.every
            self.ledger.write(self.directory, so_far=True)
            if self._drawing is None or not self._drawing.alive:  # on a busy machine one may take longer
                command = [sys.executable, "-m", "gpuassay", "report", "--background", self.directory]
                self._drawing = start("the report so far", command, self.directory / "report-so-far.log")
            self._ended.wait(max(0.0, due - time.monotonic()))
