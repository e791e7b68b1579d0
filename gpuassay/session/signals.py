"""Signals that end a run in order."""

from __future__ import annotations

import signal


def as_interrupt() -> None:
    """SIGTERM (a CI job that is cancelled) and SIGHUP (a terminal that is closed) end the run as Ctrl-C does.

    A program that was started with SIGHUP ignored, as `nohup` does, goes on ignoring it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
