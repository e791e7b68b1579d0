"""Where the rules leave a schedule open the twin takes the live one's; it follows nobody who breaks them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.branch import Branch
from gpuassay.systems.kueue.model.predict import CONFIGURATIONS, mix_of, queues_of
from gpuassay.systems.kueue.model.quota import Quota
from gpuassay.systems.kueue.model.twin import Latencies, TwinJob, TwinQueue, TwinRun, simulate

SLACK = 0.5
QUEUED = [name for name in CONFIGURATIONS if name != "pure"]
QUIET = settings(derandomize=True, deadline=None, max_examples=60)


def taken(run: TwinRun) -> Branch:
    return Branch([(one.workload.name, one.at) for one in run.decisions], SLACK)


def jobs_of(configuration: str, seed: int) -> list[TwinJob]:
    return mix_of(configuration, seed, 1 / 30)


@pytest.mark.parametrize("configuration", QUEUED)
@QUIET
@given(seed=st.integers(0, 40), batch=st.floats(0.95, 1.12), start=st.floats(0.05, 0.3), lag=st.floats(0.01, 0.2))
def test_another_pace_of_the_machinery_is_followed(
    configuration: str, seed: int, batch: float, start: float, lag: float
) -> None:
    """Red if a sound run whose batches took some milliseconds more counts as one that wasted seconds."""
    queues, cohort = queues_of(configuration)
    jobs = jobs_of(configuration, seed)
    live = simulate(jobs, queues, Latencies(lag, start, requeue_batch=batch), cohort=cohort)
    branch = taken(live)
    twin = simulate(jobs, queues, Latencies(lag, start), cohort=cohort, branch=branch)
    assert not branch.departures
    assert figures.makespan(live.runs) / figures.makespan(twin.runs) - 1 < 0.02


def test_a_race_at_a_release_is_told_either_way() -> None:
    """A job created 0.1 s before or after a release starts a batch earlier or later: the twin follows both."""
    queue = [TwinQueue("q", Quota(1))]
    spans: dict[float, float] = {}
    for arrival in (5.9, 6.3):
        jobs = [TwinJob("first", "q", 0.0, 5.0), TwinJob("second", "q", arrival, 5.0)]
        live = simulate(jobs, queue)
        for seen in (5.9, 6.3):
            mistimed = [jobs[0], replace(jobs[1], arrival=seen)]
            branch = taken(live)
            spans[seen] = figures.makespan(simulate(mistimed, queue, branch=branch).runs)
            assert spans[seen] == pytest.approx(figures.makespan(live.runs), abs=SLACK)
            assert not branch.departures


def test_without_a_branch_the_race_costs_a_whole_batch() -> None:
    """What the branch is for: some milliseconds of arrival move the start by a second."""
    queue = [TwinQueue("q", Quota(1))]
    ends = [
        figures.makespan(simulate([TwinJob("a", "q", 0.0, 5.0), TwinJob("b", "q", at, 5.0)], queue).runs)
        for at in (6.15, 6.25)
    ]
    assert max(ends) - min(ends) > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_who_ignores_priority_is_not_followed(seed: int) -> None:
    """Red if the twin takes whatever order it is told, so that no waste can ever be seen."""
    queues, cohort = queues_of("priority")
    jobs = jobs_of("priority", seed)
    wrong = simulate([replace(job, priority=-job.priority) for job in jobs], queues, cohort=cohort)
    branch = taken(wrong)
    simulate(jobs, queues, cohort=cohort, branch=branch)
    assert branch.departures


def test_who_leaves_a_gpu_idle_is_longer_than_the_twin() -> None:
    """Red if quota that nobody uses hides behind the branch."""
    jobs = jobs_of("fifo", 3)
    queues, cohort = queues_of("fifo")
    seven = [replace(queue, quota=Quota(7)) for queue in queues]
    live = simulate(jobs, seven, cohort=cohort)
    twin = simulate(jobs, queues, cohort=cohort, branch=taken(live))
    assert figures.makespan(live.runs) / figures.makespan(twin.runs) - 1 > 0.02
