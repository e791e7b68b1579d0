"""What a run of GPU jobs amounts to: one set of definitions for predictions and for live recordings.

All times are seconds on one clock; all functions are over `JobRun`, which a recording can be turned into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Attempt:
    """One run of a job's container: start and end in seconds; `end` is None while it runs."""

    start: float
    end: float | None = None
    killed: bool = False
    """Whether it was ended by a preemption or other eviction and its work was thrown away."""


@dataclass(frozen=True)
class JobRun:
    """A job and its attempts in time order. `created` (s) is the creation request; `cls` a label such as "large"."""

    name: str
    cls: str
    queue: str
    created: float
    attempts: tuple[Attempt, ...] = ()
    gpus: int = 1
    priority: int = 0

    @property
    def finished(self) -> float | None:
        """When the last attempt ended by itself; None if the job has not finished."""
        if not self.attempts or self.attempts[-1].killed:
            return None
        return self.attempts[-1].end


def _finish(run: JobRun) -> float:
    if run.finished is None:
        raise ValueError(f"job {run.name} has not finished")
    return run.finished


def _last(run: JobRun) -> Attempt:
    if not run.attempts:
        raise ValueError(f"job {run.name} never started")
    return run.attempts[-1]


def makespan(runs: Sequence[JobRun]) -> float:
    """Seconds from the first creation request to the last completion; ValueError if a job is unfinished."""
    if not runs:
        raise ValueError("no jobs: no makespan")
    return max(_finish(r) for r in runs) - min(r.created for r in runs)


def queue_first(run: JobRun) -> float:
    """Seconds from creation to the first container start."""
    _last(run)
    return run.attempts[0].start - run.created


def queue_last(run: JobRun) -> float:
    """Seconds from creation to the start that was not thrown away: holds the lost run time of a preempted job."""
    return _last(run).start - run.created


def exec_last(run: JobRun) -> float:
    """Seconds of the attempt that completed."""
    return _finish(run) - _last(run).start


def jct(run: JobRun) -> float:
    """Job completion time: seconds from creation to completion."""
    return _finish(run) - run.created


def evictions(run: JobRun) -> int:
    """How many attempts were killed."""
    return sum(a.killed for a in run.attempts)


def wasted_gpu_seconds(runs: Iterable[JobRun]) -> float:
    """GPU-seconds of killed attempts."""
    return sum(r.gpus * (a.end - a.start) for r in runs for a in r.attempts if a.killed and a.end is not None)


def useful_gpu_seconds(runs: Iterable[JobRun]) -> float:
    """GPU-seconds of attempts that completed."""
    return sum(r.gpus * (a.end - a.start) for r in runs for a in r.attempts if not a.killed and a.end is not None)


def running_steps(runs: Iterable[JobRun]) -> list[tuple[float, int]]:
    """(time s, GPUs running from then on), by time; an end and a start at one instant are one step."""
    return _steps((t, d) for r in runs for t, d in _gpu_deltas(r))


def pending_steps(runs: Iterable[JobRun]) -> list[tuple[float, int]]:
    """(time s, jobs pending from then on): created, not running, not finished."""
    return _steps((t, d) for r in runs for t, d in _pending_deltas(r))


def idle_gpu_seconds(runs: Sequence[JobRun], capacity: int) -> float:
    """The integral of GPUs that ran nothing over the time when at least one job was pending.

    At compressed time scales most of it is the hand-over (`model.twin.Latencies`), not policy.
    A job that could not use the free GPUs (it needs more, or its queue may not borrow) counts as pending too.
    """
    events = sorted(
        [(t, d, 0) for r in runs for t, d in _gpu_deltas(r)] + [(t, 0, d) for r in runs for t, d in _pending_deltas(r)]
    )
    idle, busy, pending = 0.0, 0, 0
    for (at, gpus, jobs), (then, _, _) in pairwise(events):
        busy, pending = busy + gpus, pending + jobs
        if pending > 0:
            idle += max(0, capacity - busy) * (then - at)
    return idle


def start_inversions(runs: Sequence[JobRun], grace: float = 0.0) -> int:
    """First starts that overtook a waiting job of the same queue with a better (priority, creation second).

    `grace` in seconds is how long the other must have waited. Jobs of more GPUs may be overtaken (BestEffortFIFO).
    Exact order needs `model.order.inversions`; this one works without Kueue's objects, as for plain Jobs.
    """
    starts = [(r.attempts[0].start, r) for r in runs if r.attempts]
    return sum(
        any(
            other.queue == run.queue
            and other.gpus <= run.gpus
            and (-other.priority, int(other.created)) < (-run.priority, int(run.created))
            and other.created + grace <= at
            and (not other.attempts or other.attempts[0].start > at)
            for other in runs
        )
        for at, run in starts
    )


def _gpu_deltas(run: JobRun) -> Iterator[tuple[float, int]]:
    for attempt in run.attempts:
        yield attempt.start, run.gpus
        if attempt.end is not None:
            yield attempt.end, -run.gpus


def _pending_deltas(run: JobRun) -> Iterator[tuple[float, int]]:
    yield run.created, 1
    for attempt in run.attempts:
        yield attempt.start, -1
        if attempt.killed and attempt.end is not None:
            yield attempt.end, 1


def _steps(deltas: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    level, steps = 0, list[tuple[float, int]]()
    for at, delta in sorted(deltas):
        level += delta
        if steps and steps[-1][0] == at:
            steps[-1] = (at, level)
        else:
            steps.append((at, level))
    return steps
