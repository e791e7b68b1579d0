"""Requests side by side: the API server answers many at once, and most of a request is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Iterable[T], threads: int = 8) -> list[R]:
    """`work(item)` for every item in at most `threads` threads; results in order, the first exception is raised."""
    todo = list(items)
    if not todo:
        return []
    with ThreadPoolExecutor(min(threads, len(todo))) as pool:
        futures = [pool.submit(work, item) for item in todo]
        return [future.result() for future in futures]
