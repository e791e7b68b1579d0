"""What became of a single Workload or Job: when it got quota, lost it, ran, stopped."""

from __future__ import annotations

from datetime import datetime

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.record.recording import ConditionChange, Timeline
from gpuassay.systems.kueue.readings import KueueRecording


def flips(of: Timeline, kind: str, status: str = "True") -> list[ConditionChange]:
    """The moments at which condition `kind` came to be `status`; a new reason or message alone is none."""
    found: list[ConditionChange] = []
    last = ""
    for change in of.condition_changes():
        if change.type == kind:
            if change.status == status != last:
                found.append(change)
            last = change.status
    return found


def became_at(of: Timeline, kind: str) -> datetime | None:
    """The transition time that the object itself gave when condition `kind` was first seen True; whole seconds."""
    for event in of.events:
        found = condition(event.object, kind)
        if found and found["status"] == "True":
            return datetime.fromisoformat(found["lastTransitionTime"])
    return None


def evictions(of: Timeline) -> list[str]:
    """Reasons of the Workload's evictions, in order."""
    return [change.reason for change in flips(of, "Evicted")]


def seen_at(of: Timeline, at: int) -> Manifest | None:
    """The object as last seen at time `at` (ns), or None if it had not been seen by then."""
    before = [event.object for event in of.events if event.at <= at]
    return before[-1] if before else None


def workload_of(recording: KueueRecording, owner: str) -> Timeline | None:
    """The Workload of a job, or the one made by hand with that name; None if there never was one."""
    by_hand = recording.timelines("Workload").get(owner)
    if by_hand is not None:
        return by_hand
    try:
        return recording.workload_of(owner)
    except LookupError:
        return None


def reserved_at(recording: KueueRecording, owner: str) -> list[int]:
    """Resource versions of the Workload at which it got quota: comparable among all Workloads, unlike times."""
    found: list[int] = []
    held = False
    workload = workload_of(recording, owner)
    for event in workload.events if workload else []:
        now = is_true(event.object, "QuotaReserved")
        if now and not held:
            found.append(event.rv)
        held = now
    return found


def ever_reserved(recording: KueueRecording) -> set[str]:
    """Names of the Workloads that got quota at some time."""
    return {
        name for name, one in recording.timelines("Workload").items()
        if one.when(lambda obj: is_true(obj, "QuotaReserved")) is not None
    }  # fmt: skip


def finished_at(recording: KueueRecording, owner: str) -> int | None:
    """Resource version at which the Workload came to be Finished, or None."""
    workload = workload_of(recording, owner)
    return next((one.rv for one in workload.events if is_true(one.object, "Finished")), None) if workload else None


def reason(workload: Timeline | None, kind: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition in the end; "absent" thrice over is ("absent", "", "")."""
    found = condition(workload.final, kind) if workload else None
    return (found["status"], found.get("reason", ""), found.get("message", "")) if found else ("absent", "", "")


def told(workload: Timeline | None, kind: str, text: str) -> bool:
    """Whether condition `kind` ever was False with `text` in its message."""
    changes = workload.condition_changes() if workload else []
    return any(one.type == kind and one.status == "False" and text in one.message for one in changes)


def running(job: Manifest | None) -> bool:
    """Whether a Job is not suspended."""
    return job is not None and dig(job, "spec", "suspend", default=False) is False


def node_selector(job: Manifest) -> dict[str, str]:
    """The node selector of a Job's pods."""
    return dict(dig(job, "spec", "template", "spec", "nodeSelector", default={}))


def asked(recording: KueueRecording, kind: str, name: str) -> Manifest:
    """The object as the scenario asked for it.

    Raises:
        LookupError: the scenario never asked for it.
    """
    for obj in recording.asked:
        if obj["kind"] == kind and obj["metadata"]["name"] == name:
            return obj
    raise LookupError(f"{recording.name}: never asked for {kind} {name}")


def assigned_count(workload: Manifest) -> int:
    """How many pods of its only pod set a Workload was admitted with; 0 without admission."""
    return int(dig(workload, "status", "admission", "podSetAssignments", 0, "count", default=0))


def usage(workload: Manifest) -> dict[str, str]:
    """Resources that its only pod set is charged, as Kueue wrote them; empty without admission."""
    return dict(dig(workload, "status", "admission", "podSetAssignments", 0, "resourceUsage", default={}))
