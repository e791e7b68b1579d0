"""What a recording of a sliced node tells: changes of the silicon, pods while they ran, slices they were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gpuassay.gpus import MigProfile, gpu_model
from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, dig, epoch_second
from gpuassay.record.timeline import Timeline
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.geometry import (
    Change,
    Run,
    Slice,
    geometry_findings,
    grant_findings,
    sharing_findings,
    standing,
    vanished_findings,
)
from gpuassay.systems.slices.judge.told import (
    devices_of,
    from_outside,
    inventory_findings,
    told_changes,
    without_places,
)
from gpuassay.systems.slices.judge.words import WHOLE
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.systems.slices.rows import SiliconEvent

RESOURCE = "nvidia.com/mig-"
OF_DAS = "mig.das.com/"
MADE, DESTROYED = "gpu-instance-created", "gpu-instance-destroyed"
COMPUTE = "compute-instance-created"
REBOOT = "reboot"
"""Name of the event by which all slices go at once; also the mark of a scenario that reboots its node."""


def changes(recording: SlicesRecording) -> list[Change]:
    """Slices made and destroyed, in order; the UUID is that of the compute instance that stood on the GPU instance."""
    if from_outside(recording):
        return told_changes(recording, shapes(recording))
    rows = recording.silicon
    found: list[Change] = []
    for index, row in enumerate(rows):
        if row.kind in {MADE, DESTROYED}:
            found.append(Change(row.at, row.kind == MADE, _slice(rows, index)))
        elif row.name == REBOOT:
            found += [Change(row.at, made=False, slice=one) for one in standing(found)]
    return found


def _slice(rows: Sequence[SiliconEvent], index: int) -> Slice:
    row = rows[index]
    made = row.kind == MADE
    uuid = ""
    # forward from the making, backward from the destruction, never past another slice of that instance
    for other in rows[index + 1 :] if made else reversed(rows[:index]):
        if (other.node, other.gpu, other.gpu_instance) != (row.node, row.gpu, row.gpu_instance):
            continue
        if other.kind == COMPUTE:
            uuid = other.uuid
            break
        if other.kind in {MADE, DESTROYED}:
            break
    return Slice(f"{row.node}/{row.gpu}", row.name, row.start, row.size, uuid)


def shapes(recording: SlicesRecording) -> Mapping[str, MigProfile]:
    """The MIG profiles of the recording's GPUs, by name."""
    return {one.name: one for name in recording.note(notes.GPUS) for one in gpu_model(name).profiles}


def asked(pod: Manifest) -> dict[str, int]:
    """Slices of each profile that a pod's containers ask for (attributes with a plus sign, as NVIDIA writes them)."""
    wanted: Counter[str] = Counter()
    for container in dig(pod, "spec", "containers", default=[]):
        limits: Mapping[str, str] = dig(container, "resources", "limits", default={})
        for name, count in limits.items():
            if name.startswith((RESOURCE, OF_DAS)):
                profile = name.removeprefix(RESOURCE).removeprefix(OF_DAS)
                wanted[profile.replace("gb.", "gb+").replace("-plus-", "+")] += int(count)
            elif name == GPU:
                wanted[WHOLE] += int(count)
    return dict(wanted)


def wanted(recording: SlicesRecording, name: str) -> Manifest:
    """The pod as it was asked for, not what a broken system made of it."""
    asks = (one for one in recording.asked if one["kind"] == "Pod" and one["metadata"]["name"] == name)
    return next(asks, None) or recording.timelines("Pod")[name].first


def runs(recording: SlicesRecording) -> list[Run]:
    """Every pod that was seen running and said what it was given, while it ran."""
    held = recording.note(notes.HELD)
    found: list[Run] = []
    for name, history in recording.timelines("Pod").items():
        begun = history.when(lambda one: dig(one, "status", "phase") == "Running")
        if begun is None or name not in held:
            continue
        ended = _ended(history)
        if ended is None and history.deleted:
            ended = history.events[-1].at
        deleting = history.when(lambda one: dig(one, "metadata", "deletionTimestamp") is not None)
        rebooted = recording.marks.get(REBOOT)
        # a container that ends in the second in which it was seen running says the beginning of that second
        marks = [max(at, begun) for at in (ended, deleting, _finished(history.final)) if at is not None]
        marks += [rebooted] if rebooted is not None and rebooted > begun else []
        as_asked = wanted(recording, name)
        # init containers are over before the others begin: what they were given is told apart (`given`)
        uuids = tuple(uuid for one in _apps(as_asked) for uuid in held[name].get(one, ()))
        found.append(Run(name, begun, ended, min(marks, default=None), asked(as_asked), uuids))
    return found


def _apps(pod: Manifest) -> list[str]:
    return [one["name"] for one in dig(pod, "spec", "containers", default=[])]


def claimed_devices(claim: Manifest) -> list[str]:
    """Names of the devices that are allocated to a ResourceClaim, such as `gpu-0-mig-1g5gb-19-0`."""
    return devices_of(claim)


def given(recording: SlicesRecording, pod: str) -> dict[str, list[str]]:
    """UUIDs that each container of `pod` says it was given, init containers too; empty where it said nothing."""
    held = recording.note(notes.HELD)
    return {name: list(uuids) for name, uuids in held.get(pod, {}).items()}


def ran(recording: SlicesRecording) -> set[str]:
    """Names of the pods that were seen running."""
    seen = recording.timelines("Pod").items()
    return {name for name, history in seen if history.when(lambda one: dig(one, "status", "phase") == "Running")}


def seconds_to_run(recording: SlicesRecording, pod: str) -> float | None:
    """From the first sight of `pod` to the first of it running; None: it never ran."""
    history = recording.timelines("Pod")[pod]
    at = history.when(lambda one: dig(one, "status", "phase") == "Running")
    return None if at is None else (at - history.events[0].at) / 1e9


def unscheduled(recording: SlicesRecording, pod: str) -> list[tuple[str, str]]:
    """(reason, message) that the scheduler gave while `pod` waited, in order."""
    changes_ = recording.timelines("Pod")[pod].condition_changes()
    return [(one.reason, one.message) for one in changes_ if one.type == "PodScheduled" and one.status == "False"]


def _ended(history: Timeline) -> int | None:
    """When a pod was seen to have ended for good, ns since the epoch; a container that is started again has not.

    The kubelet gives the slice away when the containers have ended; the pod's phase says so up to seconds later.
    """
    over: int | None = None
    for event in history.events:
        over = (over or event.at) if _over(event.object) else None
    return over


def _over(pod: Manifest) -> bool:
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    ended = bool(statuses) and all(dig(one, "state", "terminated") is not None for one in statuses)
    return ended or dig(pod, "status", "phase") in {"Succeeded", "Failed"}


def _finished(pod: Manifest) -> int | None:
    """When the first of its containers ended, ns since the epoch; Kubernetes tells whole seconds."""
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    times = [dig(one, "state", "terminated", "finishedAt") for one in statuses]
    return min((epoch_second(one) * 1_000_000_000 for one in times if one), default=None)


def placing_findings(recording: SlicesRecording) -> list[str]:
    """Slices that the hardware does not allow, wherever it is told where they stand."""
    return [] if without_places(recording) else geometry_findings(changes(recording), shapes(recording))


def findings(recording: SlicesRecording) -> list[str]:
    """Every invariant that holds of all slices at all times, on one recording; none means that they all held.

    A recording without a pod that ran on a slice shows none of them.
    """
    told = any(one.held for one in runs(recording))
    return invariant_findings(recording) + ([] if told else ["no pod was told of a slice: nothing is judged"])


def invariant_findings(recording: SlicesRecording) -> list[str]:
    """The same of recordings in which pods need not say what they were given, as in measurements."""
    course, ran = changes(recording), runs(recording)
    return [
        *inventory_findings(recording),
        *placing_findings(recording),
        *sharing_findings(ran),
        *grant_findings(ran, course),
        *vanished_findings(ran, course),
    ]
