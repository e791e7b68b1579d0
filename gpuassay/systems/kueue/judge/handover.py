"""What the machinery takes between the exit of one container and the start of the next: measured, never assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from gpuassay.manifest import is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.runs import job_runs, own_admissions, planned, seconds
from gpuassay.systems.kueue.model.twin import Latencies, OwnLags
from gpuassay.systems.kueue.readings import KueueRecording

WAITED = 0.3
"""Seconds after which a Workload that was seen counts as having waited: an immediate decision takes milliseconds."""


class NothingMeasured(ValueError):  # noqa: N818 - reads as what it is
    """A step of the machinery never happened in the recording, so it has no length."""


@dataclass(frozen=True)
class Handover:
    """Measured steps (s), each in order of occurrence; times are receipt times, decisions those of Kueue's log.

    Attributes:
        create: Job seen to Workload seen.
        start: decision to pod Running.
        finish: pod Succeeded to Workload Finished (the job controller gathers status changes for 1 s).
        requeue: Workload Finished to the next decision for one that had waited (Kueue gathers requeues for 1 s).
        evict: Workload Evicted to its quota released.
        own: start and finish of each job by name, for the twin.
    """

    create: Sequence[float]
    start: Sequence[float]
    finish: Sequence[float]
    requeue: Sequence[float]
    evict: Sequence[float]
    own: Mapping[str, OwnLags]

    @property
    def exit_to_admission(self) -> float:
        """Median seconds from a container's exit to the next admission: two one-second batches."""
        return _median("exit", self.finish) + _median("requeue", self.requeue)

    @property
    def total(self) -> float:
        """Median seconds for which a GPU stays free between two jobs that follow each other."""
        return self.exit_to_admission + _median("start", self.start)

    def latencies(self) -> Latencies:
        """What the twin is to assume. Raises NothingMeasured."""
        return Latencies(
            create_lag=_median("create", self.create),
            start_lag=_median("start", self.start),
            finish_lag=_median("finish", self.finish),
            requeue_batch=_median("requeue", self.requeue),
            evict_lag=median(self.evict) if self.evict else Latencies().evict_lag,
        )


def _median(step: str, values: Sequence[float]) -> float:
    if not values:
        raise NothingMeasured(f"the recording has no {step} step: no hand-over was measured")
    return max(0.0, median(values))


def workloads_of_jobs(recording: KueueRecording) -> dict[str, Timeline]:
    """The Workload of every Job that has one."""
    found: dict[str, Timeline] = {}
    for name in recording.timelines("Job"):
        try:
            found[name] = recording.workload_of(name)
        except LookupError:
            continue
    return found


def most_held(recording: KueueRecording, cls: str) -> int:
    """How many jobs of a class had quota at once, at the most: from QuotaReserved to Finished, eviction or deletion."""
    workloads = workloads_of_jobs(recording)
    changes: list[tuple[int, int]] = []
    for job in planned(recording):
        before = False
        for event in workloads[job.name].events if job.cls == cls and job.name in workloads else ():
            obj = event.object
            holds = event.type != "DELETED" and is_true(obj, "QuotaReserved") and not is_true(obj, "Finished")
            if holds != before:
                changes.append((event.at, 1 if holds else -1))
            before = holds
    return max(accumulate(step for _, step in sorted(changes)), default=0)


def preempted_jobs(recording: KueueRecording) -> list[str]:
    """Name of the job of every preemption, also of one whose container had not started yet."""
    return [
        name
        for name, workload in workloads_of_jobs(recording).items()
        for change in workload.condition_changes()
        if change.type == "Evicted" and change.status == "True" and change.reason == "Preempted"
    ]


def handover(recording: KueueRecording) -> Handover:
    """Measure the steps of one arm."""
    jobs = recording.timelines("Job")
    workloads = workloads_of_jobs(recording)
    runs = {run.name: run for run in job_runs(recording)}
    decided: dict[str, list[float]] = {}
    for admission in own_admissions(recording):
        if admission.at_ns is not None:
            decided.setdefault(admission.workload, []).append(seconds(recording, admission.at_ns))
    create: list[float] = []
    start: list[float] = []
    finish: list[float] = []
    evict: list[float] = []
    own: dict[str, OwnLags] = {}
    releases: list[float] = []
    waited: list[float] = []
    for name, workload in workloads.items():
        seen = seconds(recording, workload.events[0].at)
        create.append(seen - seconds(recording, jobs[name].events[0].at))
        run, decisions = runs[name], decided.get(workload.name, [])
        starts = [
            attempt.start - max(before)
            for attempt in run.attempts
            if (before := [decision for decision in decisions if decision <= attempt.start])
        ]
        start += starts
        waited += [decision for decision in decisions[:1] if decision - seen > WAITED]
        ended = workload.when(lambda obj: is_true(obj, "Finished"))
        finishing = None
        if ended is not None and run.finished is not None:
            finishing = seconds(recording, ended) - run.finished
            finish.append(finishing)
            releases.append(seconds(recording, ended))
        evict += _evictions(recording, workload)
        # an admission whose container never started leaves the count of starts behind that of decisions
        own[name] = OwnLags(tuple(starts) if len(starts) == len(decisions) else (), finishing)
    return Handover(create, start, finish, _gaps(sorted(releases), sorted(waited)), evict, own)


def _evictions(recording: KueueRecording, workload: Timeline) -> list[float]:
    found: list[float] = []
    since: int | None = None
    for event in workload.events:
        if is_true(event.object, "Evicted"):
            if is_true(event.object, "QuotaReserved"):
                since = event.at if since is None else since
            elif since is not None:
                found.append(seconds(recording, event.at) - seconds(recording, since))
                since = None
        else:
            since = None
    return found


def _gaps(releases: Sequence[float], decisions: Sequence[float]) -> list[float]:
    """From the first release since the last decision to the next one: a batch begins with its first request."""
    found: list[float] = []
    previous = float("-inf")
    for decision in decisions:
        between = [release for release in releases if previous < release <= decision]
        if between:
            found.append(decision - between[0])
        previous = decision
    return found
