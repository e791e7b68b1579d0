"""Preemption: who was evicted, how often, and who should have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gpuassay import labels
from gpuassay.manifest import Manifest, condition, dig, epoch_second, is_true, name_of
from gpuassay.record.recording import Timeline
from gpuassay.systems.kueue.judge.queueing import asked_priority
from gpuassay.systems.kueue.model.order import from_workload
from gpuassay.systems.kueue.model.preemption import Holder, Policy, victims
from gpuassay.systems.kueue.model.quota import Amount, Quota, QuotaTree, parse_quantity
from gpuassay.systems.kueue.readings import KueueRecording


class Eviction(NamedTuple):
    """A Workload became evicted; `at` is the receipt time in ns."""

    at: int
    workload: str
    reason: str
    message: str


def evictions(recording: KueueRecording) -> list[Eviction]:
    """All evictions in order of receipt: every change of condition Evicted to True."""
    found: list[Eviction] = []
    for name, history in recording.timelines("Workload").items():
        before = False
        for event in history.events:
            now = is_true(event.object, "Evicted")
            if now and not before:
                told = condition(event.object, "Evicted") or {}
                found.append(Eviction(event.at, name, str(told.get("reason", "")), str(told.get("message", ""))))
            before = now
    return sorted(found)


def victims_by_name(recording: KueueRecording, *, until: int | None = None) -> dict[str, int]:
    """How often each Workload was evicted for a preemption, in all or until a time (ns since the epoch)."""
    counts: dict[str, int] = {}
    for eviction in evictions(recording):
        if eviction.reason == "Preempted" and (until is None or eviction.at <= until):
            counts[eviction.workload] = counts.get(eviction.workload, 0) + 1
    return counts


def told_evictions(workload: Manifest, reason: str = "Preempted") -> int:
    """Evictions for `reason` that the Workload's own statistics (status.schedulingStats) count."""
    entries = dig(workload, "status", "schedulingStats", "evictions", default=[])
    return sum(int(entry.get("count", 0)) for entry in entries if entry.get("reason") == reason)


def gpus_of(asked: Manifest) -> Amount:
    """GPUs that an asked Workload or Job needs in all."""
    if asked["kind"] == "Workload":
        sets = [(one["count"], one["template"]) for one in asked["spec"]["podSets"]]
    else:
        sets = [(asked["spec"]["parallelism"], asked["spec"]["template"])]
    total: Amount = 0
    for count, template in sets:
        resources = dig(template, "spec", "containers", 0, "resources", default={})
        amount = dig(resources, "requests", labels.GPU) or dig(resources, "limits", labels.GPU, default=0)
        total += int(count) * parse_quantity(amount)
    return total


def _history(recording: KueueRecording, asked: Manifest) -> Timeline | None:
    try:
        if asked["kind"] == "Job":
            return recording.workload_of(name_of(asked))
        return recording.timelines("Workload").get(name_of(asked))
    except LookupError:
        return None


def _holder(recording: KueueRecording, asked: Manifest, queue: str, before: int | None) -> Holder | None:
    """An asked workload as the preemption model takes it, as it stood before the moment `before` (ns)."""
    history = _history(recording, asked)
    if history is None:
        return None
    states = [event.object for event in history.events if before is None or event.at < before]
    entry = from_workload(history.first)
    reserved = [one for one in states if is_true(one, "QuotaReserved")]
    told = condition(reserved[-1], "QuotaReserved") if reserved else None
    at = epoch_second(str(told["lastTransitionTime"])) if told else 0
    return Holder(entry.name, entry.uid, queue, gpus_of(asked), asked_priority(recording, asked), entry.created, at)


def expected_victims(
    recording: KueueRecording,
    preemptor: str,
    holders: list[str],
    gpus: int,
    policy: Policy,
    *,
    before: int | None = None,
) -> list[str]:
    """Who must be evicted in a queue of `gpus` GPUs, full with `holders`, so that `preemptor` fits: sorted names.

    Names are those of asked jobs and Workloads; the answer names Workloads. `before` (ns) leaves out what was seen
    later, for a holder that got its quota several times.

    Raises:
        LookupError: one of them has no Workload.
    """
    kinds = {"Workload", "Job"}
    by_name: Mapping[str, Manifest] = {name_of(one): one for one in recording.asked if one["kind"] in kinds}
    found = {name: _holder(recording, by_name[name], "queue", before) for name in [preemptor, *holders]}
    lacking = [name for name, holder in found.items() if holder is None]
    if lacking:
        raise LookupError(f"{recording.name}: no Workload was seen of {', '.join(lacking)}")
    whole = {name: holder for name, holder in found.items() if holder is not None}
    tree = QuotaTree({"queue": Quota(gpus)})
    for name in holders:
        tree.add("queue", whole[name].request)
    chosen = victims(whole[preemptor], policy, [whole[name] for name in holders], tree)
    return sorted(one.holder.name for one in chosen)
