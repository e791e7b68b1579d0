"""Real-time scheduling where the kernel lets us, so that a busy machine does not make the clock of a measurement late.

A load generator and an echo server use a small part of a core, but every event that waits for the core is an error of
theirs. Under SCHED_FIFO (sched(7)) they run as soon as something arrives, whatever else computes. It needs root,
CAP_SYS_NICE or an RLIMIT_RTPRIO above 0; the kernel's throttling (95 % of a second) keeps a runaway one in check.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

GENERATOR, SERVER = 5, 10
"""Priorities. The server's own times are the truth: it goes before the generator that is measured by them."""

REALTIME, USUAL = "SCHED_FIFO", "usual scheduling"


@contextlib.contextmanager
def realtime(priority: int, wanted: bool = True) -> Generator[str]:
    """Run the calling thread under SCHED_FIFO within the block, not what it starts; yields what it runs under."""
    if not wanted or not hasattr(os, "sched_setscheduler"):
        yield USUAL
        return
    before, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:  # not permitted
        yield USUAL
        return
    try:
        yield REALTIME
    finally:
        os.sched_setscheduler(0, before, parameters)
