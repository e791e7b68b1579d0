"""What must be as before once Kueue has been replaced by another version while it had work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from gpuassay.manifest import Manifest, condition, dig, is_true
from gpuassay.record.facts import Attempt
from gpuassay.record.recording import Event
from gpuassay.systems.kueue.notes import BrokenOff
from gpuassay.systems.kueue.readings import KueueRecording

CONFIGURATION = ("ResourceFlavor", "ClusterQueue", "LocalQueue", "Cohort", "WorkloadPriorityClass")
"""Kinds that a user writes, and an upgrade has to keep."""


def _split(events: Iterable[Event], at_ns: int) -> tuple[dict[str, Event], list[Event]]:
    """The last event of each object (by UID) before a moment, and all events from then on."""
    before: dict[str, Event] = {}
    after: list[Event] = []
    for one in events:
        if one.at >= at_ns:
            after.append(one)
        else:
            before[one.uid] = one
    return before, after


def lost_quota(recording: KueueRecording, begun: int, ended: int, names: Iterable[str]) -> list[str]:
    """Jobs whose Workload did not hold its quota all the time between two moments (ns), or was evicted; a line each."""
    found: list[str] = []
    for name in names:
        try:
            workload = recording.workload_of(name)
        except LookupError:
            found.append(f"{name}: no Workload was recorded")
            continue
        before, after = _split(workload.events, begun)
        last = before.get(workload.events[-1].uid)
        if last is None or not is_true(last.object, "Admitted"):
            found.append(f"{name}: was not admitted before the upgrade")
            continue
        since = _since(last.object)
        for one in after:
            if one.at > ended:
                break
            kept = (
                is_true(one.object, "Admitted") and not is_true(one.object, "Evicted") and _since(one.object) == since
            )
            if one.type == "DELETED" or not kept:
                told = "was deleted" if one.type == "DELETED" else "lost its admission"
                found.append(f"{name}: its Workload {told} {(one.at - begun) / 1e9:.1f} s after the upgrade began")
                break
    return found


def _since(workload: Manifest) -> str:
    """Since when it is admitted, by its own word: true also of what no watch has seen."""
    return str((condition(workload, "Admitted") or {}).get("lastTransitionTime", ""))


def disturbed_pods(recording: KueueRecording, begun: int, ended: int, expected: int) -> list[str]:
    """Pods that ran when the upgrade began and did not run on, untouched, until `ended`; a line each."""
    before, after = _split(recording.of("Pod"), begun)
    ran = {uid: one for uid, one in before.items() if dig(one.object, "status", "phase") == "Running"}
    found = [] if len(ran) == expected else [f"{expected} pods were to run when the upgrade began, {len(ran)} did"]
    for one in after:
        if one.uid not in ran or one.at > ended:
            continue
        phase = dig(one.object, "status", "phase")
        if one.type == "DELETED" or phase != "Running" or dig(one.object, "metadata", "deletionTimestamp"):
            found.append(f"pod {one.name}: {one.type}, {phase}, {(one.at - begun) / 1e9:.1f} s after the upgrade began")
    new = {
        one.name for one in after if one.at <= ended and one.uid not in before and _owner(one.object) in _owners(ran)
    }
    return found + [f"pod {name} is new, of a job whose pods all ran" for name in sorted(new)]


def _owner(pod: Manifest) -> str:
    owners: list[Manifest] = dig(pod, "metadata", "ownerReferences", default=[])
    return str(owners[0]["uid"]) if owners else ""


def _owners(pods: Mapping[str, Event]) -> set[str]:
    return {_owner(one.object) for one in pods.values()} - {""}


def changed_specs(recording: KueueRecording, begun: int, ended: int) -> list[str]:
    """Objects of the user whose specification an upgrade changed or removed; a line each.

    A new version may add defaults; what stood there before must stand there after.
    """
    found: list[str] = []
    seen = 0
    for kind in CONFIGURATION:
        before, after = _split(recording.of(kind), begun)
        seen += len(before)
        for one in after:
            old = before.get(one.uid)
            if old is None or one.at > ended:
                continue
            if one.type == "DELETED":
                found.append(f"{kind} {one.name} was deleted")
            elif lost := _missing(_meant(old.object), _meant(one.object)):
                found.append(f"{kind} {one.name}: {lost}")
    return found if seen else ["no object of Kueue's was recorded before the upgrade"]


def _meant(obj: Manifest) -> Manifest:
    return {"spec": obj.get("spec", {})} | {key: obj[key] for key in ("value",) if key in obj}


def _missing(old: Any, new: Any, where: str = "") -> str:
    """The first path at which `new` lacks what `old` has, or has something else; "" where there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        held, holds = cast("Manifest", old), cast("Manifest", new)
        paths = (_missing(value, holds.get(key), f"{where}.{key}" if where else key) for key, value in held.items())
        return next(filter(None, paths), "")
    return "" if old == new else f"{where} was {old!r}, is {new!r}"


def uncounted(before: Mapping[str, Manifest], after: Mapping[str, Manifest]) -> list[str]:
    """What ClusterQueues count otherwise than before the upgrade, by their names; a line each."""
    if not any(one.get("reservingWorkloads") for one in before.values()):
        return ["no ClusterQueue counted a workload before the upgrade"]
    return [
        f"{queue}: {field} was {value!r}, is {after.get(queue, {}).get(field)!r}"
        for queue, told in before.items()
        for field, value in told.items()
        if after.get(queue, {}).get(field) != value
    ]


def let_through(killed: Sequence[BrokenOff], attempts: Mapping[str, Attempt]) -> list[str]:
    """Jobs that were taken, or refused by somebody else than Kueue's webhook, after each killed try; a line each.

    `attempts` are named by the number of the try, from 0.
    """
    found: list[str] = []
    for number, death in enumerate(killed):
        how = f"{death.applied:.0%} of the manifests applied, the new manager {death.lived:g} s old"
        outcome = attempts.get(str(number))
        if outcome is None:
            found.append(f"{how}: no Job was tried")
        elif outcome.accepted:
            found.append(f"{how}: a Job was taken")
        elif "job.kb.io" not in outcome.message:
            found.append(f"{how}: refused with {outcome.status}, not by Kueue's webhook: {outcome.message}")
    return found
