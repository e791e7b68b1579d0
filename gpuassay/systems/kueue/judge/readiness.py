"""Waiting for ready pods: how long jobs held quota without them, and when they were tried again.

Times come from the conditions and fields that Kueue writes; they are whole seconds, and so are these.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay.manifest import condition, dig, epoch_second, is_true
from gpuassay.record.timeline import Timeline
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.verdict import Inconclusive

COUNTED = 1.3
"""s until the Job controller has counted a pod that got ready: it gathers changes for 1 s, and then writes."""


@dataclass(frozen=True)
class BackOff:
    """One eviction for missing readiness.

    Attributes:
        count: `status.requeueState.count`.
        evicted_at: when condition Evicted became True, seconds since the epoch.
        requeue_at: `status.requeueState.requeueAt`, seconds since the epoch.
    """

    count: int
    evicted_at: int
    requeue_at: int

    @property
    def wait_s(self) -> int:
        """Seconds between the two."""
        return self.requeue_at - self.evicted_at


def backoffs(recording: KueueRecording, job: str) -> list[BackOff]:
    """Every requeueAt that a job's Workload was given, in order. LookupError if it has no Workload."""
    found: list[BackOff] = []
    for event in recording.workload_of(job).events:
        state = dig(event.object, "status", "requeueState", default={})
        evicted = condition(event.object, "Evicted")
        if not state.get("requeueAt") or evicted is None or evicted["status"] != "True":
            continue
        one = BackOff(
            int(state.get("count", 0)), epoch_second(evicted["lastTransitionTime"]), epoch_second(state["requeueAt"])
        )
        if not found or found[-1].count != one.count:
            found.append(one)
    return found


def held_s(recording: KueueRecording, job: str) -> list[int]:
    """Seconds from admission to eviction, for each eviction of a job's Workload. LookupError if it has none."""
    found: list[int] = []
    admitted, before = 0, False
    for event in recording.workload_of(job).events:
        told, evicted = condition(event.object, "Admitted"), condition(event.object, "Evicted")
        if told is not None and told["status"] == "True":
            admitted = epoch_second(told["lastTransitionTime"])
        now = evicted is not None and evicted["status"] == "True"
        if now and not before and evicted is not None:
            found.append(epoch_second(evicted["lastTransitionTime"]) - admitted)
        before = now
    return found


def reservations(recording: KueueRecording, job: str) -> list[int]:
    """When a job's Workload got quota, each time, in seconds since the epoch. LookupError if it has no Workload."""
    found: list[int] = []
    before = False
    for event in recording.workload_of(job).events:
        now = is_true(event.object, "QuotaReserved")
        if now and not before:
            found.append(epoch_second((condition(event.object, "QuotaReserved") or {})["lastTransitionTime"]))
        before = now
    return found


def condition_reasons(recording: KueueRecording, job: str, kind: str = "PodsReady") -> list[tuple[str, str]]:
    """(status, reason) of every change of a condition of a job's Workload. LookupError if it has no Workload."""
    changes = recording.workload_of(job).condition_changes()
    return [(one.status, one.reason) for one in changes if one.type == kind]


def require_recovered_in_time(recording: KueueRecording, job: str, timeout: int) -> None:
    """Make sure that the pod of a job that waits for recovery was ready again well within `timeout` seconds, if ever.

    Kueue reads the Job's count of ready pods, which the Job controller writes up to `COUNTED` seconds after the pod's
    change. Condition times are whole seconds: the wait begins up to a second before the loss was told.

    Raises:
        Inconclusive: the pod was ready again, but too late to be counted in time.
        LookupError: the job has no Workload.
    """
    told_ready = [condition(event.object, "PodsReady") for event in recording.workload_of(job).events]
    lost = next((one for one in told_ready if one is not None and one["reason"] == "WaitForRecovery"), None)
    pods = _pods_of(recording, job)
    if lost is None or not pods:
        return
    told = [(event.at, is_true(event.object, "Ready")) for event in pods[0].events]
    first = next((at for at, ready in told if ready), 0)
    gone = next((at for at, ready in told if not ready and at > first), None)
    back = next((at for at, ready in told if ready and gone is not None and at > gone), None)
    due = (epoch_second(lost["lastTransitionTime"]) + timeout - COUNTED) * 1_000_000_000
    if back is not None and back > due:
        raise Inconclusive(
            f"the pod of job {job} was ready again {(back - due) / 1e9:.1f} s too late: the machine is crowded"
        )


def _pods_of(recording: KueueRecording, job: str) -> list[Timeline]:
    return [
        line
        for line in recording.timelines("Pod").values()
        if dig(line.first, "metadata", "labels", "batch.kubernetes.io/job-name") == job
    ]


def require_in_time(recording: KueueRecording, job: str, timeout: int) -> None:
    """Make sure that a job's first pod was ready well within `timeout` seconds of admission, if it ever was.

    On a crowded machine a pod may be created too late; then the recording says nothing about who was ready in time.
    Condition times are whole seconds, so that Kueue's timeout may end up to a second early: that second is left out.

    Raises:
        Inconclusive: it was ready, but not in time.
        LookupError: the job has no Workload.
    """
    admitted = [condition(event.object, "Admitted") for event in recording.workload_of(job).events]
    first = next((one for one in admitted if one is not None and one["status"] == "True"), None)
    pods = _pods_of(recording, job)
    if first is None or not pods:
        return
    ready = pods[0].when(lambda pod: is_true(pod, "Ready"))
    due = (epoch_second(first["lastTransitionTime"]) + timeout - 1) * 1_000_000_000
    if ready is not None and ready > due:
        raise Inconclusive(
            f"the pod of job {job} was ready {(ready - due) / 1e9:.1f} s too late: the machine is crowded"
        )
