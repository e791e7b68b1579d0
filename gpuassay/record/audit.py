"""Checks a recording against the API server's audit log: did the watch show every change?

What may differ (measured on a real control plane): a patch or update that changes nothing is audited with code 200 but
makes no new version and no event; a pod made by a controller is audited at level Metadata with a generated name, so
the line names no object. Everything else that is audited must have been seen, and nothing unaudited may be seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from gpuassay.manifest import Manifest, dig
from gpuassay.record.recording import Recording
from gpuassay.record.timeline import Timeline

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
NO_OP_VERBS = frozenset({"update", "patch"})
EDGE_NS = 1_000_000_000
"""Writes this close to the end may be audited before their event was received."""

_KINDS = {
    "pods": "Pod",
    "jobs": "Job",
    "workloads": "Workload",
    "clusterqueues": "ClusterQueue",
    "localqueues": "LocalQueue",
    "cohorts": "Cohort",
    "resourceflavors": "ResourceFlavor",
    "admissionchecks": "AdmissionCheck",
    "topologies": "Topology",
    "workloadpriorityclasses": "WorkloadPriorityClass",
}

_Key = tuple[str, str, str]
"""(kind, namespace, name)."""


def audit_findings(recording: Recording) -> list[str]:
    """Sentences about what does not fit; [] for a recording without loss.

    Kinds of which the audit log has no line at all are left out: the audit policy does not cover them. An empty audit
    log is a finding of its own, because nothing was checked.
    """
    findings = [
        f"{gap.get('kind')}: the recorder may have missed changes between versions {gap.get('from')} and "
        f"{gap.get('to')}: {gap.get('reason')}"
        for gap in recording.gaps
    ]
    writes = [line for line in recording.audit if _is_write(line) and _inside(recording, line)]
    if not writes:
        return [*findings, "the audit log has no write in the scenario's time: nothing could be checked"]
    by_object: dict[_Key, list[Manifest]] = defaultdict(list)
    nameless: Counter[tuple[str, str]] = Counter()
    collections: set[tuple[str, str]] = set()
    for line in writes:
        kind, namespace, name = _key(line)
        if line["verb"] == "deletecollection":
            collections.add((kind, namespace))
        elif name:
            by_object[kind, namespace, name].append(line)
        else:
            nameless[kind, namespace] += 1
    covered = {kind for kind, _, _ in by_object} | {kind for kind, _ in nameless}
    for kind in sorted(covered):
        findings += _compare(recording, kind, by_object, nameless, collections)
    return findings


def _compare(
    recording: Recording,
    kind: str,
    by_object: dict[_Key, list[Manifest]],
    nameless: Counter[tuple[str, str]],
    collections: set[tuple[str, str]],
) -> list[str]:
    findings: list[str] = []
    histories: dict[_Key, list[Timeline]] = defaultdict(list)
    for history in recording.timelines(kind).values():
        histories[kind, history.namespace, history.name].append(history)
    for key, same_name in histories.items():
        inside = [event for one in same_name for event in one.events if _in_window(recording, event.at)]
        lines = by_object.get(key, [])
        # One create of a generated name, and one delete by collection, name no object: one of each may be ours.
        created = sum(event.type == "ADDED" for event in inside)
        creates = [line for line in lines if line["verb"] == "create" and not dig(line, "objectRef", "subresource")]
        if len(creates) - created > _near_end(recording, creates):
            findings.append(f"{_name(key)}: {len(creates)} audited creates but {created} seen")
        unnamed = min(max(0, created - len(creates)), nameless[kind, key[1]])
        nameless[kind, key[1]] -= unnamed
        swept = sum(event.type == "DELETED" for event in inside) if (kind, key[1]) in collections else 0
        surplus = len(lines) + unnamed + swept - len(inside)
        if surplus < 0:
            findings.append(f"{_name(key)}: {len(inside)} events but {len(lines) + unnamed} audited writes")
        # Writes at the very end may lie before the window's end although their event came after it; a write that
        # may be a no-op explains one surplus line.
        excused = sum(_may_be_no_op(line) for line in lines) + swept
        if surplus > excused + _near_end(recording, lines):
            findings.append(f"{_name(key)}: {surplus} audited writes without an event, {excused} of them explained")
    findings += [
        f"{_name(key)}: {len(lines)} audited writes but no event at all"
        for key, lines in sorted(by_object.items())
        if key[0] == kind and key not in histories and len(lines) > _near_end(recording, lines)
    ]
    return findings


def _is_write(line: Manifest) -> bool:
    """Whether the line is a write of a recorded kind that the server carried out."""
    code = int(dig(line, "responseStatus", "code", default=0))
    return (
        line.get("verb") in WRITES
        and line.get("stage", "ResponseComplete") == "ResponseComplete"
        and 200 <= code < 300
        and dig(line, "objectRef", "resource") in _KINDS
        and dig(line, "objectRef", "subresource") != "eviction"
        and "dryRun=" not in str(line.get("requestURI", ""))
    )


def _may_be_no_op(line: Manifest) -> bool:
    """Update and patch may change nothing; a delete may only mark an object that has finalizers, or repeat that."""
    return (line["verb"] in NO_OP_VERBS and dig(line, "responseStatus", "code") == 200) or line["verb"] == "delete"


def _key(line: Manifest) -> _Key:
    ref = line["objectRef"]
    return _KINDS[ref["resource"]], str(ref.get("namespace", "")), str(ref.get("name", ""))


def _time(line: Manifest) -> int:
    # The time of receipt: it is before the event in every case, the time of the response is not.
    text = str(line.get("requestReceivedTimestamp") or line.get("stageTimestamp") or "")
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e6) * 1000
    except ValueError:
        return 0


def _in_window(recording: Recording, at: int) -> bool:
    return recording.meta.started_ns <= at and (not recording.meta.ended_ns or at <= recording.meta.ended_ns)


def _inside(recording: Recording, line: Manifest) -> bool:
    return _in_window(recording, _time(line))


def _near_end(recording: Recording, lines: Iterable[Manifest]) -> int:
    end = recording.meta.ended_ns
    return sum(_time(line) > end - EDGE_NS for line in lines) if end else 0


def _name(key: _Key) -> str:
    kind, namespace, name = key
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
