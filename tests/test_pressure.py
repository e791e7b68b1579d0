"""Who had the CPUs: read from a machine on which we ourselves are the crowd."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from gpuassay import pressure
from gpuassay.pressure import Reading

BURN = "import time\nuntil = time.time() + 30\nwhile time.time() < until: pass"


@contextmanager
def burning(*before: str) -> Generator[None]:
    """A program that takes a whole CPU."""
    program = subprocess.Popen([*before, sys.executable, "-c", BURN], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(program.pid, 9)
        program.wait()


def over(seconds: float) -> Reading:
    """The reading after a while: there is no event to wait for, time itself is measured."""
    before = pressure.read()
    time.sleep(seconds)
    now = pressure.read()
    return Reading(now.at - before.at, 0, now.busy - before.busy, now.ours - before.ours)


def test_what_we_start_is_ours() -> None:
    """Red if CPU time of programs that we started counts as a neighbour's, or is not seen."""
    with burning(), burning("nice", "-n", "19"):
        found = over(1.0)
    assert found.ours > 0.3
    assert found.ours <= found.busy + 0.2


def test_what_has_ended_stays_ours() -> None:
    """Red if the time of programs that were waited for vanishes from ours."""
    before = pressure.read()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert pressure.read().ours - before.ours > 0.05


@pytest.mark.parametrize(
    ("busy", "ours", "others"), [(4.0, 4.0, 0.0), (10.0, 2.0, 0.8), (2.0, 2.1, 0.0), (30.0, 0.0, 1.0)]
)
def test_the_share_of_others(monkeypatch: pytest.MonkeyPatch, busy: float, ours: float, others: float) -> None:
    """Ten seconds of one CPU. Red if ours is not taken from what was used, or a share leaves 0 to 1."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    found = pressure.shares(Reading(0, 0, 100, 50), Reading(10, 2_500_000, 100 + busy, 50 + ours))
    assert found == {"cpu_stall_share": 0.25, "others_cpu_share": others}


def test_too_short_a_time_has_no_share() -> None:
    """Red if hundredths of a second are told as a share of a moment."""
    assert pressure.shares(Reading(0, None, 1, 1), Reading(0.1, None, 2, 1))["others_cpu_share"] is None


@pytest.mark.parametrize(("others", "rate"), [(0.05, 1.0), (0.5, 0.5), (1.0, pressure.SLOWEST)])
def test_own_time_goes_as_fast_as_we_get_cpus(monkeypatch: pytest.MonkeyPatch, others: float, rate: float) -> None:
    """Red if a deadline comes before a system on a contended machine had its time, or never comes."""
    now = [100.0]
    monkeypatch.setattr("gpuassay.pressure.time.monotonic", lambda: now[0])
    clock = pressure.OwnClock(lambda _before: (Reading(now[0], 0, 0, 0), others))
    began = clock()
    told = [began]
    for _ in range(200):
        now[0] += 0.1
        told.append(clock())
    assert told == sorted(told), "time went backwards"
    assert told[-1] - began == pytest.approx(20 * rate, abs=pressure.OWN_WINDOW)


def test_the_worst_moments_of_a_recording_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a neighbour that was there before a recording counts, or one for a moment of it does not."""
    windows = deque([(9.0, 0.9), (12.0, 0.1), (14.0, 0.6), (16.0, 0.0)])
    monkeypatch.setattr("gpuassay.pressure._WINDOWS", windows)
    assert pressure.burst(Reading(10, 0, 0, 0)) == 0.6
    assert pressure.burst(Reading(15, 0, 0, 0)) == 0.0
    assert pressure.burst(Reading(20, 0, 0, 0)) is None
