"""Loopback addresses for Pods: those of different arms differ, so that no request can be mistaken."""

from __future__ import annotations

import itertools
import threading

_FIRST, _BLOCKS = 77, 250 * 100
_numbers = itertools.count()
_lock = threading.Lock()


def block() -> str:
    """The first three bytes of 254 addresses within 127.0.0.0/8 that this process has not given out before."""
    with _lock:
        number = next(_numbers) % _BLOCKS
    return f"127.{_FIRST + number // 250}.{1 + number % 250}"
