"""A loop in a thread gives results back, cancels what outlasts its time, and leaves nothing pending."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gpuassay.background import Background


async def told(word: str) -> str:
    return word


def test_results_and_errors_come_back() -> None:
    """Red when a coroutine's value or its exception is lost between the threads."""

    async def fails() -> None:
        raise ValueError("told")

    background = Background("test")
    assert background.run(told("one"), 10) == "one"
    with pytest.raises(ValueError, match="told"):
        background.run(fails(), 10)
    background.close(10)
    assert background.closed
    background.close(10)


def test_what_still_runs_is_cancelled() -> None:
    """Red when a coroutine outlives its time or its loop."""
    ended = list[str]()

    async def waits(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def begins() -> asyncio.Task[None]:
        task = asyncio.ensure_future(waits("second"))
        await asyncio.sleep(0)
        return task

    background = Background("test")
    with pytest.raises(TimeoutError):
        background.run(waits("first"), 0.05)
    task = background.run(begins(), 10)
    background.close(10)
    assert background.closed and task.cancelled() and ended == ["first", "second"]


def test_a_busy_loop_does_not_hold_its_owner() -> None:
    """Red when closing waits for a loop that hangs, or what it never began is told as an error later."""
    busy = threading.Event()
    background = Background("test")
    background._loop.call_soon_threadsafe(busy.wait)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(TimeoutError):
        background.run(told("late"), 0.05)
    background.close(0.05)
    assert not background.closed
    busy.set()
    background.close(10)
    assert background.closed
