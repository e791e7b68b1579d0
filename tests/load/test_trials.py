"""How generators are compared: by the server's log, not by what they say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.compare_generators import GOAL_STREAMS, OURS, goal, table
from benchmarks.treecpu import TreeCpu, descendants
from benchmarks.trials import Trial, busy_share, cpu_between, summaries, trial_of
from gpuassay.load.gate import NoControl
from gpuassay.load.timing import MILLISECOND_NS as MS
from gpuassay.load.timing import EchoTiming, Truth
from gpuassay.waiting import wait
from tests.load.test_figures import result, row

TIMING = EchoTiming(ttft_ms=20, ttft_jitter=0, itl_ms=10, tokens=3)


def truth(index: int, parsed: float, first: float, last: float) -> Truth:
    return Truth(f"load-{index}", round(parsed * MS), round(first * MS), round(last * MS), 100)


def trial(tool: str, p50: float, p99: float, *, streams: int = GOAL_STREAMS, number: int = 0) -> Trial:
    return Trial(
        tool=tool, streams=streams, round=number, asked=10, ok=10, compared=10, error_p50=p50, error_p90=p50,
        error_p99=p99, rate_share=0.99, cpu_us_per_token=20, server_p99=0.1, stall_share=0, wall_seconds=3,
    )  # fmt: skip


def test_the_rate_is_how_many_answers_are_under_way() -> None:
    # red when: a generator that leaves its streams idle for half of the time reaches its rate
    busy = [truth(i, 100 * i, 0, 100 * (i + 1)) for i in range(5)]
    idle = [truth(i, 100 * i, 0, 100 * i + 50) for i in range(5)]
    assert busy_share(busy, 1) == pytest.approx(1)
    assert busy_share(idle, 1) == pytest.approx(0.5)
    assert busy_share(busy, 2) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="too few"):
        busy_share(busy[:1], 1)


def test_cpu_counts_from_the_first_to_the_last_request() -> None:
    # red when: a program's start is counted as load
    samples = [(0, 5.0), (100, 6.0), (200, 8.0), (300, 8.0)]
    assert cpu_between(samples, 50, 150) == pytest.approx(1.5)
    assert cpu_between(samples, 100, 300) == pytest.approx(2)
    assert cpu_between(samples, 50, 301) is None
    assert cpu_between([], 0, 1) is None


def test_a_trial_compares_what_both_sides_know_without_the_warm_up() -> None:
    # red when: the warm-up wave gets into the error, or the server's lateness does
    rows = [row(0, first=90, warm_up=True), row(1, first=21), row(2, first=25), row(3, first=23)]
    truths = [truth(i, 100, 120, 140) for i in range(3)] + [truth(3, 180, 200, 220)]
    found = trial_of("t", 0, 2, result(*rows), truths, TIMING, cpu=[(0, 0.0), (300 * MS, 3.0)], stall_share=None)
    assert (found.asked, found.compared) == (3, 3)
    assert (found.error_p50, found.error_p99) == (pytest.approx(3), pytest.approx(4.96))
    assert found.server_p99 == pytest.approx(0)
    # 1.2 s of CPU time in the 120 ms of load, four answers of three tokens
    assert found.cpu_us_per_token == pytest.approx(1.2e6 / 12)
    with pytest.raises(NoControl, match=r"0 of 4 requests can be compared.*"):
        trial_of("t", 0, 2, result(*rows[:1], *(row(i) for i in range(7, 11))), truths, TIMING, cpu=[], stall_share=0)


def test_summaries_are_medians_of_rounds_by_streams() -> None:
    trials = [trial("a", p, 2, streams=s, number=i) for s in (64, 8) for i, p in enumerate((1.0, 9.0, 2.0))]
    found = summaries(trials)
    assert [(one.streams, one.rounds, one.error_p50, one.requests) for one in found] == [
        (8, 3, 2.0, 30),
        (64, 3, 2, 30),
    ]
    assert len(table(found)) == 4 and "| 8 | a | 2.00 |" in table(found)[2]


def test_the_goal_is_missed_by_a_slow_generator_and_by_a_good_rival() -> None:
    # red when: the goal cannot be missed
    def outcome(*trials: Trial) -> list[bool]:
        return [kept for _, kept in goal(summaries(trials))]

    assert outcome(trial(OURS, 0.2, 0.9), trial("guidellm 0.8.1", 2.0, 9.0)) == [True, True]
    assert outcome(trial(OURS, 0.21, 0.9), trial("guidellm 0.8.1", 2.0, 9.0)) == [False, False]
    assert outcome(trial(OURS, 0.2, 0.91)) == [False]
    assert outcome(trial(OURS, 0.2, 0.9), trial("guidellm 0.8.1", 9.0, 8.9)) == [True, False]
    assert outcome(trial(OURS, 9, 9, streams=8)) == []


def test_a_programs_own_children_count_as_its_cpu_time_and_others_do_not() -> None:
    # red when: worker processes of a generator are left out, or the echo server is counted
    before = set(descendants(os.getpid(), set()))  # of other tests in this process
    burn = "import os,sys; os.fork(); print(flush=True)\nwhile True: pass"
    with (
        subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE) as loader,
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as other,
    ):
        try:
            assert loader.stdout is not None
            loader.stdout.readline()
            children = wait(
                lambda: set(descendants(os.getpid(), {other.pid})) - before,
                lambda found: len(found) == 2,
                what="both",
                timeout=20,
            )
            assert loader.pid in children and other.pid not in children
            cpu = TreeCpu(without={other.pid})
            wait(lambda: list(cpu.samples), lambda s: len(s) > 1 and s[-1][1] > s[0][1], what="CPU time", timeout=20)
            cpu.close()
        finally:
            for pid in descendants(loader.pid, set()):
                os.kill(pid, 9)
            loader.kill()
            other.kill()
