"""An event loop in a thread of its own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Runs coroutines in a thread of its own until it is closed; what still runs then is cancelled."""

    def __init__(self, name: str) -> None:
        """Begin at once; the thread ends with the process at the latest."""
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        self._begun.wait()

    @property
    def closed(self) -> bool:
        """Whether its thread has ended."""
        return not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """What a coroutine gives back. Raises TimeoutError, and cancels it, after that many seconds."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def close(self, seconds: float) -> None:
        """Cancel what runs and end; a thread busy for longer than `seconds` is left to end later. Idempotent."""
        if not self.closed:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(seconds)

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._stay())

    async def _stay(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._begun.set()
        await self._over.wait()
