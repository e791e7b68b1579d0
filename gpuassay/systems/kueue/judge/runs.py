"""Job runs of one arm as the watch showed them, and what they amount to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from gpuassay.manifest import Manifest, dig
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.log import Admission
from gpuassay.systems.kueue.model.figures import Attempt, JobRun
from gpuassay.systems.kueue.model.twin import TwinJob
from gpuassay.systems.kueue.readings import KueueRecording


def origin_ns(recording: KueueRecording) -> int:
    """The arm's zero: the whole second before it began, so that seconds since then change with those of the clock."""
    return recording.meta.started_ns // 1_000_000_000 * 1_000_000_000


def seconds(recording: KueueRecording, at_ns: int) -> float:
    """A time of the recording in seconds since `origin_ns`."""
    return (at_ns - origin_ns(recording)) / 1e9


def own_admissions(recording: KueueRecording) -> list[Admission]:
    """Decisions about the arm's own Workloads: its log also holds other arms' lines of cycles that they shared."""
    mine = set(recording.meta.namespaces)
    return [one for one in recording.admissions() if one.namespace in mine]


def own_log(recording: KueueRecording) -> list[Manifest]:
    """Log lines about the arm's own Workloads."""
    mine = set(recording.meta.namespaces)
    return [line for line in recording.kueue_log if dig(line, "workload", "namespace") in mine]


def planned(recording: KueueRecording) -> list[TwinJob]:
    """The jobs as they were asked for, in order of creation."""
    return recording.note(notes.JOBS)


def job_runs(recording: KueueRecording) -> list[JobRun]:
    """What became of every planned job, by receipt times of watch events (s since `origin_ns`).

    Created: the Job's first event. Start: its pod is Running, or, where that was never reported, the end less what its
    containers ran. End: its pod has Succeeded; a pod that is deleted before, or fails, was killed and its attempt is
    thrown away. A job that was never created has no run.
    """
    pods = _pods_by_owner(recording)
    jobs = recording.timelines("Job")
    runs: list[JobRun] = []
    for plan in planned(recording):
        if plan.name not in jobs:
            continue
        found = (_attempt(recording, pod) for pod in pods[plan.name])
        attempts = sorted((one for one in found if one is not None), key=lambda one: one.start)
        created = seconds(recording, jobs[plan.name].events[0].at)
        runs.append(
            JobRun(plan.name, plan.cls, plan.queue, created, tuple(attempts), plan.gpus, plan.priority),
        )
    return runs


def _pods_by_owner(recording: KueueRecording) -> dict[str, list[Timeline]]:
    found: dict[str, list[Timeline]] = defaultdict(list)
    for pod in recording.timelines("Pod").values():
        owners: list[Manifest] = dig(pod.first, "metadata", "ownerReferences", default=[])
        for owner in owners:
            found[str(owner["name"])].append(pod)
    return found


def _phase(pod: Manifest) -> str:
    return str(dig(pod, "status", "phase", default=""))


def _ran(pod: Manifest) -> int:
    """For how long a pod's containers ran, in ns, by the node's clock; a kubelet tells whole seconds.

    A busy kubelet reports nothing between Pending and Succeeded, so that no watch shows a short run.
    """
    ended: list[Manifest] = [
        dig(one, "state", "terminated", default={}) for one in dig(pod, "status", "containerStatuses", default=[])
    ]
    spans = [
        datetime.fromisoformat(one["finishedAt"]) - datetime.fromisoformat(one["startedAt"])
        for one in ended if one.get("startedAt") and one.get("finishedAt")
    ]  # fmt: skip
    return max((span // timedelta(microseconds=1) for span in spans), default=0) * 1000


def _attempt(recording: KueueRecording, pod: Timeline) -> Attempt | None:
    start = pod.when(lambda obj: _phase(obj) == "Running")
    succeeded = pod.when(lambda obj: _phase(obj) == "Succeeded")
    if start is None and succeeded is not None:
        start = succeeded - _ran(pod.final)
    if start is None:
        return None
    if succeeded is not None:
        return Attempt(seconds(recording, start), seconds(recording, succeeded))
    gone = pod.when(lambda obj: _phase(obj) == "Failed")
    if gone is None and pod.deleted:
        gone = pod.events[-1].at
    if gone is None:
        return Attempt(seconds(recording, start))
    return Attempt(seconds(recording, start), seconds(recording, gone), killed=True)


@dataclass(frozen=True)
class Bar:
    """One attempt on one GPU; `waited` is how long the GPU was free although the job had been created (s)."""

    run: JobRun
    attempt: Attempt
    waited: float


def lanes(runs: list[JobRun], gpus: int) -> list[list[Bar]]:
    """Attempts on `gpus` lanes in order of start: each takes the GPU that has been free the longest.

    Which GPU a container really had is not known (nothing here has an identity), and does not matter: the gaps between
    an exit and the start that it made room for are the same. An attempt that overlaps all lanes gets a lane of its own,
    so more than `gpus` lanes mean that more GPUs were in use than there are.
    """
    free_since = [float("-inf")] * gpus
    found: list[list[Bar]] = [[] for _ in range(gpus)]
    attempts = sorted(((a, r) for r in runs for a in r.attempts), key=lambda pair: pair[0].start)
    for attempt, run in attempts:
        lane = min(range(len(found)), key=lambda index: free_since[index])
        if free_since[lane] > attempt.start:
            found.append([])
            free_since.append(float("-inf"))
            lane = len(found) - 1
        known_since = run.created
        for earlier, later in pairwise(run.attempts):
            if later is attempt and earlier.end is not None:
                known_since = earlier.end  # a killed job waits anew
        waited = attempt.start - max(free_since[lane], known_since)
        found[lane].append(Bar(run, attempt, waited))
        free_since[lane] = float("inf") if attempt.end is None else attempt.end
    return found


def critical_waits(bars: list[list[Bar]], cap: float) -> float:
    """Seconds of hand-over on the lane that ends last: the waits of its attempts, none counted above `cap`.

    A wait above `cap` is the queue's policy (nobody was allowed to start), not the machinery's latency.
    """
    if not any(bars):
        return 0.0
    last = max((lane for lane in bars if lane), key=lambda lane: lane[-1].attempt.end or float("inf"))
    return sum(min(bar.waited, cap) for bar in last[1:])


def total_waits(bars: list[list[Bar]], cap: float) -> float:
    """GPU-seconds of hand-over on all lanes, each wait counted up to `cap` seconds."""
    return sum(min(bar.waited, cap) for lane in bars for bar in lane[1:])
