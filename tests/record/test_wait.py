"""The one wait, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.waiting import WaitError, WaitTimeout, wait


class Clock:
    """Time passes only in pauses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def test_returns_the_snapshot_that_was_ready() -> None:
    clock, values = Clock(), iter([1, 2, 3, 4])
    got = wait(lambda: next(values), lambda n: n == 3, what="three", delay=0.5, pause=clock.pause, clock=clock)
    assert (got, clock.pauses) == (3, [0.5, 0.5])


def test_needs_successes_in_a_row() -> None:
    clock, values = Clock(), iter([1, 0, 1, 1, 0])
    wait(lambda: next(values), bool, what="calm", successes=2, pause=clock.pause, clock=clock)
    assert next(values) == 0, "it stopped after the second success in a row"


def test_takes_a_last_look_when_time_is_up_and_shows_it_shortened() -> None:
    clock = Clock()
    big = "x" * 5000
    with pytest.raises(WaitTimeout) as caught:
        wait(lambda: (clock.now, big), lambda _: False, what="it", timeout=1, delay=0.4, pause=clock.pause, clock=clock)
    assert clock.pauses == [0.4, 0.4, pytest.approx(0.2)]
    assert caught.value.last == (101.0, big)
    assert str(caught.value).startswith("waiting for it: not within 1 s; last seen: (101.0, 'xxx")
    assert len(str(caught.value)) < 800
    assert "\n" not in str(caught.value)


def test_an_error_sentence_ends_it_at_once() -> None:
    clock = Clock()
    with pytest.raises(WaitError, match=r"^waiting for the job: it failed; last seen: 7$") as caught:
        wait(lambda: 7, lambda _: False, what="the job", error=lambda n: "it failed", pause=clock.pause, clock=clock)
    assert not isinstance(caught.value, WaitTimeout)
    assert clock.pauses == []


def test_what_the_snapshot_raises_is_passed_on() -> None:
    def broken() -> int:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        wait(broken, bool, what="it")


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
def test_ends_at_the_first_run_of_successes(seen: list[bool], needed: int) -> None:
    clock, taken = Clock(), list[bool]()

    def look() -> bool:
        taken.append(seen[len(taken)] if len(taken) < len(seen) else False)
        return taken[-1]

    try:
        wait(look, bool, what="it", timeout=40, delay=1, successes=needed, pause=clock.pause, clock=clock)
    except WaitTimeout:
        assert not any(all(seen[i : i + needed]) for i in range(len(seen) - needed + 1))
    else:
        assert all(taken[-needed:])
        assert not any(all(taken[i : i + needed]) for i in range(len(taken) - needed))
