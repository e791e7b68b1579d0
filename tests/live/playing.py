"""A controller that a test plays: looks at the cluster again and again while something else is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from gpuassay.cluster.errors import ClusterError


@contextmanager
def playing(look: Callable[[], None], seconds: float = 0.3) -> Generator[None]:
    """`look` is called every so many seconds for the length of a `with` block; errors of the API are tried again."""
    ended = threading.Event()

    def play() -> None:
        while not ended.wait(seconds):
            with suppress(ClusterError, KeyError):  # what is just going or coming is looked at again
                look()

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
