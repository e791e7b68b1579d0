"""Gangs: pods that start all together or not at all, whoever sees to that.

Proved as Kubernetes' AI conformance asks for gang scheduling: with room for one pod too few nothing of the gang is
bound, as many pods without a gang do start on equal room (so the room was what lacked), and with room for all of them
all start.
"""

from __future__ import annotations

import copy

from gpuassay.labels import GANG
from gpuassay.manifest import Manifest, dig
from gpuassay.record.recording import Recording
from gpuassay.record.timeline import Timeline


def member(gang: str, manifest: Manifest) -> Manifest:
    """The pod, or the object with a pod template, whose pods are members of `gang` for the judges."""
    made = copy.deepcopy(manifest)
    template = dig(made, "spec", "template")
    metadata: Manifest = (made if template is None else template).setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), GANG: gang}
    return made


def is_member(gang: str, pod: Manifest) -> bool:
    """Whether a pod was asked for as a member of `gang`."""
    return dig(pod, "metadata", "labels", GANG) == gang


def has_node(pod: Manifest) -> bool:
    """Whether a pod is bound."""
    return bool(dig(pod, "spec", "nodeName", default=""))


def members(recording: Recording, gang: str) -> list[Timeline]:
    """The histories of the pods of a gang."""
    return [one for one in recording.timelines("Pod").values() if is_member(gang, one.first)]


def bound(recording: Recording, gang: str, *, until: int | None = None) -> list[str]:
    """Names of the gang's pods that were seen with a node, by `until` (ns since the epoch) if that is given."""
    return sorted(
        one.name
        for one in members(recording, gang)
        if any(has_node(event.object) for event in one.events if until is None or event.at < until)
    )


def none_bound(recording: Recording, gang: str, *, until: int, there: int) -> list[str]:
    """What speaks against "no pod of the gang had a node before `until`" (ns), a line each.

    Args:
        recording: what was seen.
        gang: its name.
        until: when there was room for all.
        there: how many pods of the gang must have existed by then: of pods that never were, none is bound either.
    """
    seen = [one for one in members(recording, gang) if one.events[0].at < until]
    found = [] if len(seen) >= there else [f"{gang}: {there} pods were to wait, {len(seen)} did"]
    if early := bound(recording, gang, until=until):
        found.append(f"{gang}: started in part: {', '.join(early)} had a node before there was room for all")
    return found


def started_partly(recording: Recording, alone: str, *, until: int, room: int) -> list[str]:
    """What speaks against "of pods without a gang as many started before `until` as had room", a line each."""
    early = bound(recording, alone, until=until)
    return [] if len(early) == room else [f"{alone}: {room} pods without a gang had room, {len(early)} started"]


def all_bound(recording: Recording, gang: str, *, size: int) -> list[str]:
    """What speaks against "in the end each pod of the gang had a node", a line each."""
    placed = bound(recording, gang)
    return [] if len(placed) == size else [f"{gang}: {len(placed)} of {size} pods had a node in the end"]
