"""A restart changes nothing: what Kueue says and holds after it is what it said and held before.

Kueue keeps no state of its own, so a scenario that is at rest must look the same once Kueue has come up again. That
needs no model; times are left out, and counters, which begin anew. How many wait is recounted instead of compared.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

from gpuassay.manifest import Manifest, dig
from gpuassay.record.metrics import Samples
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.judge import recount
from gpuassay.systems.kueue.judge.counting import counting
from gpuassay.systems.kueue.judge.gates import gated
from gpuassay.systems.kueue.judge.rest import Rest
from gpuassay.systems.kueue.model.charge import charge
from gpuassay.systems.kueue.readings import END, RESTARTED, KueueRecording

_TIMES = {"lastTransitionTime", "observedGeneration", "lastUpdate", "requeueAt", "message", "pendingWorkloads"}
"""Fields of a status that are not compared: times, messages, whose lists have no order, and what is recounted."""

GAUGES = (
    "kueue_reserving_active_workloads",
    "kueue_admitted_active_workloads",
    "kueue_pending_workloads",
    "kueue_finished_workloads",
    "kueue_cluster_queue_status",
    "kueue_cluster_queue_resource_reservation",
    "kueue_cluster_queue_resource_pending",
    "kueue_cluster_queue_resource_usage",
    "kueue_cluster_queue_nominal_quota",
    "kueue_cluster_queue_borrowing_limit",
    "kueue_cluster_queue_lending_limit",
    "kueue_cluster_queue_info",
    "kueue_cohort_info",
    "kueue_cohort_subtree_quota",
    "kueue_cohort_subtree_resource_reservations",
    "kueue_cohort_subtree_admitted_active_workloads",
    "kueue_local_queue_reserving_active_workloads",
    "kueue_local_queue_admitted_active_workloads",
    "kueue_local_queue_pending_workloads",
    "kueue_local_queue_finished_workloads",
    "kueue_local_queue_resource_reservation",
    "kueue_local_queue_resource_usage",
    "kueue_local_queue_status",
)

_OF_WAITING = ("pending_workloads", "resource_pending")
"""Ends of the names of gauges of who waits."""


def findings(recording: KueueRecording) -> list[str]:
    """What a restart after the scenario changed, as sentences; none where Kueue was not restarted."""
    if not recording.note(notes.RESTARTED):
        return []
    before, after = _states(recording.timelines), _states(recording.with_restart.timelines)
    found = list(_changes(before, after))
    found += [f"{one}, after a restart of Kueue" for one in recount.findings(recording.with_restart)]
    labels = {row["label"] for row in recording.samples()}
    if {END, RESTARTED} <= labels:
        found += _moved(recording.metrics(END), recording.metrics(RESTARTED), _incomplete(Rest(recording)))
    return found


def _states(timelines: Any) -> dict[str, Any]:
    """What counts of every living object, by kind and name."""
    found: dict[str, Any] = {}
    for kind in ("Workload", "ClusterQueue", "LocalQueue", "Cohort", "Job", "Pod"):
        for name, line in timelines(kind).items():
            if not line.deleted:
                found[f"{kind} {name}"] = _state(kind, line.final)
    return found


def _state(kind: str, obj: Manifest) -> Any:
    if kind == "Job":
        return {"suspend": dig(obj, "spec", "suspend", default=False)}
    if kind == "Pod":
        return {"gated": gated(obj), "phase": dig(obj, "status", "phase")}
    return _plain({"active": dig(obj, "spec", "active", default=True), **dig(obj, "status", default={})})


def _plain(value: Any) -> Any:
    """Without times; lists of named or typed entries as mappings, so that their order does not count."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _plain(one) for key, one in entries.items() if key not in _TIMES and one not in (None, [], {})}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        keys = [str(dig(one, "type") or dig(one, "name") or "") for one in items]
        if all(keys) and len(set(keys)) == len(keys):
            return {key: _plain(one) for key, one in zip(keys, items, strict=True)}
        return [_plain(one) for one in items]
    return value


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for what in sorted({*before, *after}):
        if what not in after:
            yield f"a restart of Kueue removed {what}"
        elif what not in before:
            yield f"a restart of Kueue brought {what}"
        elif before[what] != after[what]:
            was, now = _apart(before[what], after[what])
            yield f"a restart of Kueue changed {what}: {_text(was)} became {_text(now)}"


def _apart(before: Any, after: Any) -> tuple[Any, Any]:
    """Of two mappings the entries that differ."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return cast("Any", before), after
    one, other = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
    if len(keys) == 1:
        was, now = _apart(one.get(keys[0]), other.get(keys[0]))
        return {keys[0]: was}, {keys[0]: now}
    return {key: one.get(key) for key in keys}, {key: other.get(key) for key in keys}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _incomplete(rest: Rest) -> dict[str, Fraction]:
    """How many Workloads wait for replacement pods, and what they ask for, by labels that may have counted them."""
    found: dict[str, Fraction] = defaultdict(Fraction)
    for queue in rest.cluster_queues:
        for one in rest.incomplete_in(queue):
            local, namespace = dig(one, "spec", "queueName"), dig(one, "metadata", "namespace")
            for labels in (f"cluster_queue={queue}", f"name={local}, namespace={namespace}"):
                found[labels] += 1
            if (how := counting(rest.recording, str(namespace))) is None:
                continue
            for pod_set in dig(one, "spec", "podSets", default=[]):
                each, _ = charge(dig(pod_set, "template", "spec", default={}), how)
                for resource, amount in each.items():
                    found[f"cluster_queue={queue}, resource={resource}"] += amount * int(pod_set.get("count", 1))
    return found


def _moved(before: Samples, after: Samples, incomplete: dict[str, Fraction]) -> Iterator[str]:
    for name in GAUGES:
        was, now = _values(before, name), _values(after, name)
        for key in sorted({*was, *now}):
            old, new = was.get(key, 0.0), now.get(key, 0.0)
            if old != new and not (math.isnan(old) and math.isnan(new)):
                strays = name.endswith(_OF_WAITING) and new < old <= new + incomplete.get(key, 0)
                why = ": the difference waits for replacement pods" if strays else ""
                yield f"a restart of Kueue moved {name}{{{key}}} from {old:g} to {new:g}{why}"


def _values(page: Samples, name: str) -> dict[str, float]:
    """Values by labels; whether a waiting Workload counts as active or inadmissible hangs on who was tried last."""
    found: dict[str, float] = defaultdict(float)
    for row in page.select(name):
        apart = {"replica_role"} | ({"status"} if name.endswith("pending_workloads") else set[str]())
        labels = {str(key): str(value) for key, value in row["labels"].items() if key not in apart}
        found[", ".join(f"{key}={value}" for key, value in sorted(labels.items()))] += float(row["value"])
    return found
