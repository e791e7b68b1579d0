"""Admission order of an arm against the heap's, decision by decision, while jobs come and go."""

from __future__ import annotations

from gpuassay.judge.performance.runs import own_admissions, seconds
from gpuassay.manifest import is_true
from gpuassay.model.order import Decision, Inversion, QueuedWorkload, Wait, from_workload, inversions
from gpuassay.record.recording import Recording, Timeline


def arm_inversions(recording: Recording) -> list[Inversion]:
    """Admissions that passed a Workload which waited in the same ClusterQueue and comes before them.

    Decisions are those of Kueue's log, waits begin when the watch showed them.
    """
    workloads = {timeline.name: timeline for timeline in recording.timelines("Workload").values()}
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


def _waits(recording: Recording, workload: Timeline, queued: QueuedWorkload, decisions: list[float]) -> list[Wait]:
    """From first sight, and from every loss of quota, to the decision that followed."""
    begins = [seconds(recording, workload.events[0].at)]
    held = False
    for event in workload.events:
        holds = is_true(event.object, "QuotaReserved")
        if held and not holds:
            begins.append(seconds(recording, event.at))
        held = holds
    return [Wait(queued, since, min((at for at in decisions if at >= since), default=None)) for since in begins]
