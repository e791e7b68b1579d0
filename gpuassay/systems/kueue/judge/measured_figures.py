"""The figures of one arm of Table 3, its hand-over measured and taken out in figures of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge.handover import Handover, handover, workloads_of_jobs
from gpuassay.systems.kueue.judge.measured_order import arm_order
from gpuassay.systems.kueue.judge.runs import (
    Bar,
    critical_waits,
    job_runs,
    lanes,
    origin_ns,
    own_admissions,
    planned,
    seconds,
    total_waits,
)
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.branch import Branch, Departure
from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.model.order import from_workload
from gpuassay.systems.kueue.model.predict import predict, queues_of
from gpuassay.systems.kueue.model.twin import TwinRun, simulate
from gpuassay.systems.kueue.readings import KueueRecording


@dataclass(frozen=True)
class ArmFigures:
    """One arm of one round. Times in s, areas in GPU-s; `None` where the arm has no such thing.

    Attributes:
        handover: median time for which a GPU stays free between two jobs that follow each other.
        handover_in_makespan: hand-overs on the GPU that is busy last.
        handover_idle: hand-overs on all GPUs.
        inversions: admissions that jumped the queue (exact order); for plain Jobs see `start_inversions`.
        start_inversions: starts that overtook an earlier job of the same queue and priority.
    """

    configuration: str
    seed: int
    makespan: float
    queue_first: dict[str, float]
    queue_last: dict[str, float]
    execution: dict[str, float]
    completion: dict[str, float]
    idle: float
    wasted: float
    evictions: int
    most_evictions: int
    handover: float
    handover_in_makespan: float
    handover_idle: float
    inversions: int | None
    start_inversions: int

    @property
    def net_makespan(self) -> float:
        """Makespan less the hand-overs on its critical GPU."""
        return self.makespan - self.handover_in_makespan

    @property
    def net_idle(self) -> float:
        """Idle GPU-seconds less the hand-overs."""
        return max(0.0, self.idle - self.handover_idle)


def by_class(runs: list[JobRun], measure: Callable[[JobRun], float]) -> dict[str, float]:
    """Median of a measure by class of job."""
    classes = sorted({run.cls for run in runs})
    return {cls: median(measure(run) for run in runs if run.cls == cls) for cls in classes}


def arm_lanes(recording: KueueRecording) -> list[list[Bar]]:
    """The arm's attempts on its GPUs."""
    return lanes(job_runs(recording), recording.note(notes.GPUS))


def arm_figures(recording: KueueRecording) -> ArmFigures:
    """All figures of an arm. Raises ValueError if a job has not finished or no hand-over was measured."""
    runs = job_runs(recording)
    gpus = recording.note(notes.GPUS)
    bars = lanes(runs, gpus)
    queued = recording.note(notes.CONFIGURATION) != "pure"
    waits = [bar.waited for lane in bars for bar in lane[1:] if bar.waited > 0]
    gap = handover(recording).total if queued else (median(waits) if waits else 0.0)
    counts = [figures.evictions(run) for run in runs]
    return ArmFigures(
        configuration=recording.note(notes.CONFIGURATION),
        seed=recording.note(notes.SEED),
        makespan=figures.makespan(runs),
        queue_first=by_class(runs, figures.queue_first),
        queue_last=by_class(runs, figures.queue_last),
        execution=by_class(runs, figures.exec_last),
        completion=by_class(runs, figures.jct),
        idle=figures.idle_gpu_seconds(runs, gpus),
        wasted=figures.wasted_gpu_seconds(runs),
        evictions=sum(counts),
        most_evictions=max(counts),
        handover=gap,
        handover_in_makespan=critical_waits(bars, gap),
        handover_idle=total_waits(bars, gap),
        inversions=len(arm_order(recording).broken) if queued else None,
        start_inversions=figures.start_inversions(runs, grace=1.0),
    )


SLACK = 0.5
"""s by which an event of the twin may lie off that of the live run and still be told in the other order. The steps of
each job are its own, so what differs is the requeue batch, and what it adds up to along a chain of jobs."""


def twin_of(recording: KueueRecording, measured: Handover | None = None, branch: Branch | None = None) -> TwinRun:
    """What the twin makes of the arm's jobs: planned run times, real creation times and UIDs, measured hand-over.

    The steps of a job are its own; the requeue batch, which belongs to none, is the median of those measured.

    Raises:
        gpuassay.systems.kueue.judge.handover.NothingMeasured: a step of the hand-over never happened.
    """
    name = recording.note(notes.CONFIGURATION)
    if name == "pure":
        return predict(name, recording.note(notes.SEED), recording.note(notes.SCALE))
    found = measured or handover(recording)
    latencies = found.latencies()
    workloads = workloads_of_jobs(recording)
    jobs = [
        replace(
            job,
            # the twin adds the lag again; so it sees the Workload when the watch did
            arrival=max(0.0, seconds(recording, workloads[job.name].events[0].at) - latencies.create_lag),
            uid=workloads[job.name].uid,
            second=from_workload(workloads[job.name].first).created,
        )
        for job in planned(recording)
        if job.name in workloads
    ]
    queues, cohort = queues_of(name)
    return simulate(jobs, queues, latencies, cohort=cohort, own=found.own, branch=branch)


@dataclass(frozen=True)
class TwinError:
    """A live arm beside the twin on the schedule that it took.

    Attributes:
        makespan: the live makespan relative to the twin's, less 1 (0.01: the live one took 1 % longer).
        departures: admissions in which the live arm left the rules, as far as makespans tell.
    """

    makespan: float
    departures: Sequence[Departure]


def twin_error(recording: KueueRecording) -> TwinError:
    """Hold an arm's makespan against the twin's.

    Raises:
        gpuassay.systems.kueue.judge.handover.NothingMeasured: a step of the hand-over never happened.
    """
    job_of = {workload.name: job for job, workload in workloads_of_jobs(recording).items()}
    admissions = [
        (job_of[one.workload], seconds(recording, one.at_ns))
        for one in own_admissions(recording)
        if one.workload in job_of and one.at_ns is not None
    ]
    branch = Branch(admissions, SLACK)
    twin = twin_of(recording, branch=branch)
    live = figures.makespan(job_runs(recording))
    return TwinError(live / figures.makespan(twin.runs) - 1, tuple(branch.departures))


__all__ = ["ArmFigures", "TwinError", "arm_figures", "arm_lanes", "origin_ns", "twin_error", "twin_of"]
