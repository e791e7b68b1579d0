"""What a node offers: slices by the device plugin's resources, or the devices that a DRA driver has published."""

from __future__ import annotations

from gpuassay.manifest import Manifest, dig
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.at_rest import static
from gpuassay.systems.slices.readings import SlicesRecording

_PREFIX = "nvidia.com/"


def offered(recording: SlicesRecording, at: int) -> dict[str, int]:
    """How many devices of each name the scenario's node offered at a moment (ns since the epoch)."""
    node = recording.note(notes.NODE)
    if static(recording):
        seen = [one.object for one in recording.of("Node") if one.name == node and one.at <= at]
        found: dict[str, str] = dig(seen[-1], "status", "allocatable", default={}) if seen else {}
        return {name: int(count) for name, count in found.items() if name.startswith(_PREFIX)}
    there: dict[str, Manifest] = {}
    for one in recording.of("ResourceSlice"):
        if one.at > at or dig(one.object, "spec", "nodeName") != node:
            continue
        there[one.uid] = one.object
        if one.type == "DELETED":
            del there[one.uid]
    return {device["name"]: 1 for one in there.values() for device in dig(one, "spec", "devices", default=[])}


def lost_findings(recording: SlicesRecording, before: int, after: int) -> list[str]:
    """What the node offered at one moment (ns) and does not offer, or offers less of, at a later one; a line each."""
    was, is_now = offered(recording, before), offered(recording, after)
    if not any(was.values()):
        return ["the node offered nothing before"]
    return [
        f"{name}: {count} were offered before, {is_now.get(name, 0)} afterwards"
        for name, count in sorted(was.items())
        if is_now.get(name, 0) < count
    ]
