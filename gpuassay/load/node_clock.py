"""How far this machine's clock is off, by the kernel's own reckoning: adjtimex(2), read only, no privileges.

Rows of load pods on several nodes are put on one time line by the nodes' wall clocks; this says how good that is.
"""

from __future__ import annotations

import ctypes
import os

import msgspec

_UNSYNCHRONISED = 0x0040
_NANOSECONDS = 0x2000
_FAILED = -1


class NodeClock(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's estimate of its clock against the true time.

    Attributes:
        synchronised: whether something (NTP, PTP, chrony) keeps the clock in step; if not, the rest means nothing.
        offset_ns: what is left to be corrected, ns; None where the kernel does not tell.
        error_ns: the largest error it may have, ns; None where the kernel does not tell.
    """

    synchronised: bool
    offset_ns: int | None = None
    error_ns: int | None = None


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2), 64 bit; the tail is room for what later kernels write
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),
    )


def node_clock() -> NodeClock:
    """The estimate now; unsynchronised where the kernel refuses to tell (some sandboxes do)."""
    told = _Timex()
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told))
    except (OSError, AttributeError):
        answer = _FAILED
    if answer == _FAILED:
        return NodeClock(synchronised=False)
    unit = 1 if told.status & _NANOSECONDS else 1000
    return NodeClock(
        synchronised=not told.status & _UNSYNCHRONISED, offset_ns=told.offset * unit, error_ns=told.maxerror * 1000
    )


def machine() -> str:
    """Name of this machine."""
    return os.uname().nodename
