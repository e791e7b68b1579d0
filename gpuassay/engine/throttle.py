"""Fewer scenarios at a time while somebody else uses the machine.

What is due within seconds comes late on a crowded machine, and looks like a fault of the system under test. Neighbours
cannot be asked to leave, but we need not add to the crowd.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from gpuassay import pressure

WINDOW = 5.0
"""s over which is looked who used the CPUs."""
LEAST = 2
"""Scenarios that are acted out at a time whatever others do: most of one is waiting."""


class Neighbours:
    """What share of the machine's CPU time others had lately; looked at when asked, not more often than `WINDOW`."""

    def __init__(self) -> None:
        """Look for the first time."""
        self._before = pressure.read()
        self._share = 0.0
        self._lock = threading.Lock()

    def share(self) -> float:
        """Share (0..1) of the last window that has passed."""
        with self._lock:
            if time.monotonic() - self._before.at >= WINDOW:
                now = pressure.read()
                self._share = pressure.shares(self._before, now)["others_cpu_share"] or 0.0
                self._before = now
            return self._share


class Throttle:
    """Turns of a pool's scenarios."""

    def __init__(self, most: int, share: Callable[[], float] | None = None) -> None:
        """`most` at a time on a machine of our own; `share` is what others have of it (0..1)."""
        self._most, self._share = most, share or Neighbours().share
        self._active = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def width(self) -> int:
        """How many may be acted out at a time now."""
        share = self._share()
        return self._most if share < pressure.CALM else min(self._most, max(LEAST, round(self._most * (1 - share))))

    @contextmanager
    def turn(self, stopped: threading.Event) -> Generator[None]:
        """One scenario's turn for the length of a `with` block; at once when everything is being stopped.

        Who asked first comes first: whoever has just ended a turn would overtake those that wait, again and again.
        """
        ours = object()
        with self._changed:
            self._waiting.append(ours)
            while (self._waiting[0] is not ours or self._active >= self.width()) and not stopped.is_set():
                self._changed.wait(1.0)
            self._waiting.remove(ours)
            self._active += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()
