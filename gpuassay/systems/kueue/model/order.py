"""The queue-order oracle: in which order Kueue takes the workloads of one ClusterQueue.

Source: Kueue v0.19.2, `pkg/cache/queue/cluster_queue.go` `baseCompareFunc` (the heap) and `pkg/workload/workload.go`
`Ordering.GetQueueOrderTimestamp` (the timestamp). Submission order plays no part: timestamps are whole seconds, and
within a second the UID, which is random, decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gpuassay.manifest import condition, dig, epoch_second

Strategy = Literal["BestEffortFIFO", "StrictFIFO"]
"""`spec.queueingStrategy` of a ClusterQueue."""

_REQUEUE_REASONS = ("PodsReadyTimeout", "AdmissionCheck")


@dataclass(frozen=True)
class QueuedWorkload:
    """What decides a workload's place in the heap. Times are whole seconds since the epoch (or any common origin)."""

    name: str
    uid: str
    priority: int
    created: int
    requeued_at: int | None = None
    """Time of an eviction by PodsReadyTimeout or AdmissionCheck; takes the place of `created`."""
    sticky: bool = False
    """Whether it is preempting: Kueue keeps such a workload at the head of a BestEffortFIFO queue."""

    @property
    def timestamp(self) -> int:
        """The queue-order timestamp, whole seconds."""
        return self.created if self.requeued_at is None else self.requeued_at


def heap_key(workload: QueuedWorkload) -> tuple[bool, int, int, str]:
    """Sort key: sticky preemptor first, priority descending, timestamp (s) ascending, UID ascending."""
    return (not workload.sticky, -workload.priority, workload.timestamp, workload.uid)


def heap_order(workloads: Iterable[QueuedWorkload]) -> list[str]:
    """The names in the order in which Kueue takes them off the heap."""
    return [w.name for w in sorted(workloads, key=heap_key)]


def from_workload(obj: Mapping[str, Any], *, sticky: bool = False) -> QueuedWorkload:
    """Read a Workload (v1beta2). Raises ValueError with one line if it has no name, UID or creation time.

    An eviction counts only while its condition is True and its reason is PodsReadyTimeout or AdmissionCheck; a
    preempted workload keeps its creation time. A workload preempted by `InCohortReclaimWhileBorrowing` also keeps it
    as long as the feature gate PrioritySortingWithinCohort is on (the default).
    Stickiness is not in the object: Kueue keeps it in memory, so the caller says it.
    """
    manifest = dict(obj)
    name, uid = dig(manifest, "metadata", "name"), dig(manifest, "metadata", "uid")
    created = dig(manifest, "metadata", "creationTimestamp")
    if not name or not uid or not created:
        raise ValueError(f"Workload {name or '?'} lacks metadata.name, uid or creationTimestamp")
    requeued_at: int | None = None
    evicted = condition(manifest, "Evicted")
    if evicted is not None and evicted.get("status") == "True" and evicted.get("reason") in _REQUEUE_REASONS:
        requeued_at = epoch_second(str(evicted.get("lastTransitionTime")))
    return QueuedWorkload(
        name=str(name),
        uid=str(uid),
        priority=int(dig(manifest, "spec", "priority", default=0)),
        created=epoch_second(str(created)),
        requeued_at=requeued_at,
        sticky=sticky,
    )


@dataclass(frozen=True)
class Wait:
    """A time during which a workload waited in its queue without holding quota; several for a preempted one.

    `since` and `until` are seconds on the clock of the decisions; `until` is None if it never got quota.
    """

    workload: QueuedWorkload
    since: float
    until: float | None = None
    request: int = 1


@dataclass(frozen=True)
class Decision:
    """The scheduler gave quota to `workload` at `at` (s), to `request` units of the contested resource."""

    workload: QueuedWorkload
    at: float
    request: int = 1


@dataclass(frozen=True)
class Inversion:
    """`admitted` got quota at `at` (s) although each of `passed` waited, came before it and could have had it."""

    admitted: str
    at: float
    passed: tuple[str, ...]


def inversions(
    decisions: Sequence[Decision],
    waits: Sequence[Wait],
    strategy: Strategy = "BestEffortFIFO",
    *,
    grace: float = 0.05,
) -> list[Inversion]:
    """The admissions of one ClusterQueue that jumped its queue.

    A workload was passed if it waited from at least `grace` seconds before the decision (the watch may show it before
    Kueue's cache does) until after it, and has a smaller `heap_key`. Under BestEffortFIFO a workload that
    asks for more than the admitted one may be passed: it may not have fit. Under StrictFIFO it may not.
    """
    found: list[Inversion] = []
    for decision in decisions:
        mine = heap_key(decision.workload)
        passed = {
            wait.workload.name
            for wait in waits
            if wait.workload.uid != decision.workload.uid
            and wait.since <= decision.at - grace
            and (wait.until is None or wait.until > decision.at)
            and heap_key(wait.workload) < mine
            and (strategy == "StrictFIFO" or wait.request <= decision.request)
        }
        if passed:
            found.append(Inversion(decision.workload.name, decision.at, tuple(sorted(passed))))
    return found
