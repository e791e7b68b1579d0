"""The twin against what must hold for any scheduler, against closed forms, and against what was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.model.preemption import Policy
from gpuassay.systems.kueue.model.quota import Quota
from gpuassay.systems.kueue.model.twin import INSTANT, Latencies, TwinJob, TwinQueue, TwinRun, simulate, simulate_pure

QUIET = settings(derandomize=True, deadline=None, max_examples=80)
SLOW = Latencies(create_lag=0.05, start_lag=0.15, finish_lag=1.0, requeue_batch=1.0, evict_lag=0.4)
PREEMPT = Policy(within_queue="LowerPriority")


def one(gpus: int = 8, *, strict: bool = False, policy: Policy | None = None) -> list[TwinQueue]:
    """One ClusterQueue."""
    return [TwinQueue("q", Quota(gpus), "StrictFIFO" if strict else "BestEffortFIFO", policy or Policy())]


def by_name(run: TwinRun) -> dict[str, JobRun]:
    """The jobs of a run."""
    return {job.name: job for job in run.runs}


@st.composite
def mixes(draw: st.DrawFn, most_gpus: int = 3) -> list[TwinJob]:
    """Up to a dozen jobs for queues a and b; every job fits the nominal quota of 3."""
    count = draw(st.integers(1, 12))
    return [
        TwinJob(
            f"j{i}",
            draw(st.sampled_from("ab")),
            draw(st.integers(0, 60)) / 4,
            draw(st.integers(1, 40)) / 2,
            draw(st.integers(1, most_gpus)),
            draw(st.integers(0, 2)),
        )
        for i in range(count)
    ]


POLICIES = st.builds(
    Policy,
    within_queue=st.sampled_from(("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
    reclaim=st.sampled_from(("Never", "LowerPriority", "Any")),
)
STRATEGIES = st.sampled_from(("BestEffortFIFO", "StrictFIFO"))
PACES = st.sampled_from((INSTANT, SLOW, Latencies()))


@QUIET
@given(mixes(), POLICIES, STRATEGIES, PACES, st.booleans())
def test_nothing_is_lost_and_no_quota_is_broken(
    jobs: list[TwinJob], policy: Policy, strategy: str, pace: Latencies, shared: bool
) -> None:
    """Red when a job vanishes, runs twice, runs short, or when more GPUs run than there are (or may be borrowed)."""
    queues = [
        TwinQueue(
            "a", Quota(3, borrowing_limit=1), "StrictFIFO" if strategy == "StrictFIFO" else "BestEffortFIFO", policy
        ),
        TwinQueue("b", Quota(3, lending_limit=1), "BestEffortFIFO", policy),
    ]
    run = simulate(jobs, queues, pace, cohort="team" if shared else None)
    done = by_name(run)
    assert [r.name for r in run.runs] == [j.name for j in jobs]
    for job in jobs:
        attempts = done[job.name].attempts
        assert done[job.name].finished is not None
        assert [a.killed for a in attempts] == [True] * (len(attempts) - 1) + [False]
        assert figures.exec_last(done[job.name]) == pytest.approx(job.run)
        assert attempts[0].start >= job.arrival
    assert figures.useful_gpu_seconds(run.runs) == pytest.approx(sum(j.run * j.gpus for j in jobs))
    assert max(busy for _, busy in figures.running_steps(run.runs)) <= 6
    for queue, most in (("a", 4 if shared else 3), ("b", 6 if shared else 3)):
        steps = figures.running_steps(r for r in run.runs if r.queue == queue)
        assert all(0 <= busy <= most for _, busy in steps)
    assert set(run.admissions) == {j.name for j in jobs}
    assert len(run.admissions) - len(jobs) <= len(run.evictions)
    assert sum(figures.evictions(r) for r in run.runs) <= len(run.evictions)


@QUIET
@given(mixes(), POLICIES, PACES)
def test_no_run_beats_the_lower_bounds(jobs: list[TwinJob], policy: Policy, pace: Latencies) -> None:
    """Red when time is lost in the books: the work and the longest job bound every schedule from below."""
    run = simulate([replace(j, queue="q") for j in jobs], one(4, policy=policy), pace)
    first = min(j.arrival for j in jobs)
    bound = max(max(j.arrival + j.run for j in jobs) - first, sum(j.run * j.gpus for j in jobs) / 4)
    assert figures.makespan(run.runs) >= bound - 1e-9
    pure = simulate_pure([replace(j, queue="q") for j in jobs], 4, 0.0)
    assert figures.makespan(pure.runs) >= bound - 1e-9


@QUIET
@given(mixes(most_gpus=1), STRATEGIES)
def test_without_latency_no_gpu_idles_while_one_gpu_jobs_wait(jobs: list[TwinJob], strategy: str) -> None:
    """Red when the model leaves room unused for another reason than the batches: it would then predict too long."""
    run = simulate([replace(j, queue="q") for j in jobs], one(2, strict=strategy == "StrictFIFO"), INSTANT)
    assert figures.idle_gpu_seconds(run.runs, 2) == 0
    assert run.inversions("q") == []


@QUIET
@given(mixes(most_gpus=1))
def test_without_latency_kueue_and_a_plain_scheduler_take_equally_long_for_equal_jobs(jobs: list[TwinJob]) -> None:
    """Red when the two modes count time differently, which would fake a cost of Kueue."""
    equal = [replace(j, queue="q", priority=0, run=5.0) for j in jobs]
    kueue, pure = simulate(equal, one(2), INSTANT), simulate_pure(equal, 2, 0.0)
    assert figures.makespan(kueue.runs) == pytest.approx(figures.makespan(pure.runs))


@pytest.mark.parametrize(
    ("jobs", "gpus", "strict"), [(24, 8, False), (17, 4, False), (17, 4, True), (3, 1, True), (3, 8, False)]
)
def test_equal_jobs_have_a_closed_form(jobs: int, gpus: int, strict: bool) -> None:
    """Red when a hand-over costs more or less than finish lag, batch (BestEffortFIFO only) and start lag."""
    run = simulate([TwinJob(f"j{i:02}", "q", 0, 10) for i in range(jobs)], one(gpus, strict=strict), SLOW)
    waves = math.ceil(jobs / gpus)
    hand_over = SLOW.finish_lag + SLOW.start_lag + (0 if strict else SLOW.requeue_batch)
    expected = SLOW.create_lag + SLOW.start_lag + 10 * waves + hand_over * (waves - 1)
    assert figures.makespan(run.runs) == pytest.approx(expected)
    assert run.admissions == [f"j{i:02}" for i in range(jobs)]


def test_a_release_during_a_batch_joins_it() -> None:
    """Red when a later release postpones the batch, or has to wait for another one."""
    jobs = [TwinJob("a", "q", 0, 10), TwinJob("b", "q", 0, 10.6), TwinJob("c", "q", 1, 5), TwinJob("d", "q", 2, 5)]
    done = by_name(simulate(jobs, one(2), SLOW))
    assert done["c"].attempts[0].start == done["d"].attempts[0].start == pytest.approx(0.2 + 10 + 1 + 1 + 0.15)


def test_order_is_priority_then_creation_second_then_uid() -> None:
    """Red when arrival within a second counts."""
    jobs = [
        TwinJob("first", "q", 0, 5),
        TwinJob("late", "q", 1.1, 5, uid="z"),
        TwinJob("tie", "q", 1.3, 5, uid="b"),
        TwinJob("older-uid", "q", 1.6, 5, uid="a"),
        TwinJob("urgent", "q", 3, 5, priority=7),
    ]
    assert simulate(jobs, one(1)).admissions == ["first", "urgent", "older-uid", "tie", "late"]


def test_only_strict_fifo_lets_a_big_job_block_a_small_one() -> None:
    """Red when the strategies behave alike."""
    jobs = [TwinJob("now", "q", 0, 20), TwinJob("big", "q", 1, 5, gpus=2), TwinJob("small", "q", 2, 5)]
    assert simulate(jobs, one(2)).admissions == ["now", "small", "big"]
    assert simulate(jobs, one(2, strict=True)).admissions == ["now", "big", "small"]


def test_a_preempted_job_starts_over_and_keeps_its_place() -> None:
    """Red when a victim resumes where it was, goes to the back, or is not the newest of the lowest priority."""
    jobs = [
        TwinJob("old", "q", 0, 30),
        TwinJob("new", "q", 2, 30),
        TwinJob("waiting", "q", 4, 30),
        TwinJob("urgent", "q", 10, 5, priority=1),
    ]
    run = simulate(jobs, one(2, policy=PREEMPT), SLOW)
    done = by_name(run)
    assert [(e.victim, e.preemptor, e.reason) for e in run.evictions] == [("new", "urgent", "InClusterQueue")]
    assert run.admissions == ["old", "new", "urgent", "new", "waiting"]
    killed, last = done["new"].attempts
    assert killed.killed and killed.end == pytest.approx(10.05 + SLOW.evict_lag)
    assert done["urgent"].attempts[0].start == pytest.approx(10.05 + SLOW.evict_lag + SLOW.start_lag)
    assert last.end is not None and last.end - last.start == pytest.approx(30)
    assert figures.wasted_gpu_seconds(run.runs) == pytest.approx(10.45 - 2.2)


def test_a_preemptor_keeps_the_head_until_its_victim_is_gone() -> None:
    """Red when a BestEffortFIFO preemptor is not sticky, or a StrictFIFO one is."""
    jobs = [
        TwinJob("low", "q", 0, 90),
        TwinJob("urgent", "q", 5, 5, priority=1),
        TwinJob("more", "q", 6, 5, priority=2),
    ]
    slow_death = replace(SLOW, evict_lag=3.0)
    assert simulate(jobs, one(1, policy=PREEMPT), slow_death).admissions[1] == "urgent"
    assert simulate(jobs, one(1, strict=True, policy=PREEMPT), slow_death).admissions[1] == "more"


def test_what_a_preemptor_waits_for_is_not_lent_away() -> None:
    """Red when another queue takes free quota while a preemptor with a better place waits for the rest."""
    jobs = [
        TwinJob("a0", "a", 0, 90, gpus=2),
        TwinJob("b0", "b", 0, 90),
        TwinJob("urgent", "b", 5, 5, gpus=2, priority=1),
        TwinJob("late", "a", 6, 5),
    ]
    queues = [TwinQueue("a", Quota(2)), TwinQueue("b", Quota(2), policy=PREEMPT)]
    run = simulate(jobs, queues, replace(SLOW, evict_lag=3.0), cohort="team")
    assert run.admissions.index("urgent") < run.admissions.index("late")
    assert [e.victim for e in run.evictions] == ["b0"]


def cohort_of(*jobs: TwinJob, slow: float = 5.0, **queues: TwinQueue) -> TwinRun:
    """Jobs in a cohort whose evictions take some seconds."""
    return simulate(jobs, list(queues.values()), Latencies(0, 0, 0, 1.0, slow), cohort="all")


def test_a_cycle_counts_what_its_victims_hold_as_free() -> None:
    """Red when the twin keeps to quota where Kueue gives what a big victim holds to every later head."""
    run = cohort_of(
        TwinJob("stays", "a", 0, 100, 2, 10), TwinJob("victim", "a", 1, 100, 8), TwinJob("ends", "a", 2, 8, 2, 10),
        TwinJob("left", "b", 3, 5, 2), TwinJob("right", "c", 3, 5, 2), TwinJob("urgent", "a", 11, 5, 4, 10),
        a=TwinQueue("a", Quota(12), policy=PREEMPT), b=TwinQueue("b", Quota(0)), c=TwinQueue("c", Quota(0)),
    )  # fmt: skip
    assert [(e.at, e.victim) for e in run.evictions] == [(11, "victim")]
    assert [d.workload.name for d in run.decisions if d.at == 11] == ["left", "right"]


def test_a_preemptor_that_an_earlier_head_left_no_room_preempts_nobody_more() -> None:
    """Red when a borrowing preemptor does not come after a head within its queue's own quota, or goes on preempting."""
    run = cohort_of(
        TwinJob("high", "a", 0, 100, 2, 10), TwinJob("low", "a", 1, 100, 2), TwinJob("held", "b", 1, 100, 2, 10),
        TwinJob("urgent", "a", 5, 5, 4, 10), TwinJob("own", "b", 5, 5, 2),
        a=TwinQueue("a", Quota(4), policy=PREEMPT), b=TwinQueue("b", Quota(4)),
    )  # fmt: skip
    assert [d.workload.name for d in run.decisions if d.at == 5] == ["own"]
    assert [(e.at, e.victim) for e in run.evictions] == [(11, "low")]


@pytest.mark.parametrize(("reclaim", "borrowed_at"), [("Never", 20), ("Any", 6)])
def test_a_strict_queue_keeps_its_quota_for_its_head_unless_it_may_reclaim(reclaim: str, borrowed_at: float) -> None:
    """Red when a head that waits for quota of its own queue sees it lent away although it cannot get it back."""
    run = cohort_of(
        TwinJob("first", "a", 0, 50, 2), TwinJob("big", "b", 0, 20, 4), TwinJob("wants", "a", 5, 5, 4),
        TwinJob("borrows", "b", 6, 5, 2),
        a=TwinQueue("a", Quota(4), "StrictFIFO", Policy(reclaim=cast(Any, reclaim))), b=TwinQueue("b", Quota(4)),
    )  # fmt: skip
    assert [d.at for d in run.decisions if d.workload.name == "borrows"] == [borrowed_at]


def test_a_victim_that_ends_by_itself_first_is_not_run_again() -> None:
    """Red when the race between completion and eviction runs a job twice."""
    jobs = [TwinJob("low", "q", 0, 10), TwinJob("urgent", "q", 10.5, 5, priority=1)]
    run = simulate(jobs, one(1, policy=PREEMPT), SLOW)
    assert len(run.evictions) == 1
    assert [len(r.attempts) for r in run.runs] == [1, 1]


def test_victims_concentrate_on_one_job() -> None:
    """Red when the model spreads victims: Kueue hits the most recently reserved, which re-enters first."""
    jobs = [TwinJob(f"low{i}", "q", i, 400) for i in range(4)]
    jobs += [TwinJob(f"high{i}", "q", 10 + 20 * i, 5, priority=1) for i in range(3)]
    run = simulate(jobs, one(4, policy=PREEMPT), SLOW)
    assert [e.victim for e in run.evictions] == ["low3"] * 3


def test_borrowing_stops_at_its_limit_and_reclaim_takes_it_back() -> None:
    """Red when limits or reclaim have no effect in the twin."""
    jobs = [TwinJob(f"a{i}", "a", 0, 50) for i in range(4)] + [TwinJob("b0", "b", 10, 5)]

    def admitted_by(limit: int | None, reclaim: Policy) -> tuple[int, list[str]]:
        queues = [TwinQueue("a", Quota(2, limit)), TwinQueue("b", Quota(2), policy=reclaim)]
        run = simulate(jobs, queues, SLOW, cohort="team")
        early = sum(r.attempts[0].start < 9 for r in run.runs)
        return early, [e.victim for e in run.evictions]

    assert admitted_by(0, Policy()) == (2, [])
    assert admitted_by(1, Policy()) == (3, [])
    assert admitted_by(None, Policy()) == (4, [])
    assert admitted_by(None, Policy(reclaim="Any")) == (4, ["a0"])


def test_a_job_that_can_never_fit_stays_pending() -> None:
    """Red when an impossible job hangs the model or counts as done."""
    run = simulate([TwinJob("huge", "q", 0, 5, gpus=9), TwinJob("small", "q", 1, 5)], one(8))
    assert by_name(run)["huge"].attempts == ()
    assert [w.workload.name for w in run.waits if w.until is None] == ["huge"]
    with pytest.raises(ValueError, match="huge has not finished"):
        figures.makespan(run.runs)


def test_bad_jobs_are_refused() -> None:
    """Red when a broken list gives a prediction."""
    good = TwinJob("j", "q", 0, 1)
    for bad, message in (
        ([good, good], "two jobs are called j"),
        ([replace(good, queue="x")], "unknown queue x"),
        ([replace(good, gpus=0)], "gpus >= 1"),
        ([replace(good, run=0)], "run > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(bad, one())
