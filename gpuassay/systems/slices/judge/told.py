"""What is known of the slices of somebody's node, where no silicon of ours tells: by the API and by containers.

Slices that were cut beforehand are known by an inventory: at the beginning containers were given all that was free, and
told their UUIDs. Slices on demand are known by the claims of the API; which UUID a claim's device has is told by the
container that uses it, and believed only where GPU and profile are those that the claim says.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpuassay.gpus import MigProfile
from gpuassay.labels import GPU
from gpuassay.manifest import Manifest, dig
from gpuassay.record.timeline import Timeline
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.geometry import Change, Slice
from gpuassay.systems.slices.judge.words import WHOLE

if TYPE_CHECKING:
    from gpuassay.systems.slices.readings import SlicesRecording

PREFIX = "nvidia.com/mig-"
WHOLE_RESOURCE = GPU
DEVICE = re.compile(r"gpu-(\d+)-mig-([\w-]+?)-\d+-(\d+)")
"""Name that the DRA driver gives to a possible slice: number of the GPU, profile, profile's id, first memory slice."""


def resource(profile: str) -> str:
    """The extended resource of a profile, or of whole GPUs; attributes follow a dot instead of a plus sign."""
    return WHOLE_RESOURCE if profile == WHOLE else f"{PREFIX}{profile.replace('+', '.')}"


def from_outside(recording: SlicesRecording) -> bool:
    """Whether the slices are somebody's: their silicon keeps no record for us."""
    return recording.note(notes.INVENTORY) is not None


def without_places(recording: SlicesRecording) -> bool:
    """Whether nobody tells where on their GPUs the slices stand."""
    return from_outside(recording) and recording.note(notes.SLICER) == "device-plugin"


def stands_for(recording: SlicesRecording, profile: str) -> str:
    """The profile that the node has in place of one of the scenario's."""
    return recording.note(notes.STANDS_FOR).get(profile, profile)


def inventory_findings(recording: SlicesRecording) -> list[str]:
    """Slices that were handed out twice while all were, and witnesses of one container that contradict each other."""
    slots = recording.note(notes.INVENTORY) or []
    found = [f"{uuid} was given {count} times at once" for uuid, count in _times(slots) if count > 1]
    return found + list(recording.note(notes.CONTRADICTIONS))


def _times(slots: Iterable[notes.Slot]) -> list[tuple[str, int]]:
    return sorted(Counter(one.uuid for one in slots).items())


def told_changes(recording: SlicesRecording, shapes: Mapping[str, MigProfile]) -> list[Change]:
    """Slices as they came and went by what is told, in order; of an inventory they were there from the beginning."""
    slots = recording.note(notes.INVENTORY) or []
    if without_places(recording):
        began = recording.meta.started_ns
        known = {one.uuid: one.profile for one in slots}
        return [
            Change(began, True, Slice(f"{recording.token}/{number}", profile, 0, 0, uuid))
            for number, (uuid, profile) in enumerate(known.items())
        ]  # each as if it were alone on a GPU: nobody tells where it stands
    return _claimed(recording, shapes)


def owner_of(claim: Manifest) -> str:
    """The pod that a claim was made for or is reserved for, "" where it is nobody's."""
    owners = [one["name"] for one in dig(claim, "metadata", "ownerReferences", default=[]) if one["kind"] == "Pod"]
    users = [one["name"] for one in dig(claim, "status", "reservedFor", default=[])]
    return str((owners or users or [""])[0])


def devices_of(claim: Manifest) -> list[str]:
    """Names of the devices that are allocated to a claim."""
    results: list[Manifest] = dig(claim, "status", "allocation", "devices", "results", default=[])
    return [one["device"] for one in results]


def linked(devices: Sequence[str], grants: Iterable[notes.Grant], gpus: Mapping[int, str]) -> dict[str, str]:
    """UUID by device of a pod's claims: of what the pod says it was given, what is of that GPU and profile.

    "" for a device of which the pod was given nothing.

    Args:
        devices: names that the driver gave them.
        grants: what the pod's containers say.
        gpus: UUID by the number in the names.
    """
    left: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in sorted(grants, key=lambda grant: grant.uuid):
        left[one.gpu, plain(one.profile)].append(one.uuid)
    found: dict[str, str] = {}
    for device in devices:
        parts = DEVICE.fullmatch(device)
        there = left[gpus.get(int(parts[1]), ""), plain(parts[2])] if parts else []
        found[device] = there.pop(0) if there else ""
    return found


def plain(profile: str) -> str:
    """A profile's name as far as every spelling of it agrees."""
    return re.sub(r"[^0-9a-z]", "", profile)


def numbered(recording: SlicesRecording) -> dict[int, str]:
    """UUIDs of the GPUs that the scenario had, by the number that the driver gives them."""
    uuids = recording.note(notes.GPU_UUIDS)
    return dict(zip(recording.note(notes.NUMBERS) or range(len(uuids)), uuids, strict=True))


def position(recording: SlicesRecording, number: int) -> int:
    """Index among the scenario's GPUs of the one that the driver gives a number; the number itself for others."""
    numbers = recording.note(notes.NUMBERS)
    return numbers.index(number) if number in numbers else number


def _claimed(recording: SlicesRecording, shapes: Mapping[str, MigProfile]) -> list[Change]:
    gpus, names = numbered(recording), {plain(one): one for one in shapes}
    histories = list(recording.timelines("ResourceClaim").values())
    uuids: dict[tuple[str, str], str] = {}
    for pod in {owner_of(one.final) or owner_of(one.first) for one in histories}:
        mine = [one for one in histories if (owner_of(one.final) or owner_of(one.first)) == pod]
        devices = list(
            dict.fromkeys(device for one in mine for event in one.events for device in devices_of(event.object))
        )
        given = [grant for ones in recording.note(notes.GRANTS).get(pod, {}).values() for grant in ones]
        uuids |= {(pod, device): uuid for device, uuid in linked(devices, given, gpus).items()}
    found: list[Change] = []
    for one in histories:
        found += _course(recording, one, uuids, shapes, names)
    return sorted(found, key=lambda change: (change.at, change.made))


def _course(
    recording: SlicesRecording,
    history: Timeline,
    uuids: Mapping[tuple[str, str], str],
    shapes: Mapping[str, MigProfile],
    names: Mapping[str, str],
) -> list[Change]:
    """What one claim holds over time."""
    pod = owner_of(history.final) or owner_of(history.first)
    held: dict[str, Slice] = {}
    found: list[Change] = []
    for event in history.events:
        now = [] if event.type == "DELETED" else devices_of(event.object)
        for device in [one for one in held if one not in now]:
            found += [Change(event.at, False, held.pop(device))]
        for device in [one for one in now if one not in held]:
            parts = DEVICE.fullmatch(device)
            if parts is None:
                continue
            profile = names.get(plain(parts[2]), parts[2])
            shape, gpu = shapes.get(profile), position(recording, int(parts[1]))
            held[device] = Slice(
                f"{recording.token}/{gpu}",
                profile,
                int(parts[3]),
                shape.size if shape else 0,
                uuids.get((pod, device), ""),
            )
            found.append(Change(event.at, True, held[device]))
    return found
