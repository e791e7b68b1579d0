"""What must hold of slices at rest: books, slices and CDI devices agree; nothing is left; nobody waits in vain.

`note_rest` notes what exists at a moment: slices of the silicon, allocations of the API's or the kubelet's books,
devices of the CDI files. Static slices (device plugin) stay as they are; slices on demand (DRA) come and go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from gpuassay.manifest import Manifest, dig
from gpuassay.record.timeline import Timeline
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.geometry import (
    Run,
    Slice,
    conservation_findings,
    free_starts,
    identity_findings,
    sharing_findings,
    standing,
)
from gpuassay.systems.slices.judge.observed import asked, changes, ran, runs, shapes, wanted
from gpuassay.systems.slices.judge.told import from_outside, without_places
from gpuassay.systems.slices.readings import SlicesRecording
from gpuassay.verdict import Inconclusive

NOBODY = "nobody"
"""In the books: the slice is allocated to no pod."""
BEGIN = "begin"
"""The note of what exists before the first pod."""


def static(recording: SlicesRecording) -> bool:
    """Whether slices exist all the time, and are only handed out."""
    return recording.note(notes.SLICER) == "device-plugin"


def _rest(recording: SlicesRecording, label: str) -> notes.Rest:
    return recording.note(notes.REST)[label]


def owners(recording: SlicesRecording, label: str) -> dict[str, str]:
    """Pod of each allocated slice, as the books said at `label`: claims of the API, or the kubelet's checkpoint."""
    return {one.uuid: one.pod for one in _booked(_rest(recording, label))}


def _booked(rest: notes.Rest) -> list[notes.Allocation]:
    """What the books say.

    Raises:
        Inconclusive: they cannot be read.
    """
    if rest.allocated is None:
        raise Inconclusive(
            "the kubelet does not tell in the pods' status what it gave them: it does from Kubernetes 1.36 on "
            "(feature gate ResourceHealthStatus)"
        )
    return rest.allocated


def books_findings(recording: SlicesRecording, label: str, slices: int) -> list[str]:
    """At `label`, `slices` are allocated, each once, and each allocation has a slice; on demand also the reverse.

    Of static slices those that nobody holds stay, so there only that each allocation has one, and that none is lost.
    """
    rest = _rest(recording, label)
    booked: list[str] = [one.uuid for one in _booked(rest)]
    there = [Slice("", "", 0, 0, uuid) for uuid in rest.slices]
    found = [] if len(booked) == slices else [f"{len(booked)} slices are allocated at {label!r}, expected {slices}"]
    if static(recording):
        found += _static_findings(recording, label)
        surplus = Counter(booked) - Counter(rest.slices)
        return found + [f"{uuid} is allocated, but not a slice or not once" for uuid in sorted(surplus.elements())]
    return found + conservation_findings(there, booked, rest.cdi)


def left_findings(recording: SlicesRecording, label: str = "end", *, fresh: bool = False) -> list[str]:
    """With all pods gone: slices on demand, claims and CDI devices are gone too; static slices are as at first.

    Where no pod ever ran there was nothing to leave, which is told as well.

    `fresh`: static slices were made anew meanwhile, so that they are others.
    """
    rest = _rest(recording, label)
    found = [f"pod {name} is still there" for name in rest.pods]
    if not ran(recording):
        found.append("no pod ever ran: that nothing is left of one proves nothing")
    if static(recording):
        return found if fresh else found + _static_findings(recording, label)
    found += [f"slice {uuid} is left" for uuid in rest.slices]
    found += [f"claim of {one.pod} is left" for one in rest.allocated or ()]
    return found + [f"CDI device {uuid} is left" for uuid in rest.cdi or ()]


def _static_findings(recording: SlicesRecording, label: str) -> list[str]:
    before: Counter[str] = Counter(_rest(recording, BEGIN).slices)
    after: Counter[str] = Counter(_rest(recording, label).slices)
    return [f"slice {uuid} is gone" for uuid in sorted((before - after).elements())] + [
        f"slice {uuid} has appeared" for uuid in sorted((after - before).elements())
    ]


def mixed_up_findings(recording: SlicesRecording, label: str) -> list[str]:
    """Containers that were given what the books at `label` say is another pod's, and pods that share a slice.

    So are pods that have a slice by the books and were told of none, and books that give nobody anything.
    """
    booked = owners(recording, label)
    owning = set(booked.values()) - {NOBODY}
    among = [one for one in runs(recording) if one.pod in owning]
    silent = sorted(owning - {one.pod for one in among if one.held})
    found = [f"pod {name} has a slice by the books, and its containers were told of none" for name in silent]
    if not owning:
        found.append(f"the books give no slice to any pod at {label!r}")
    return found + identity_findings(among, booked) + sharing_findings(runs(recording))


def idle_findings(recording: SlicesRecording, seconds: float) -> list[str]:
    """Pods of one slice each that waited for a node longer than `seconds` while there was a place for their slice.

    Without pods, or without a log of the silicon, nobody can tell who waited in vain.
    """
    course = changes(recording)
    pods = recording.timelines("Pod")
    if not course or not pods:
        return [f"{len(course)} changes of the silicon and {len(pods)} pods: who waited in vain cannot be told"]
    known = {one.slice.profile for one in course} if without_places(recording) else set(shapes(recording))
    moments = {change.at for change in course}
    for history in recording.timelines("Pod").values():
        moments |= {event.at for event in history.events}
    found: list[str] = []
    for name, history in recording.timelines("Pod").items():
        slices = asked(wanted(recording, name))
        if list(slices.values()) != [1] or (profile := next(iter(slices))) not in known:
            continue
        last = history.events[-1].at if history.deleted else recording.meta.ended_ns
        until = history.when(_bound) or last
        since, longest = None, 0
        cuts = sorted({at for at in moments if history.events[0].at <= at <= until} | {until})
        for begin, end in pairwise(cuts):
            since = (since or begin) if _room(recording, profile, begin) else None
            longest = max(longest, end - since if since else 0)
        if longest > seconds * 1e9:
            found.append(f"pod {name} waited {longest / 1e9:.1f} s although a {profile} was free")
    return found


def _bound(pod: Manifest) -> bool:
    return bool(dig(pod, "spec", "nodeName"))


def _room(recording: SlicesRecording, profile: str, at: int) -> bool:
    """Whether a slice of `profile` was free (static), or could have been made, at `at`."""
    there = standing(changes(recording), at)
    if static(recording):
        return sum(one.profile == profile for one in there) > _allocated(recording, profile, at)
    token = recording.token if from_outside(recording) else recording.silicon[0].node if recording.silicon else ""
    gpus = [f"{token}/{index}" for index in range(len(recording.note(notes.GPUS)))]
    return bool(free_starts(there, gpus, profile, shapes(recording)))


def _allocated(recording: SlicesRecording, profile: str, at: int) -> int:
    """Slices of `profile` that pods hold at `at`: those on a node that have not ended."""
    held = 0
    for history in recording.timelines("Pod").values():
        seen = history.as_of(at)
        if seen is not None and _bound(seen) and dig(seen, "status", "phase") not in {"Succeeded", "Failed"}:
            held += asked(seen).get(profile, 0)
    return held


def same_slices(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a container has the same slices as before, at least one."""
    return bool(before) and sorted(before) == sorted(after)


def surviving(recording: SlicesRecording, mark: str) -> list[Run]:
    """Pods that ran from before the moment `mark` until they were deleted, or to the end."""
    at, pods = recording.mark(mark), recording.timelines("Pod")
    there = [one for one in runs(recording) if one.begun < at and (one.ended is None or one.ended > at)]
    return [one for one in there if not _ended_early(pods[one.pod])]


def _ended_early(history: Timeline) -> bool:
    """Whether the pod came to an end before anybody deleted it."""
    ended = history.when(lambda one: dig(one, "status", "phase") in {"Succeeded", "Failed"})
    deleting = history.when(lambda one: dig(one, "metadata", "deletionTimestamp") is not None)
    return ended is not None and (deleting is None or ended < deleting)
