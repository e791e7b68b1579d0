"""The one wait: look at a snapshot until it is ready, until it can no longer become ready, or until time is up.

Everything in the suite that waits goes through `wait`, so that every wait has a deadline, can fail fast with a
sentence, and shows what it last saw. It also means that one switch, `halt`, ends whatever is being waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result

T = TypeVar("T")

_halted: list[str] = []
_clock: list[Callable[[], float]] = [time.monotonic]

SHOWN = 600
"""Characters of the last snapshot that a message shows; the full one is in `.last`."""


def halt(why: str) -> None:
    """End every wait of this process, and each that is begun before `resume`, with a `WaitError` that says `why`."""
    _halted[:] = [why]


def count_by(clock: Callable[[], float]) -> None:
    """Count the deadlines of all waits that are begun from now on by `clock` (s) instead of monotonic time."""
    _clock[:] = [clock]


def resume() -> None:
    """Let waits wait again."""
    _halted.clear()


class WaitError(Exception):
    """What was waited for can no longer happen.

    Attributes:
        what: what was waited for.
        sentence: why it cannot happen any more.
        last: the last snapshot, in full.
    """

    def __init__(self, what: str, sentence: str, last: object) -> None:
        """Keep the parts; the message shows a shortened snapshot."""
        super().__init__(f"waiting for {what}: {sentence}; last seen: {_short(last)}")
        self.what, self.sentence, self.last = what, sentence, last


class WaitTimeout(WaitError):  # noqa: N818 - reads as what it is
    """What was waited for did not happen within `timeout` seconds.

    Example:
        with pytest.raises(WaitTimeout, match="two pods"):
            wait(lambda: [], lambda seen: len(seen) == 2, what="two pods", timeout=0.1)
    """

    def __init__(self, what: str, timeout: float, last: object) -> None:
        """Keep the parts; the message shows a shortened snapshot."""
        super().__init__(what, f"not within {timeout:g} s", last)
        self.timeout = timeout


def _short(snapshot: object) -> str:
    text = " ".join(repr(snapshot).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


class _Attempt(Generic[T]):
    """Takes snapshots, counts consecutive successes and remembers the last snapshot."""

    def __init__(
        self,
        snapshot: Callable[[], T],
        ready: Callable[[T], bool],
        what: str,
        error: Callable[[T], str | None] | None,
        successes: int,
    ) -> None:
        self._snapshot, self._ready, self._what, self._error, self._needed = snapshot, ready, what, error, successes
        self._in_a_row = 0
        self.seen: list[T] = []

    def __call__(self) -> bool:
        for why in _halted:
            raise WaitError(self._what, why, self.seen[0] if self.seen else None)
        now = self._snapshot()
        self.seen[:] = [now]
        sentence = self._error(now) if self._error else None
        if sentence:
            raise WaitError(self._what, sentence, now)
        self._in_a_row = self._in_a_row + 1 if self._ready(now) else 0
        return self._in_a_row >= self._needed


def wait(
    snapshot: Callable[[], T],
    ready: Callable[[T], bool],
    *,
    what: str,
    timeout: float = 30,
    error: Callable[[T], str | None] | None = None,
    successes: int = 1,
    delay: float = 0.05,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] | None = None,
) -> T:
    """Take snapshots until `ready(snapshot)` held `successes` times in a row; return the last one.

    Args:
        snapshot: takes a snapshot; what it raises is passed on at once.
        ready: whether the snapshot is what is waited for.
        what: what is waited for, as a noun phrase for messages.
        timeout: seconds; a last look is taken when they are over.
        error: returns a sentence when the snapshot can no longer become ready, which ends the wait.
        successes: how many snapshots in a row must be ready.
        delay: seconds between two snapshots.
        pause: spends up to the given seconds; a condition's wait makes the wait event-driven.
        clock: time in seconds by which the deadline is counted; None: as `count_by` says, else monotonic.

    Raises:
        WaitError: `error` gave a sentence.
        WaitTimeout: the time is up.

    Example:
        pods = wait(lambda: api.list("Pod", "mine"), lambda seen: len(seen) == 2, what="two pods", timeout=30)
    """
    counted = clock or _clock[0]
    deadline = counted() + timeout
    attempt = _Attempt(snapshot, ready, what, error, successes)

    def next_delay(_: RetryCallState) -> float:
        return max(0.0, min(delay, deadline - counted()))

    def give_up(_: RetryCallState) -> bool:
        raise WaitTimeout(what, timeout, attempt.seen[-1])

    def expired(_: RetryCallState) -> bool:
        return counted() >= deadline

    def sleep(seconds: float) -> None:
        pause(seconds)

    Retrying(
        retry=retry_if_result(lambda done: not done),
        stop=expired,
        wait=next_delay,
        sleep=sleep,
        retry_error_callback=give_up,
    )(attempt)
    return attempt.seen[-1]
