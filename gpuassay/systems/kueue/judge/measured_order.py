"""Admission order of an arm against the heap's, decision by decision, while jobs come and go.

Kueue parks a Workload that does not fit, and with it all of its shape, and looks at parked ones again 1 s after a
release (`pkg/cache/queue/inadmissible_workloads.go`). Within that second a Workload that is not parked, such as one
that was preempted a moment ago, may be given what was released although better ones wait. That is told apart here from
a broken order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.runs import own_admissions, own_log, seconds
from gpuassay.systems.kueue.log import log_time
from gpuassay.systems.kueue.model.order import Decision, Inversion, QueuedWorkload, Wait, from_workload, inversions
from gpuassay.systems.kueue.readings import KueueRecording

BATCH = 1.0
"""Seconds from the first release to the look at parked Workloads; constant in Kueue's code."""

LATE = 0.25
"""Seconds by which that look may be later than the watch's receipt of the release lets expect."""

REQUEUED = "Workload re-queued"
"""Log line of a head that got no quota."""


@dataclass(frozen=True)
class ArmOrder:
    """Admissions that passed somebody with a smaller heap key.

    Attributes:
        broken: of them, those for which the rules give no reason.
        parked: those that passed only parked Workloads, before the look that a release had asked for.
    """

    broken: list[Inversion]
    parked: list[Inversion]


def arm_order(recording: KueueRecording) -> ArmOrder:
    """Judge every decision of the arm, by Kueue's log, against those that waited in the same ClusterQueue."""
    workloads = {timeline.name: timeline for timeline in recording.timelines("Workload").values()}
    found = _passed(recording, workloads)
    parked = [one for one in found if _all_parked(recording, workloads, one)]
    return ArmOrder([one for one in found if one not in parked], parked)


def _passed(recording: KueueRecording, workloads: dict[str, Timeline]) -> list[Inversion]:
    queued = {name: from_workload(timeline.first) for name, timeline in workloads.items()}
    decided: dict[str, list[tuple[str, float]]] = {}
    for admission in own_admissions(recording):
        if admission.at_ns is not None and admission.workload in workloads:
            at = seconds(recording, admission.at_ns)
            decided.setdefault(admission.cluster_queue, []).append((admission.workload, at))
    found: list[Inversion] = []
    for decisions in decided.values():
        members = {name for name, _ in decisions}
        waits = [
            wait
            for name in members
            for wait in _waits(recording, workloads[name], queued[name], [at for who, at in decisions if who == name])
        ]
        found += inversions([Decision(queued[name], at) for name, at in decisions], waits)
    return found


def _shape(workload: Manifest) -> tuple[str, int]:
    return str(dig(workload, "spec", "queueName", default="")), int(dig(workload, "spec", "priority", default=0))


def _all_parked(recording: KueueRecording, workloads: dict[str, Timeline], inversion: Inversion) -> bool:
    looks = _looks(_releases(recording, workloads))
    for name in inversion.passed:
        parked = _parked_at(recording, workloads, _shape(workloads[name].final), inversion.at)
        if parked is None or any(parked < look and look + LATE < inversion.at for look in looks):
            return False
    return True


def _parked_at(
    recording: KueueRecording, workloads: dict[str, Timeline], shape: tuple[str, int], before: float
) -> float | None:
    """When a Workload of that shape was last found not to fit before a time (s), or None."""
    found: float | None = None
    for line in own_log(recording):
        at = log_time(line)
        name = str(dig(line, "workload", "name", default=""))
        if line.get("msg") == REQUEUED and at is not None and name in workloads:
            when = seconds(recording, at)
            if when < before and _shape(workloads[name].final) == shape:
                found = when
    return found


def _releases(recording: KueueRecording, workloads: dict[str, Timeline]) -> list[float]:
    found: list[float] = []
    for timeline in workloads.values():
        held = False
        for event in timeline.events:
            holds = is_true(event.object, "QuotaReserved") and not is_true(event.object, "Finished")
            if held and not holds:
                found.append(seconds(recording, event.at))
            held = holds
    return sorted(found)


def _looks(releases: Sequence[float]) -> list[float]:
    """When parked Workloads are looked at: a batch after its first release; later ones join it."""
    found: list[float] = []
    for release in releases:
        if not found or release > found[-1]:
            found.append(release + BATCH)
    return found


def _waits(recording: KueueRecording, workload: Timeline, queued: QueuedWorkload, decisions: list[float]) -> list[Wait]:
    """From first sight, and from every loss of quota, to the decision that followed.

    They are paired by number, not by time: a decision may be logged before the watch shows what it was about. One
    that is evicted in the moment in which it ends by itself gets no further decision; it waits until it is Finished.
    """
    begins = [seconds(recording, workload.events[0].at)]
    held = False
    for event in workload.events:
        holds = is_true(event.object, "QuotaReserved")
        if held and not holds:
            begins.append(seconds(recording, event.at))
        held = holds
    ended = workload.when(lambda obj: is_true(obj, "Finished"))
    over = None if ended is None else seconds(recording, ended)
    return [
        Wait(queued, since, decisions[number] if number < len(decisions) else over)
        for number, since in enumerate(begins)
    ]
