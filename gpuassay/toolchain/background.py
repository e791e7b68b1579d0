"""Work that shall not be felt: at idle priority for CPU and disk."""

from __future__ import annotations

import ctypes
import os
import platform

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""Number of the system call ioprio_set(2) by machine."""
_THIS_PROCESS, _IDLE_CLASS = 1, 3 << 13


def to_background() -> None:
    """Let this process, and all that it starts, run only while nobody else wants the CPU or the disk (Linux)."""
    os.nice(19)
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if number := _IOPRIO_SET.get(platform.machine()):
        ctypes.CDLL(None).syscall(number, _THIS_PROCESS, 0, _IDLE_CLASS)
