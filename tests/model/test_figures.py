"""The definitions of a run's figures, on runs small enough to count by hand."""

from __future__ import annotations

import pytest

from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.figures import Attempt, JobRun

PLAIN = JobRun("plain", "m", "q", 1.0, (Attempt(3.0, 13.0),), gpus=2)
KILLED = JobRun("killed", "m", "q", 0.0, (Attempt(2.0, 6.0, killed=True), Attempt(8.0, 18.0)))
RUNNING = JobRun("running", "m", "q", 0.0, (Attempt(2.0),))


def test_figures_of_single_jobs() -> None:
    """Red when first and last start are mixed up: the paper's queue time hides thrown-away run time."""
    assert (figures.queue_first(KILLED), figures.queue_last(KILLED)) == (2.0, 8.0)
    assert (figures.exec_last(KILLED), figures.jct(KILLED), figures.evictions(KILLED)) == (10.0, 18.0, 1)
    assert (figures.queue_first(PLAIN), figures.queue_last(PLAIN), figures.jct(PLAIN)) == (2.0, 2.0, 12.0)


def test_figures_of_a_run() -> None:
    """Red when GPUs are not multiplied in, or killed time counts as useful."""
    runs = [PLAIN, KILLED]
    assert figures.makespan(runs) == 18.0
    assert figures.wasted_gpu_seconds(runs) == 4.0
    assert figures.useful_gpu_seconds(runs) == 30.0


def test_idle_time_counts_only_while_something_waits() -> None:
    """Red when idle GPUs count with nothing pending, or a restarting job is not pending."""
    # pending: killed 0-2, plain 1-3, killed again 6-8; free of 3 GPUs: 3 until 2, 2 until 3, then 1 from 6 to 8
    assert figures.idle_gpu_seconds([PLAIN, KILLED], 3) == 3 * 2 + 2 * 1 + 1 * 2
    assert figures.pending_steps([PLAIN, KILLED]) == [
        (0.0, 1), (1.0, 2), (2.0, 1), (3.0, 0), (6.0, 1), (8.0, 0),
    ]  # fmt: skip
    assert figures.running_steps([PLAIN, KILLED])[-1] == (18.0, 0)


def test_an_unfinished_job_has_no_makespan() -> None:
    """Red when a job that still runs, or waits after an eviction, passes for finished."""
    waiting = JobRun("waiting", "m", "q", 0.0, (Attempt(1.0, 2.0, killed=True),))
    for run in (RUNNING, waiting, JobRun("new", "m", "q", 0.0)):
        assert run.finished is None
        with pytest.raises(ValueError, match=run.name):
            figures.makespan([PLAIN, run])
    with pytest.raises(ValueError, match="no jobs"):
        figures.makespan([])


def test_start_inversions_see_an_overtaken_job() -> None:
    """Red when overtaking within a queue goes unseen, or a better priority or another queue counts as overtaking."""
    early = JobRun("early", "m", "q", 1.0, (Attempt(9.0, 10.0),))
    late = JobRun("late", "m", "q", 3.0, (Attempt(5.0, 6.0),))
    urgent = JobRun("urgent", "m", "q", 4.0, (Attempt(5.0, 6.0),), priority=1)
    other = JobRun("other", "m", "r", 4.0, (Attempt(5.0, 6.0),))
    assert figures.start_inversions([early, late]) == 1
    assert figures.start_inversions([early, late], grace=5.0) == 0
    assert figures.start_inversions([early, urgent, other]) == 0
