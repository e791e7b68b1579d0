"""Does the recording agree with the other witnesses: the audit log, and Kueue's log?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from gpuassay.manifest import dig, is_true
from gpuassay.record.audit import audit_findings
from gpuassay.systems.platform.readings import PlatformRecording

_SURPLUS_OF_EVENTS = "audited writes"


def _invented(finding: str) -> bool:
    """Whether a finding of the audit tells of more events than writes (and not of lost ones)."""
    head, _, tail = finding.partition(" events but ")
    return bool(head and tail.endswith(_SURPLUS_OF_EVENTS))


def unseen(recording: PlatformRecording) -> list[str]:
    """Writes that the recording lacks, and gaps, as sentences of `audit_findings`."""
    return [finding for finding in audit_findings(recording) if not _invented(finding)]


def invented(recording: PlatformRecording) -> list[str]:
    """Events without a write, as sentences; an audit log in which nothing could be checked is one too."""
    found = [finding for finding in audit_findings(recording) if _invented(finding)]
    return found if recording.audit else [*found, "there is no audit log to check the events against"]


def life_findings(recording: PlatformRecording, jobs: Iterable[str]) -> list[str]:
    """What is missing in the recorded lives of Jobs that should all have come to their end."""
    found: list[str] = []
    histories = recording.timelines("Job")
    for name in jobs:
        history = histories.get(name)
        if history is None:
            found.append(f"Job {name}: expected to be recorded, seen nothing of it")
            continue
        if history.events[0].type != "ADDED" or dig(history.first, "spec", "suspend") is not True:
            found.append(f"Job {name}: expected its life to begin ADDED and suspended, seen {history.events[0].type}")
        if history.when(lambda one: dig(one, "spec", "suspend") is False) is None:
            found.append(f"Job {name}: expected it to be seen running")
        if not is_true(history.final, "Complete"):
            found.append(f"Job {name}: expected it to be seen complete in the end")
    for kind in ("Job", "Workload", "Pod"):
        if not recording.timelines(kind):
            found.append(f"{kind}: expected to be recorded, seen none")
        for history in recording.timelines(kind).values():
            versions = [event.rv for event in history.events]
            if any(later <= sooner for sooner, later in pairwise(versions)):
                found.append(f"{kind} {history.name}: expected rising versions, seen {versions}")
    return found


def admission_findings(recording: PlatformRecording, count: int) -> list[str]:
    """Whether Kueue's log and the watch tell of the same `count` admissions, each once."""
    if not recording.kueue_log:
        return ["there is no log of Kueue to compare with"]
    logged = Counter(f"{one.namespace}/{one.workload}" for one in recording.admissions())
    watched: Counter[str] = Counter()
    for history in recording.timelines("Workload").values():
        held = [is_true(event.object, "QuotaReserved") for event in history.events]
        taken = sum(now and not before for before, now in pairwise([False, *held]))
        if taken:
            watched[f"{history.namespace}/{history.name}"] = taken
    found = [
        f"Workload {name}: {logged[name]} admissions in the log, {watched[name]} in the watch"
        for name in sorted({*logged, *watched})
        if logged[name] != watched[name]
    ]
    if sum(watched.values()) != count:
        found.append(f"expected {count} admissions, seen {sum(watched.values())} in the watch")
    return found
