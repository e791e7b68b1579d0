"""Counters and the counts of histograms: what happened to Workloads, told by events, and how often Kueue says so.

Queues of a scenario bear its token in their names, so their counters began at 0 with the scenario.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.judge.series_held import CQ, LOCAL, LQ, PREFIX
from gpuassay.systems.kueue.judge.tally import Key, Tally, exactly
from gpuassay.systems.kueue.readings import KueueRecording

_GIVEN_UP = "DeactivatedDueTo"
"""Evictions for such reasons are counted under `Deactivated`, with the rest of the reason as the underlying cause."""


def tallies(recording: KueueRecording, rest: Rest) -> Iterator[Tally]:
    """Every counter that the recording suffices to recount, of queues that exist at the end."""
    del rest
    turns = _Turns(recording)
    for stem, histogram, by_queue, by_local in (
        ("quota_reserved_workloads_total", "quota_reserved_wait_time_seconds_count", turns.reserved, turns.reserved_l),
        ("admitted_workloads_total", "admission_wait_time_seconds_count", turns.admitted, turns.admitted_l),
    ):
        for name in (stem, histogram):
            yield Tally(PREFIX + name, CQ, exactly(by_queue), leave_out=turns.gone)
            yield Tally(LOCAL + name, LQ, exactly(by_local), leave_out=turns.gone_l)
    # those that never had a ClusterQueue, and those whose ClusterQueue was deleted, and with it its series
    elsewhere = frozenset(
        key for key in {*turns.evicted, *turns.finished} if not key[0] or (key[0],) in turns.gone
    )  # fmt: skip
    yield Tally(f"{PREFIX}evicted_workloads_total", (*CQ, "reason"), exactly(turns.evicted), leave_out=elsewhere)
    yield Tally(f"{PREFIX}preempted_workloads_total", ("reason",), exactly(turns.preempted))
    yield Tally(f"{PREFIX}finished_workloads_total", CQ, exactly(turns.finished), leave_out=elsewhere)


class _Turns:
    """How often conditions of Workloads turned True, by ClusterQueue or LocalQueue."""

    def __init__(self, recording: KueueRecording) -> None:
        self.reserved: Counter[Key] = Counter()
        self.admitted: Counter[Key] = Counter()
        self.evicted: Counter[Key] = Counter()
        self.preempted: Counter[Key] = Counter()
        self.finished: Counter[Key] = Counter()
        self.reserved_l: Counter[Key] = Counter()
        self.admitted_l: Counter[Key] = Counter()
        self.gone = _gone(recording, "ClusterQueue", namespaced=False)
        self.gone_l = _gone(recording, "LocalQueue", namespaced=True) | _stopped(recording)
        for line in recording.timelines("Workload").values():
            before: Manifest = {}
            for event in line.events:
                if event.type != "DELETED":
                    self._turn(before, event.object)
                    before = event.object

    def _turn(self, before: Manifest, now: Manifest) -> None:
        queue = str(dig(now, "status", "admission", "clusterQueue", default=""))
        queue = queue or str(dig(before, "status", "admission", "clusterQueue", default=""))
        local = (
            str(dig(now, "metadata", "namespace", default="")),
            str(dig(now, "spec", "queueName", default="")),
        )
        for kind, of_queue, of_local in (
            ("QuotaReserved", self.reserved, self.reserved_l),
            ("Admitted", self.admitted, self.admitted_l),
        ):
            if is_true(now, kind) and not is_true(before, kind):
                of_queue[queue,] += 1
                of_local[local] += 1
        evicted = condition(now, "Evicted") or {}
        if is_true(now, "Evicted") and not is_true(before, "Evicted") and evicted.get("message") != notes.PLAYED:
            reason = str(evicted.get("reason", ""))
            self.evicted[queue, "Deactivated" if reason.startswith(_GIVEN_UP) else reason] += 1
            if reason == "Preempted":
                self.preempted[str((condition(now, "Preempted") or {}).get("reason", "")),] += 1
        if is_true(now, "Finished") and not is_true(before, "Finished"):
            self.finished[queue,] += 1


def _stopped(recording: KueueRecording) -> frozenset[Key]:
    """LocalQueues that were ever stopped: that clears their series, counters too (`ClearLocalQueueMetrics`)."""
    lines = recording.timelines("LocalQueue").values()
    return frozenset(
        (line.namespace, line.name)
        for line in lines
        if line.when(lambda one: dig(one, "spec", "stopPolicy", default="None") != "None") is not None
    )


def _gone(recording: KueueRecording, kind: str, *, namespaced: bool) -> frozenset[Key]:
    """Queues that were deleted, and with them their series."""
    lines = [line for line in recording.timelines(kind).values() if line.events[-1].type == "DELETED"]
    return frozenset((line.namespace, line.name) if namespaced else (line.name,) for line in lines)
