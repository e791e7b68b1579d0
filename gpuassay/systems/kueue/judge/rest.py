"""The state in which a scenario left its queues: what lives, who holds quota, who waits and in which queue.

The rules of who counts as waiting are those of Kueue v0.19.2, `pkg/workload/workload.go` (`IsAdmissible`,
`HasActiveQuotaReservation`) and `pkg/controller/core/localqueue_controller.go`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from fractions import Fraction
from typing import Any

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.model.quota import parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording

Holding = tuple[str, str, str]
"""ClusterQueue, flavor, resource."""
Usage = dict[Holding, Fraction]

_GATE = "kueue.x-k8s.io/admission-gated-by"
_BACKOFF_SLACK = 2.0
"""Seconds around the end of a backoff in which a Workload may be counted as waiting, or not yet."""


def usage_of(workload: Manifest) -> Usage:
    """Quota a Workload holds, by (ClusterQueue, flavor, resource): none unless reserved and not finished."""
    held: Usage = defaultdict(Fraction)
    if not is_true(workload, "QuotaReserved") or is_true(workload, "Finished"):
        return held
    queue = str(dig(workload, "status", "admission", "clusterQueue", default=""))
    gone = {entry["name"]: int(entry["count"]) for entry in dig(workload, "status", "reclaimablePods", default=[])}
    wanted = {str(one.get("name")): int(one.get("count") or 0) for one in dig(workload, "spec", "podSets", default=[])}
    for assignment in dig(workload, "status", "admission", "podSetAssignments", default=[]):
        count = int(assignment.get("count") or 0)
        left = wanted.get(str(assignment["name"]), count) - gone.get(assignment["name"], 0)
        share = Fraction(max(0, min(count, left)), count) if count else Fraction(1)
        usage: dict[str, Any] = assignment.get("resourceUsage") or {}
        for resource, amount in usage.items():
            flavor = dig(assignment, "flavors", resource, default="")
            held[queue, str(flavor), resource] += Fraction(parse_quantity(str(amount))) * share
    return held


class Rest:
    """What there is at the end of a recording."""

    def __init__(self, recording: KueueRecording) -> None:
        """Of `recording`; ask it only where the scenario came to rest."""
        self.recording = recording
        self.workloads = _living(recording, "Workload")
        self.cluster_queues = {one["metadata"]["name"]: one for one in _living(recording, "ClusterQueue")}
        self.cohorts = {one["metadata"]["name"]: one for one in _living(recording, "Cohort")}
        self.local_queues = {_key(one): one for one in _living(recording, "LocalQueue")}
        self.once = {(line.namespace, line.name): line.final for line in recording.timelines("LocalQueue").values()}
        """LocalQueues, those that were deleted too."""

    def local_queue_of(self, workload: Manifest) -> Manifest | None:
        """The LocalQueue that a Workload names, if it exists."""
        namespace = dig(workload, "metadata", "namespace", default="")
        return self.local_queues.get((namespace, str(dig(workload, "spec", "queueName", default=""))))

    def queue_of(self, workload: Manifest) -> str:
        """The ClusterQueue in which a Workload waits: that of its LocalQueue; "" where it waits in none."""
        local = self.local_queue_of(workload)
        if local is None or dig(local, "spec", "stopPolicy", default="None") != "None":
            return ""
        return str(dig(local, "spec", "clusterQueue", default=""))

    def left_by(self, workload: Manifest) -> str:
        """The ClusterQueue in which it waited until its LocalQueue was stopped or deleted; "" if it still does."""
        namespace = dig(workload, "metadata", "namespace", default="")
        local = self.once.get((namespace, str(dig(workload, "spec", "queueName", default=""))))
        return "" if self.queue_of(workload) else str(dig(local, "spec", "clusterQueue", default=""))

    def deleted_since(self, queue: str) -> int:
        """How many waited in a ClusterQueue until their LocalQueue was stopped or deleted, and were deleted later."""
        lines = {(one.namespace, one.name): one for one in self.recording.timelines("LocalQueue").values()}
        count = 0
        for one in self.recording.timelines("Workload").values():
            if not one.deleted or not _unreserved(one.final) or self.left_by(one.final) != queue:
                continue
            local = lines[one.namespace, str(dig(one.final, "spec", "queueName", default=""))]
            count += one.events[-1].at > _left_at(local)
        return count

    def cohorts_above(self, queue: str) -> list[str]:
        """Cohorts above a ClusterQueue, nearest first; of a cycle each once."""
        above: list[str] = []
        here = str(dig(self.cluster_queues.get(queue), "spec", "cohortName", default=""))
        while here and here not in above:
            above.append(here)
            here = str(dig(self.cohorts.get(here), "spec", "parentName", default=""))
        return above

    def holding(self) -> list[Manifest]:
        """Workloads that hold quota."""
        return [one for one in self.workloads if is_true(one, "QuotaReserved") and not is_true(one, "Finished")]

    def waiting(self) -> Iterator[tuple[Manifest, bool]]:
        """Workloads that wait for quota; with each, whether that is certain: not so near the end of a backoff."""
        for one in self.workloads:
            reserved = condition(one, "QuotaReserved") or {}
            out = (
                reserved.get("status") == "True"
                or reserved.get("reason") == "OnHold"
                or is_true(one, "Finished")
                or is_true(one, "WaitingForReplacementPods")
                or dig(one, "spec", "active", default=True) is False
                or bool(dig(one, "metadata", "annotations", _GATE))
            )
            if out:
                continue
            if (condition(one, "Requeued") or {}).get("status") == "False":
                yield one, False  # in no queue as long as its requests cannot be resolved
                continue
            until: str | None = dig(one, "status", "requeueState", "requeueAt")
            left = _seconds_left(until, self.recording.meta.ended_ns)
            if left <= _BACKOFF_SLACK:
                yield one, left <= -_BACKOFF_SLACK

    def incomplete_in(self, queue: str) -> list[Manifest]:
        """Workloads of pod groups that would wait in a ClusterQueue, had they not to wait for replacement pods."""
        return [
            one for one in self.workloads
            if is_true(one, "WaitingForReplacementPods") and self.queue_of(one) == queue and _unreserved(one)
        ]  # fmt: skip

    def held(self, workloads: Iterable[Manifest] | None = None) -> Usage:
        """Quota in use, of all that hold quota or of `workloads`."""
        total: Usage = defaultdict(Fraction)
        for one in self.holding() if workloads is None else workloads:
            for key, amount in usage_of(one).items():
                total[key] += amount
        return total


def _left_at(local: Timeline) -> int:
    """When a LocalQueue was last stopped or deleted, in ns; 0 if it was never open."""
    open_at = [
        number for number, event in enumerate(local.events)
        if event.type != "DELETED" and dig(event.object, "spec", "stopPolicy", default="None") == "None"
    ]  # fmt: skip
    return local.events[open_at[-1] + 1].at if open_at and open_at[-1] + 1 < len(local.events) else 0


def _unreserved(workload: Manifest) -> bool:
    """Whether it is alive and holds no quota."""
    active = dig(workload, "spec", "active", default=True) is not False
    return active and not is_true(workload, "QuotaReserved") and not is_true(workload, "Finished")


def _seconds_left(until: str | None, end_ns: int) -> float:
    return datetime.fromisoformat(until).timestamp() - end_ns / 1e9 if until else -1e9


def _key(obj: Manifest) -> tuple[str, str]:
    return str(dig(obj, "metadata", "namespace", default="")), str(obj["metadata"]["name"])


def _living(recording: KueueRecording, kind: str) -> list[Manifest]:
    return [line.final for line in recording.timelines(kind).values() if not line.deleted]
