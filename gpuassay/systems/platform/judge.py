"""Kueue in front of a slicer: quota that is held against slices that are in use, at rest and over time.

Quota counts; a GPU places. So a job may be admitted whose slice fits nowhere. How many those are is predicted from
first principles: what fits into the quota, in the order of creation (BestEffortFIFO passes what does not fit), and
where the slicer's rule then puts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.platform.notes import QUOTAS
from gpuassay.systems.platform.readings import PlatformRecording
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.at_rest import owners, static
from gpuassay.systems.slices.judge.geometry import standing
from gpuassay.systems.slices.judge.observed import changes, runs
from gpuassay.systems.slices.judge.performance import JOB_NAME, jobs
from gpuassay.systems.slices.model.slices import SliceJob, Slicer

Charges = Mapping[str, Mapping[str, int]]
"""What a slice of each profile costs, by resource of the quota."""

_OVER = {"Succeeded", "Failed"}


# --- what should be -------------------------------------------------------------------------------------------------


def affordable(asked: Sequence[SliceJob], charges: Charges, quota: Mapping[str, int]) -> list[SliceJob]:
    """The jobs that a BestEffortFIFO queue admits if none ends: in order, each that still fits."""
    left = Counter(quota)
    found: list[SliceJob] = []
    for job in asked:
        cost = charges[job.profile]
        if all(left[resource] >= amount for resource, amount in cost.items()):
            left.subtract(cost)
            found.append(job)
    return found


def placeable(admitted: Sequence[SliceJob], slicer: Slicer) -> list[SliceJob]:
    """The jobs that get a slice if none ends: in order, each for which the slicer has a place."""
    return [job for job in admitted if slicer.take(job.profile) is not None]


# --- what was -------------------------------------------------------------------------------------------------------


def pods_of(recording: PlatformRecording, job: str) -> list[Timeline]:
    """Histories of all pods that a Job had, in order."""
    histories = recording.timelines("Pod").values()
    return [one for one in histories if dig(one.first, "metadata", "labels", JOB_NAME) == job]


def holds_quota(workload: Manifest) -> bool:
    """Whether a Workload holds quota now."""
    return is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def charged(recording: PlatformRecording, owner: str) -> dict[str, int]:
    """What the Workload of a job or pod was charged with when it first got quota; empty where it never did."""
    for event in recording.workload_of(owner).events:
        if holds_quota(event.object):
            usage = dig(event.object, "status", "admission", "podSetAssignments", 0, "resourceUsage", default={})
            return {resource: int(amount) for resource, amount in usage.items()}
    return {}


def admitted_at(recording: PlatformRecording, at: int) -> list[str]:
    """Jobs that held quota at `at` (ns since the epoch), in the order in which they were asked for."""

    def held(job: str) -> bool:
        seen = recording.workload_of(job).as_of(at)
        return seen is not None and holds_quota(seen)

    return [one.name for one in jobs(recording) if held(one.name)]


def placed_at(recording: PlatformRecording, at: int) -> list[str]:
    """Jobs of which a pod was on a node at `at` (ns since the epoch) and had not ended."""

    def placed(history: Timeline) -> bool:
        seen = history.as_of(at)
        return bool(dig(seen, "spec", "nodeName")) and dig(seen, "status", "phase") not in _OVER

    return [one.name for one in jobs(recording) if any(map(placed, pods_of(recording, one.name)))]


def unplaced_at(recording: PlatformRecording, at: int) -> list[str]:
    """Jobs that held quota at `at` (ns since the epoch) and had no node: admitted, but not placed."""
    placed = placed_at(recording, at)
    return [name for name in admitted_at(recording, at) if name not in placed]


def first_run(recording: PlatformRecording, job: str) -> int | None:
    """When a pod of the Job was first seen running, ns since the epoch."""
    seen = (pod.when(lambda one: dig(one, "status", "phase") == "Running") for pod in pods_of(recording, job))
    return min((one for one in seen if one is not None), default=None)


def unfinished(recording: PlatformRecording) -> list[str]:
    """Jobs that never were complete."""
    histories = recording.timelines("Job")
    return [one.name for one in jobs(recording) if not histories[one.name].when(lambda job: is_true(job, "Complete"))]


@dataclass(frozen=True)
class Release:
    """What a Job gave back, and when, ns since the epoch: its quota and its slice; None: it did not."""

    job: str
    quota: int | None
    slice: int | None

    @property
    def apart(self) -> float | None:
        """Seconds by which the slice came back after the quota; negative: before it."""
        return None if self.quota is None or self.slice is None else (self.slice - self.quota) / 1e9


def release(recording: PlatformRecording, job: str) -> Release:
    """When a Job's first stay gave back quota and slice.

    A slice on demand is back when it is destroyed, one that is cut beforehand when the pod that had it has ended.
    """
    return Release(job, _lost_quota(recording.workload_of(job)), _lost_slice(recording, job))


def _lost_quota(history: Timeline) -> int | None:
    held = False
    for event in history.events:
        now = event.type != "DELETED" and holds_quota(event.object)
        if held and not now:
            return event.at
        held = now
    return None


def _lost_slice(recording: PlatformRecording, job: str) -> int | None:
    names = [one.name for one in pods_of(recording, job)]
    run = next((one for one in runs(recording) if one.pod in names), None)
    if run is None or static(recording):
        return run.ended if run else None
    gone = [one.at for one in changes(recording) if not one.made and one.slice.uuid in run.held]
    return max(gone, default=None)


# --- findings -------------------------------------------------------------------------------------------------------


def usage_findings(recording: PlatformRecording, label: str, charges: Charges) -> list[str]:
    """Where the queues' usage, as told at `label`, is not the cost of the slices in use then.

    In use is a slice on demand that exists, and one that was cut beforehand if the node's books give it to a pod.
    """
    rest = recording.note(notes.REST)[label]
    there = {one.uuid: one.profile for one in standing(changes(recording), recording.mark(label))}
    in_use = set(owners(recording, label)) if static(recording) else set(there)
    expected: Counter[str] = Counter({resource: 0 for cost in charges.values() for resource in cost})
    for uuid in in_use & set(there):
        expected.update(charges[there[uuid]])
    told = rest.usage or {}
    found = [f"{uuid} is in use and does not exist" for uuid in sorted(in_use - set(there))]
    return found + [
        f"{told.get(resource, 0)} {resource} are told at {label!r}, slices in use cost {amount}"
        for resource, amount in sorted(expected.items())
        if told.get(resource, 0) != amount
    ]


def beyond_quota_findings(recording: PlatformRecording, charges: Charges) -> list[str]:
    """Moments at which the slices of running jobs cost more than the quota, as it was asked for."""
    quota = recording.note(QUOTAS)
    profiles = {one.name: one.profile for one in jobs(recording)}
    owner = {pod.name: job for job in profiles for pod in pods_of(recording, job)}
    there = [one for one in runs(recording) if one.pod in owner]
    found: list[str] = []
    for one in there:
        running = [other for other in there if other.begun <= one.begun and one.overlaps(other)]
        total: Counter[str] = Counter()
        for other in running:
            total.update(charges[profiles[owner[other.pod]]])
        found += [
            f"{amount} {resource} run on slices when {owner[one.pod]} begins, the quota is {quota[resource]}"
            for resource, amount in sorted(total.items())
            if amount > quota[resource]
        ]
    return found
