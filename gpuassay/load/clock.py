"""A timer of the kernel that wakes an event loop at a given nanosecond.

Event loops round their timers to milliseconds (libuv, epoll_wait(2)), which is as much as what is measured here.
timerfd_create(2) has the clock's own resolution. Python offers it from 3.13 on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time

SECOND_NS = 1_000_000_000
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Timer:
    """A file descriptor that becomes readable at a time of `time.monotonic_ns`. OSError if the kernel refuses one."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def fileno(self) -> int:
        """The descriptor, to be watched for reading."""
        return self._fd

    def set(self, at_ns: int, every_ns: int = 0) -> None:
        """Expire at `at_ns` (a time in the past: at once), then every `every_ns` if that is not 0."""
        at_ns = max(1, at_ns)  # 0 would disarm it
        spec = _Itimerspec(_Timespec(*divmod(every_ns, SECOND_NS)), _Timespec(*divmod(at_ns, SECOND_NS)))
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def expirations(self) -> int:
        """How often it has expired since the last look."""
        try:
            return int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


class Alarm:
    """Lets one task of an event loop sleep until a given nanosecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._timer = loop, Timer()
        self._waiter: asyncio.Future[None] | None = None
        loop.add_reader(self._timer.fileno(), self._ring)

    async def until(self, at_ns: int) -> None:
        """Return at `at_ns`, at once if that is over."""
        if time.monotonic_ns() >= at_ns:
            return
        self._waiter = self._loop.create_future()
        self._timer.set(at_ns)
        await self._waiter

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._timer.fileno())
        self._timer.close()

    def _ring(self) -> None:
        if self._timer.expirations() and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class LagProbe:
    """How late an event loop runs what is due: a tick every `PERIOD_NS`, each with its lateness in ns.

    A loop that was blocked over several ticks gets a sample for each, so that a long block weighs as long as it was.
    """

    PERIOD_NS = 5_000_000

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._timer = loop, Timer()
        self.samples_ns: list[int] = []
        self._next = time.monotonic_ns() + self.PERIOD_NS
        self._timer.set(self._next, self.PERIOD_NS)
        loop.add_reader(self._timer.fileno(), self._tick)

    def close(self) -> None:
        """Stop sampling."""
        self._loop.remove_reader(self._timer.fileno())
        self._timer.close()

    def _tick(self) -> None:
        now = time.monotonic_ns()
        for _ in range(self._timer.expirations()):
            self.samples_ns.append(now - self._next)
            self._next += self.PERIOD_NS
