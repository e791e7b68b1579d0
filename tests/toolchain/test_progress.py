from __future__ import annotations

import io

import pytest

from gpuassay.toolchain.progress import PackageCount, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "a few seconds"), (44, "40 s"), (89, "90 s"), (170, "3 min"), (900, "15 min")]
)
def test_lengths_are_said_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_log_gets_a_line_every_interval() -> None:
    clock, stream = Clock(), io.StringIO()
    count = PackageCount("kueue", total=1540, expected=300, stream=stream, clock=clock)
    for _ in range(812):
        clock.now += 0.25
        count.advance()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 13
    assert lines[-1] == "building kueue: 780/1540 packages, about 2 min left"


def test_a_terminal_line_is_rewritten_in_place_and_removed() -> None:
    clock, stream = Clock(), Terminal()
    count = PackageCount("kwok", total=2, expected=60, stream=stream, clock=clock)
    count.advance()
    count.advance()
    count.finish()
    first, second, end = stream.getvalue().split("\r\x1b[K")[1:]
    assert first == "building kwok: 1/2 packages, about 30 s left"
    assert second == "building kwok: 2/2 packages, linking"
    assert end == ""


def test_a_build_that_takes_longer_than_thought_still_has_time_left() -> None:
    clock = Clock()
    count = PackageCount("kueue", total=100, expected=10, stream=io.StringIO(), clock=clock, done=50)
    clock.now = 100
    assert count.left() == 50


def test_nothing_to_compile_is_not_a_division_by_zero() -> None:
    count = PackageCount("kueue", total=0, expected=1, stream=io.StringIO(), clock=Clock())
    assert count.line() == "building kueue: 0/0 packages, linking"
