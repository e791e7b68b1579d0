"""Queueing: what the order of decisions must be, from what was asked.

Priorities come from what the scenario asked for, UIDs and creation seconds from the first sight of each Workload:
a system that loses or turns a priority on its way is seen to decide in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuassay import labels
from gpuassay.manifest import Manifest, dig, is_true, name_of
from gpuassay.systems.kueue.log import Admission
from gpuassay.systems.kueue.model.order import QueuedWorkload, from_workload, heap_order
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.verdict import Inconclusive


def asked_priority(recording: KueueRecording, asked: Manifest) -> int:
    """The priority that an asked Workload or job has by what was asked.

    A WorkloadPriorityClass named by label goes before the pods' PriorityClass; without either it is 0.
    """
    if asked["kind"] == "Workload":
        return int(dig(asked, "spec", "priority", default=0))
    for kind, wanted in (
        ("WorkloadPriorityClass", dig(asked, "metadata", "labels", labels.PRIORITY_CLASS)),
        ("PriorityClass", dig(asked, "spec", "template", "spec", "priorityClassName")),
    ):
        for one in recording.asked:
            if one["kind"] == kind and wanted == name_of(one):
                return int(one["value"])
    return 0


def queued(recording: KueueRecording, names: Iterable[str] | None = None) -> list[QueuedWorkload]:
    """The Workloads of the asked jobs and Workloads (default: of all), with the priority that was asked.

    Jobs that never got a Workload are left out: `missing` tells them.
    """
    chosen = None if names is None else set(names)
    found: list[QueuedWorkload] = []
    for asked in recording.asked:
        if asked["kind"] not in {"Workload", "Job"} or (chosen is not None and name_of(asked) not in chosen):
            continue
        try:
            history = recording.workload_of(name_of(asked)) if asked["kind"] == "Job" else None
            seen = history or recording.timelines("Workload")[name_of(asked)]
        except LookupError:
            continue
        entry = from_workload(seen.first)
        found.append(QueuedWorkload(entry.name, entry.uid, asked_priority(recording, asked), entry.created))
    return found


def decisions(recording: KueueRecording, names: Iterable[str] | None = None) -> list[str]:
    """Names of Workloads in the order of the scheduler's decisions, repetitions included; of `names` only if given."""
    chosen = None if names is None else set(names)
    return [one.workload for one in own_admissions(recording) if chosen is None or one.workload in chosen]


def own_admissions(recording: KueueRecording) -> list[Admission]:
    """The decisions on this scenario's Workloads: a scheduling cycle may decide on other scenarios' too."""
    spaces = set(recording.meta.namespaces)
    return [one for one in recording.admissions() if one.namespace in spaces]


def order_findings(recording: KueueRecording, names: Iterable[str] | None = None) -> list[str]:
    """What is wrong with the order of decisions on the asked workloads `names` (default: all of them); or nothing.

    Every one of them must be decided on exactly once, by priority as asked, then creation second, then UID
    (`gpuassay.systems.kueue.model.order`). Nothing that was asked for is wrong as well: no order can be told.

    Raises:
        Inconclusive: the order differs, and Kueue's log, which alone tells the order of decisions, is not there.
    """
    wanted = None if names is None else list(names)
    entries = queued(recording, wanted)
    kinds = {"Workload", "Job"}
    asked = sum(one["kind"] in kinds and (wanted is None or name_of(one) in wanted) for one in recording.asked)
    expected = heap_order(entries)
    seen = decisions(recording, {entry.name for entry in entries})
    found: list[str] = []
    if not asked or (wanted is not None and asked != len(wanted)):
        found.append(f"{asked} workloads were asked for, expected {'some' if wanted is None else len(wanted)}")
    if asked != len(entries):
        found.append(f"{asked} were asked for, {len(entries)} Workloads were seen")
    twice = sorted({name for name in seen if seen.count(name) > 1})
    if twice:
        found.append(f"decided on more than once: {', '.join(twice)}")
    never = sorted(set(expected) - set(seen))
    if never:
        found.append(f"never given quota: {', '.join(never[:20])} ({len(never)} of {len(expected)})")
        expected = [name for name in expected if name not in never]  # the others have an order all the same
    if not twice and seen != expected:
        if not recording.kueue_log:
            raise Inconclusive(
                "the order of Kueue's decisions stands in its log alone, which could not be read: statuses, which "
                "show another order than expected, are written side by side"
            )
        place = next(index for index, pair in enumerate(zip(seen, expected, strict=True)) if pair[0] != pair[1])
        by_name = {entry.name: entry for entry in entries}
        found.append(
            f"decision {place + 1} of {len(expected)}: expected {_described(by_name[expected[place]])}, "
            f"seen {_described(by_name[seen[place]])}; expected order {_short(expected)}, seen {_short(seen)}"
        )
    return found


def _described(entry: QueuedWorkload) -> str:
    return f"{entry.name} (priority {entry.priority}, created {entry.created}, UID {entry.uid})"


def _short(names: Sequence[str]) -> str:
    return " ".join(names[:30]) + (f" ... ({len(names)})" if len(names) > 30 else "")


def unwitnessed_findings(recording: KueueRecording) -> list[str]:
    """Decisions that the watch does not know: then what it lacks, an eviction say, need not have been lacking."""
    if not own_admissions(recording):
        return ["no decision was made on any workload"]
    histories = recording.timelines("Workload")
    return [
        f"Workload {one} got quota by the log, and the watch never showed it"
        for one in sorted({one.workload for one in own_admissions(recording)})
        if one not in histories or histories[one].when(lambda seen: is_true(seen, "QuotaReserved")) is None
    ]


def decided_before(recording: KueueRecording, at_ns: int) -> list[str]:
    """Names of Workloads that got quota before a moment, by the time of the decision."""
    return [one.workload for one in own_admissions(recording) if one.at_ns is not None and one.at_ns < at_ns]
