"""A ledger of pods: whoever runs holds quota for as many pods, and quota is held by nobody who is gone.

Pods that are being deleted are left out: Kueue gives quota back as soon as it has asked them to go, a known defect that
`platform.kueue-slices.victims-quota` shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Event, Timeline
from gpuassay.systems.kueue.judge.counting import counting
from gpuassay.systems.kueue.judge.gates import gated
from gpuassay.systems.kueue.model.charge import Counting, amounts, charge, replaced
from gpuassay.systems.kueue.readings import KueueRecording

LAG_NS = 3_000_000_000
"""Pods may be seen running this long before their Workload is seen admitted: two watch streams, one busy machine."""

WORKLOAD = "kueue.x-k8s.io/workload"
GROUP = "kueue.x-k8s.io/pod-group-name"
TOTAL = "kueue.x-k8s.io/pod-group-total-count"
POD_SET = "kueue.x-k8s.io/podset"
MANAGED = "kueue.x-k8s.io/managed"
OWNERS = ("Job", "Pod", "JobSet", "StatefulSet", "LeaderWorkerSet")


def findings(recording: KueueRecording) -> list[str]:
    """Broken rules that a delay explains: pods that run, or wait, without what entitles them to."""
    found: list[str] = []
    pods = _pods_by_workload(recording)
    for uid, line in _by_uid(recording, "Workload").items():
        found += _beyond(recording, line, pods.get(uid, []))
    if recording.at_rest:
        found += _gates(recording, pods)
        found += _orphans(recording, pods)
    return list(dict.fromkeys(found))


def charge_findings(recording: KueueRecording) -> list[str]:
    """Pods that ask for something else than their Workload is charged for each of them; no delay explains that."""
    found: list[str] = []
    workloads = _by_uid(recording, "Workload")
    for uid, pods in _pods_by_workload(recording).items():
        how = counting(recording, workloads[uid].namespace)
        for pod in pods if how else ():
            opened = next((event for event in pod.events if not gated(event.object)), None)
            if opened is None or how is None:
                continue
            spec: Manifest = dig(opened.object, "spec", default={})
            workload = _as_of(workloads[uid], opened.at + LAG_NS)
            for assignment in dig(workload, "status", "admission", "podSetAssignments", default=[]):
                if assignment["name"] != dig(opened.object, "metadata", "labels", POD_SET):
                    continue
                count = int(assignment.get("count") or 0)
                each, unknown = charge(spec, how)
                if workload is not None and _renamed(each, workload, assignment["name"], how):
                    continue
                told = {
                    name: amount / count
                    for name, amount in amounts(assignment.get("resourceUsage")).items()
                    if count and amount and name != "pods" and name not in {*unknown, *replaced(spec, how)}
                }
                if count and told != each:
                    text = [
                        ", ".join(f"{float(n):g} {name}" for name, n in sorted(one.items())) for one in (each, told)
                    ]
                    found.append(
                        f"pod {pod.name} asks for {text[0] or 'nothing'}, Workload {workloads[uid].name} is charged"
                        f" {text[1] or 'nothing'} for each"
                    )
    return list(dict.fromkeys(found))


def _beyond(recording: KueueRecording, workload: Timeline, pods: list[Timeline]) -> Iterator[str]:
    """Pods that run although their Workload has quota for fewer, for longer than two watches may lie apart."""
    running: set[str] = set()
    entitled, since = 0, None
    events = sorted([*workload.events, *(event for pod in pods for event in pod.events)], key=lambda one: one.at)
    told: str | None = None
    for event in events:
        if since is not None and event.at - since > LAG_NS and told:
            yield told
            return
        if event.kind == "Pod":
            (running.add if _runs(event) else running.discard)(event.uid)
        else:
            entitled = 0 if event.type == "DELETED" else _entitled(event.object)
        if len(running) <= entitled:
            since = told = None
        else:
            since = event.at if since is None else since
            told = f"{len(running)} pods run of Workload {workload.name}, which holds quota for {entitled}"
    if told and since is not None and (recording.at_rest or recording.meta.ended_ns - since > LAG_NS):
        yield told


def _runs(event: Event) -> bool:
    pod = event.object
    return (
        event.type != "DELETED"
        and not gated(pod)
        and dig(pod, "status", "phase") not in {"Succeeded", "Failed"}
        and dig(pod, "metadata", "deletionTimestamp") is None
    )


def _entitled(workload: Manifest) -> int:
    """For how many unfinished pods a Workload holds quota."""
    if not is_true(workload, "QuotaReserved") or is_true(workload, "Finished"):
        return 0
    return sum(
        int(one.get("count") or 0) for one in dig(workload, "status", "admission", "podSetAssignments", default=[])
    )


def _gates(recording: KueueRecording, pods: dict[str, list[Timeline]]) -> Iterator[str]:
    """At rest a gated pod waits for a Workload that waits for quota, or for the rest of its group."""
    workloads = _by_uid(recording, "Workload")
    mine = {pod.uid: workloads[uid] for uid, some in pods.items() for pod in some if not workloads[uid].deleted}
    groups: dict[str, int] = {}
    living = [pod for pod in recording.timelines("Pod").values() if not pod.deleted]
    for pod in living:
        groups[_group(pod.final)] = groups.get(_group(pod.final), 0) + 1
    for pod in living:
        if not gated(pod.final) or dig(pod.final, "metadata", "deletionTimestamp") is not None:
            continue
        workload = mine.get(pod.uid)
        group = _group(pod.final)
        wanted = int(dig(pod.final, "metadata", "annotations", TOTAL, default="1"))
        if workload is None and (not group or groups[group] >= wanted):
            yield f"pod {pod.name} is still gated at rest and has no Workload"
        elif workload and is_true(workload.final, "Admitted") and not is_true(workload.final, "Evicted"):
            yield f"pod {pod.name} is still gated at rest although Workload {workload.name} is admitted"


def _orphans(recording: KueueRecording, pods: dict[str, list[Timeline]]) -> Iterator[str]:
    """At rest nobody holds quota whose owner, or all of whose pods, are gone or have ended."""
    owners = {line.uid: line for kind in OWNERS for line in recording.timelines(kind).values()}
    for uid, workload in _by_uid(recording, "Workload").items():
        if workload.deleted or not _entitled(workload.final):
            continue
        refs: list[Manifest] = dig(workload.final, "metadata", "ownerReferences", default=[])
        known = [owners[str(ref.get("uid", ""))] for ref in refs if str(ref.get("uid", "")) in owners]
        if not known or len(known) < len(refs):
            continue
        if all(_over(owner) for owner in known):
            names = ", ".join(f"{owner.kind} {owner.name}" for owner in known)
            yield f"Workload {workload.name} holds quota at rest although {names} ended or was deleted"
        elif not [pod for pod in pods.get(uid, []) if not _over(pod)] and known[0].kind == "Pod":
            yield f"Workload {workload.name} holds quota at rest without a pod"


def _over(owner: Timeline) -> bool:
    obj = owner.final
    ended = dig(obj, "status", "phase") in {"Succeeded", "Failed"} or is_true(obj, "Complete") or is_true(obj, "Failed")
    return owner.deleted or ended


def _pods_by_workload(recording: KueueRecording) -> dict[str, list[Timeline]]:
    """The pods of each Workload, by its UID: by Kueue's annotation, by group, by owner."""
    workloads = _by_uid(recording, "Workload")
    by_name: dict[tuple[str, str], list[str]] = {}
    by_owner: dict[str, list[str]] = {}
    for uid, line in workloads.items():
        by_name.setdefault((line.namespace, line.name), []).append(uid)
        for event in line.events:
            for ref in dig(event.object, "metadata", "ownerReferences", default=[]):
                mine = by_owner.setdefault(str(ref.get("uid", "")), [])
                if uid not in mine:
                    mine.append(uid)
    found: dict[str, list[Timeline]] = {}
    for pod in recording.timelines("Pod").values():
        owners = {str(one.get("uid", "")) for one in dig(pod.final, "metadata", "ownerReferences", default=[])}
        names = {_group(pod.final), str(dig(pod.final, "metadata", "annotations", WORKLOAD, default=""))}
        uids = [uid for name in names for uid in by_name.get((pod.namespace, name), [])]
        uids += [uid for owner in {pod.uid, *owners} for uid in by_owner.get(owner, [])]
        living = [uid for uid in uids if not workloads[uid].deleted] or uids
        if living:
            found.setdefault(living[-1], []).append(pod)
    return found


def _group(pod: Manifest) -> str:
    label = dig(pod, "metadata", "labels", GROUP) or dig(pod, "metadata", "annotations", GROUP)
    return str(label or "")


def _by_uid(recording: KueueRecording, kind: str) -> dict[str, Timeline]:
    return {line.uid: line for line in recording.timelines(kind).values()}


def _as_of(workload: Timeline, at: int) -> Manifest | None:
    """The Workload as it was reserved, as far as it was by `at`."""
    seen = [event.object for event in workload.events if event.at <= at and is_true(event.object, "QuotaReserved")]
    return seen[-1] if seen else None


def _renamed(asked: Mapping[str, Fraction], workload: Manifest, pod_set: str, how: Counting) -> bool:
    """Whether a pod asks by other names than its Workload: a webhook after Kueue has put one resource for another.

    DAS does so with slices. What such a pod costs cannot be told from the pod.
    """
    sets: list[Manifest] = dig(workload, "spec", "podSets", default=[])
    template = next((one for one in sets if one["name"] == pod_set), None)
    meant, _ = charge(dig(template or {}, "template", "spec", default={}), how)
    return bool(asked.keys() - meant.keys()) and bool(meant.keys() - asked.keys())
