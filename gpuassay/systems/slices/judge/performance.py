"""What became of jobs on a sliced node: where each stood, from when to when; read from a recording.

Where a job stood is told by the slicer's own books: the device of its pod's ResourceClaim, or the UUID that its
container was given. The silicon's events tell when slices were made and destroyed. Times are receipt times of watch
events, in seconds since the first job's creation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from gpuassay.gpus import GpuModel, gpu_model
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.record.recording import Timeline
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.geometry import standing
from gpuassay.systems.slices.judge.observed import changes
from gpuassay.systems.slices.judge.told import position
from gpuassay.systems.slices.model.placement import Place
from gpuassay.systems.slices.model.slices import SliceJob
from gpuassay.systems.slices.readings import SlicesRecording

JOB_NAME = "batch.kubernetes.io/job-name"
WHOLE = "gpu"
"""Profile of the place of a job that has a whole GPU, as the twin calls it."""

_DEVICE = re.compile(r"gpu-(\d+)-mig-(\w+)-\d+-(\d+)")
"""Name that the DRA driver gives to a possible slice: GPU, profile, profile's id, first memory slice."""


@dataclass(frozen=True)
class Stay:
    """A job: where it stood and when what happened (s since the first creation); None: it never did.

    Attributes:
        job: as it was asked for.
        place: GPU, first memory slice and profile.
        created: its Job was first seen.
        scheduled: its pod was bound to the node.
        running: its pod was first seen Running.
        ended: its pod was first seen Succeeded or Failed.
        completed: its Job was first seen Complete.
    """

    job: SliceJob
    place: Place | None
    created: float
    scheduled: float | None
    running: float | None
    ended: float | None
    completed: float | None


def models(recording: SlicesRecording) -> list[GpuModel]:
    """The recording's GPUs."""
    return [gpu_model(name) for name in recording.note(notes.GPUS)]


def jobs(recording: SlicesRecording) -> list[SliceJob]:
    """The jobs as they were asked for, in order."""
    return recording.note(notes.JOBS)


def pods(recording: SlicesRecording) -> dict[str, Timeline]:
    """Histories of the jobs' pods, by job; of its last pod where it had several."""
    found = recording.timelines("Pod").values()
    return {str(dig(one.final, "metadata", "labels", JOB_NAME, default="")): one for one in found}


def origin_ns(recording: SlicesRecording) -> int:
    """When the first job was seen, ns since the epoch."""
    return min((one.events[0].at for one in recording.timelines("Job").values()), default=recording.meta.started_ns)


def running_at(recording: SlicesRecording, at: int) -> list[Stay]:
    """The jobs that ran at `at` (ns since the epoch)."""
    moment = (at - origin_ns(recording)) / 1e9
    return [
        one
        for one in stays(recording)
        if one.running is not None and one.running <= moment and (one.ended is None or one.ended > moment)
    ]


@cache
def stays(recording: SlicesRecording) -> tuple[Stay, ...]:
    """What became of every job, in the order in which they were asked for."""
    histories, of_jobs, where = pods(recording), recording.timelines("Job"), places(recording)
    origin = origin_ns(recording)

    def since(at: int | None) -> float | None:
        return None if at is None else (at - origin) / 1e9

    found: list[Stay] = []
    for job in jobs(recording):
        pod, made = histories.get(job.name), of_jobs.get(job.name)
        if made is None:
            continue
        found.append(
            Stay(
                job=job,
                place=where.get(job.name),
                created=(made.events[0].at - origin) / 1e9,
                scheduled=since(pod.when(_bound)) if pod else None,
                running=since(pod.when(_runs)) if pod else None,
                ended=since(pod.when(_over)) if pod else None,
                completed=since(made.when(_complete)),
            )
        )
    return tuple(found)


def _bound(pod: Manifest) -> bool:
    return bool(dig(pod, "spec", "nodeName", default=""))


def _runs(pod: Manifest) -> bool:
    return dig(pod, "status", "phase") == "Running"


def _over(pod: Manifest) -> bool:
    return dig(pod, "status", "phase") in {"Succeeded", "Failed"}


def _complete(job: Manifest) -> bool:
    return is_true(job, "Complete")


def places(recording: SlicesRecording) -> dict[str, Place]:
    """Where each job's pod stood, by job, as the slicer's books say; of jobs that had a device."""
    by_claim = _claimed(recording)
    by_uuid = _by_uuid(recording)
    held = recording.note(notes.HELD)
    found: dict[str, Place] = {}
    for job, history in pods(recording).items():
        name = str(dig(history.final, "metadata", "name", default=""))
        said = [by_uuid[uuid] for uuids in held.get(name, {}).values() for uuid in uuids if uuid in by_uuid]
        if name in by_claim:
            found[job] = by_claim[name]
        elif said:
            found[job] = said[0]
    return found


def _claimed(recording: SlicesRecording) -> dict[str, Place]:
    """By pod: the place that its ResourceClaim was allocated."""
    profiles = {_plain(one.name): one.name for model in models(recording) for one in model.profiles}
    found: dict[str, Place] = {}
    for history in recording.timelines("ResourceClaim").values():
        for event in history.events:
            results: list[Manifest] = dig(event.object, "status", "allocation", "devices", "results", default=[])
            users: list[Manifest] = dig(event.object, "status", "reservedFor", default=[])
            for user in users:
                for result in results:
                    named = _DEVICE.fullmatch(result["device"])
                    if named is not None and _plain(named[2]) in profiles:
                        gpu = position(recording, int(named[1]))
                        found[user["name"]] = Place(gpu, int(named[3]), profiles[_plain(named[2])])
    return found


def _plain(profile: str) -> str:
    """A profile's name as far as every spelling of it agrees."""
    return re.sub(r"[^0-9a-z]", "", profile)


def _by_uuid(recording: SlicesRecording) -> dict[str, Place]:
    """Every slice that was ever made, and every GPU, by UUID."""
    gpus = recording.note(notes.GPU_UUIDS)
    found = {uuid: Place(index, 0, WHOLE) for index, uuid in enumerate(gpus)}
    for change in changes(recording):
        one = change.slice
        if change.made and one.uuid:
            found[one.uuid] = Place(int(one.gpu.rpartition("/")[2]), one.start, one.profile)
    return found


def slots(place: Place, gpus: Sequence[GpuModel]) -> frozenset[tuple[int, int]]:
    """(GPU, memory slice) that a place takes: all of the GPU where it is whole."""
    model = gpus[place.gpu]
    size = model.memory_slices if place.profile == WHOLE else model.profile(place.profile).size
    return frozenset((place.gpu, slot) for slot in range(place.start, place.start + size))


def standing_places(recording: SlicesRecording, at: int) -> list[Place]:
    """Slices that stand on the silicon at `at` (ns since the epoch), whatever the books say."""
    return [Place(int(one.gpu.rpartition("/")[2]), one.start, one.profile) for one in standing(changes(recording), at)]


def at_once(found: Sequence[Stay]) -> int:
    """The most jobs that ran at the same time."""
    edges = [(one.running, 1) for one in found if one.running is not None]
    edges += [(one.ended, -1) for one in found if one.running is not None and one.ended is not None]
    level = most = 0
    for _, change in sorted(edges):
        level += change
        most = max(most, level)
    return most


def overlap_findings(found: Sequence[Stay], gpus: Sequence[GpuModel]) -> list[str]:
    """Jobs that ran at the same time on one memory slice, as sentences."""
    ran = [one for one in found if one.running is not None and one.place is not None]
    return [
        f"{one.job.name} and {other.job.name} ran at the same time on GPU {slot[0]}, memory slice {slot[1]}"
        for one, other in combinations(ran, 2)
        if one.place is not None and other.place is not None and _together(one, other)
        for slot in sorted(slots(one.place, gpus) & slots(other.place, gpus))[:1]
    ]


def _together(one: Stay, other: Stay) -> bool:
    first, second = sorted((one, other), key=lambda stay: stay.running or 0.0)
    return first.ended is None or (second.running or 0.0) < first.ended
