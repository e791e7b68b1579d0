"""What the runs of a list of jobs amount to: waits, makespan, preemptions, idle GPU-hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuassay.stats.quantiles import quantile
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.figures import JobRun

HOUR = 3600.0


@dataclass(frozen=True)
class Waits:
    """Of one group of jobs, in seconds from arrival to the first start.

    Attributes:
        group: queue, class or user.
        jobs: how many.
        never: how many of them never started.
        median: of those that did; None where none did. `p95` and `longest` likewise.
        preempted: attempts that were thrown away.
    """

    group: str
    jobs: int
    never: int
    median: float | None
    p95: float | None
    longest: float | None
    preempted: int


@dataclass(frozen=True)
class Totals:
    """Of all jobs.

    Attributes:
        finished: jobs that came to their end.
        never: jobs that never started.
        makespan: seconds from the first arrival to the last end of those that finished.
        wait_mean: seconds to the first start.
        preempted: attempts that were thrown away.
        wasted: their GPU-hours.
        idle: GPU-hours that ran nothing while a job waited that could have been started at some time.
        utilisation: GPU-seconds of completed attempts, as a share of capacity x makespan.
    """

    finished: int
    never: int
    makespan: float
    wait_mean: float
    preempted: int
    wasted: float
    idle: float
    utilisation: float


def waits(runs: Sequence[JobRun], group_of: Callable[[JobRun], str]) -> list[Waits]:
    """Waits by group, in order of names."""
    groups: dict[str, list[JobRun]] = {}
    for run in runs:
        groups.setdefault(group_of(run), []).append(run)
    return [_waits(name, of) for name, of in sorted(groups.items())]


def _waits(name: str, of: Sequence[JobRun]) -> Waits:
    values = sorted(figures.queue_first(run) for run in of if run.attempts)
    known = bool(values)
    return Waits(
        name, len(of), len(of) - len(values),
        quantile(values, 0.5) if known else None, quantile(values, 0.95) if known else None,
        values[-1] if known else None, sum(figures.evictions(run) for run in of),
    )  # fmt: skip


def totals(runs: Sequence[JobRun], capacity: int) -> Totals:
    """Of runs on `capacity` GPUs. Jobs that never start count as never started, and as nothing else."""
    started = [run for run in runs if run.attempts]
    ended = [run.finished for run in started if run.finished is not None]
    first = min((run.created for run in runs), default=0.0)
    span = max(ended, default=first) - first
    values = [figures.queue_first(run) for run in started]
    useful = figures.useful_gpu_seconds(started)
    return Totals(
        finished=len(ended),
        never=len(runs) - len(started),
        makespan=span,
        wait_mean=sum(values) / len(values) if values else 0.0,
        preempted=sum(figures.evictions(run) for run in runs),
        wasted=figures.wasted_gpu_seconds(runs) / HOUR,
        idle=figures.idle_gpu_seconds(started, capacity) / HOUR,
        utilisation=useful / (capacity * span) if capacity and span else 0.0,
    )
