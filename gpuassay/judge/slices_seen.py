"""What a recording of a sliced node tells: changes of the silicon, pods while they ran, slices they were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gpuassay.judge.slices import (
    Change,
    Run,
    Slice,
    geometry_findings,
    grant_findings,
    sharing_findings,
    vanished_findings,
)
from gpuassay.manifest import Manifest, dig
from gpuassay.model.order import epoch_second
from gpuassay.model.placement_tables import MigProfile, gpu_model
from gpuassay.record.recording import Recording

RESOURCE = "nvidia.com/mig-"
MADE, DESTROYED = "gpu-instance-created", "gpu-instance-destroyed"
COMPUTE = "compute-instance-created"


def changes(recording: Recording) -> list[Change]:
    """Slices made and destroyed, in order; the UUID is that of the compute instance that stood on the GPU instance."""
    rows = recording.silicon
    found: list[Change] = []
    for index, row in enumerate(rows):
        if row["kind"] in {MADE, DESTROYED}:
            found.append(Change(row["at"], row["kind"] == MADE, _slice(rows, index)))
    return found


def _slice(rows: Sequence[Manifest], index: int) -> Slice:
    row = rows[index]
    made = row["kind"] == MADE
    uuid = ""
    # forward from the making, backward from the destruction, never past another slice of that instance
    for other in rows[index + 1 :] if made else reversed(rows[:index]):
        if (other["node"], other["gpu"], other["gpu_instance"]) != (row["node"], row["gpu"], row["gpu_instance"]):
            continue
        if other["kind"] == COMPUTE:
            uuid = other["uuid"]
            break
        if other["kind"] in {MADE, DESTROYED}:
            break
    return Slice(f"{row['node']}/{row['gpu']}", row["name"], row["start"], row["size"], uuid)


def shapes(recording: Recording) -> Mapping[str, MigProfile]:
    """The MIG profiles of the recording's GPUs, by name."""
    return {one.name: one for name in recording.notes["gpus"] for one in gpu_model(name).profiles}


def asked(pod: Manifest) -> dict[str, int]:
    """Slices of each profile that a pod's containers ask for (attributes with a plus sign, as NVIDIA writes them)."""
    wanted: Counter[str] = Counter()
    for container in dig(pod, "spec", "containers", default=[]):
        limits: Mapping[str, str] = dig(container, "resources", "limits", default={})
        for name, count in limits.items():
            if name.startswith(RESOURCE):
                wanted[name.removeprefix(RESOURCE).replace("gb.", "gb+")] += int(count)
    return dict(wanted)


def runs(recording: Recording) -> list[Run]:
    """Every pod that was seen running and said what it was given, while it ran."""
    held: Mapping[str, Mapping[str, Sequence[str]]] = recording.notes.get("held", {})
    found: list[Run] = []
    for name, history in recording.timelines("Pod").items():
        begun = history.when(lambda one: dig(one, "status", "phase") == "Running")
        if begun is None or name not in held:
            continue
        ended = history.when(_terminal)
        if ended is None and history.deleted:
            ended = history.events[-1].at
        deleting = history.when(lambda one: dig(one, "metadata", "deletionTimestamp") is not None)
        marks = [at for at in (ended, deleting, _finished(history.final)) if at is not None]
        # what was asked for, not what a broken system made of it
        asks = next((one for one in recording.asked if one["kind"] == "Pod" and one["metadata"]["name"] == name), None)
        uuids = tuple(uuid for given in held[name].values() for uuid in given)
        found.append(Run(name, begun, ended, min(marks, default=None), asked(asks or history.first), uuids))
    return found


def _terminal(pod: Manifest) -> bool:
    return dig(pod, "status", "phase") in {"Succeeded", "Failed"}


def _finished(pod: Manifest) -> int | None:
    """When the first of its containers ended, ns since the epoch; Kubernetes tells whole seconds."""
    statuses: list[Manifest] = dig(pod, "status", "containerStatuses", default=[])
    times = [dig(one, "state", "terminated", "finishedAt") for one in statuses]
    return min((epoch_second(one) * 1_000_000_000 for one in times if one), default=None)


def findings(recording: Recording) -> list[str]:
    """Every invariant that holds of all slices at all times, on one recording; none means that they all held."""
    course, ran = changes(recording), runs(recording)
    return [
        *geometry_findings(course, shapes(recording)),
        *sharing_findings(ran),
        *grant_findings(ran, course),
        *vanished_findings(ran, course),
    ]
