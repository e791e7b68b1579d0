"""Admission attempts out of the scheduler's log."""

from __future__ import annotations

import pytest

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue.judge.attempts import attempts_between
from gpuassay.systems.kueue.readings import KueueRecording
from tests.record.parts import START, log

SECOND = 1_000_000_000


def cycle(number: int, at: float, *, gave: bool, heads: bool = True) -> list[Manifest]:
    """The lines of a cycle that ends at `at` seconds."""
    lines = [log("Obtained heads", number, at - 0.2, headCount=1)] if heads else []
    given = [log("Workload assumed in the cache", number, at - 0.1, workload={"name": "w", "namespace": "ns"})]
    return [*lines, *(given if gave else []), log("Scheduling cycle complete", number, at, duration=0.2)]


def test_cycles_are_counted_by_result() -> None:
    """Red when a cycle without heads counts, or a result is mixed up."""
    lines = [
        *cycle(1, 1, gave=True),
        *cycle(2, 2, gave=False),
        *cycle(3, 3, gave=True),
        *cycle(4, 4, gave=False, heads=False),
    ]
    recording = KueueRecording.of_parts(log=lines)
    assert attempts_between(recording, START, START + 10 * SECOND) == {"success": 2, "inadmissible": 1}


def test_only_the_span_counts() -> None:
    """Red when cycles before the first or after the last scrape are counted."""
    recording = KueueRecording.of_parts(
        log=[*cycle(1, 1, gave=True), *cycle(2, 3, gave=True), *cycle(3, 5, gave=False)]
    )
    assert attempts_between(recording, START + 2 * SECOND, START + 4 * SECOND) == {"success": 1, "inadmissible": 0}


def test_numbers_start_again_with_kueue() -> None:
    """Red when a cycle of a restarted Kueue inherits the success of the old one's."""
    recording = KueueRecording.of_parts(log=[*cycle(1, 1, gave=True), *cycle(1, 2, gave=False)])
    assert attempts_between(recording, START, START + 10 * SECOND) == {"success": 1, "inadmissible": 1}


def test_without_a_log_nothing_is_told() -> None:
    """Red when a recording without a log counts as no attempts."""
    with pytest.raises(LookupError, match="no log"):
        attempts_between(KueueRecording.of_parts(), 0, START)
