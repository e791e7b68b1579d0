"""What happens to a Workload is told by an Event: each kind of turn at least once, since Events are gathered."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.readings import KueueRecording


def findings(recording: KueueRecording) -> list[str]:
    """Reservations, admissions, preemptions and evictions of which no Event tells, as sentences.

    None where Events were not recorded, or Kueue was killed on the way: then it may have died between the two.
    """
    told = {
        (str(dig(event.object, "regarding", "uid", default="")), str(event.object.get("reason", "")))
        for event in recording.of("Event")
        if dig(event.object, "regarding", "kind") == "Workload"
    }
    if not recording.at_rest or not told or "killed" in recording.marks:
        return []
    found: list[str] = []
    for line in recording.timelines("Workload").values():
        before: Manifest = {}
        for event in line.events:
            found += [
                f"no Event {reason} tells of what happened to Workload {line.name}"
                for reason in _turns(before, event.object)
                if (line.uid, reason) not in told
            ]
            before = event.object
    return list(dict.fromkeys(found))


def _turns(before: Manifest, now: Manifest) -> Iterator[str]:
    """Reasons of the Events that a change must bring."""
    for kind in ("QuotaReserved", "Admitted", "Preempted"):
        if is_true(now, kind) and not is_true(before, kind):
            yield kind
    evicted = condition(now, "Evicted") or {}
    if (
        is_true(now, "Evicted") and not is_true(before, "Evicted") and is_true(before, "QuotaReserved")
        and evicted.get("message") != notes.PLAYED
    ):  # fmt: skip
        yield f"EvictedDueTo{evicted.get('reason', '')}"
