"""The course of a sliced node: which memory slices were taken, and which were free and of no use, over time.

A free memory slice is *unplaceable* when no waiting job's profile could stand on it now. On demand that follows from
what stands on the silicon; of slices cut beforehand, what was not cut and what nobody asks for is never of use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuassay.gpus import GpuModel
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.judge.observed import changes
from gpuassay.systems.slices.judge.performance import jobs, models, origin_ns, slots, stays
from gpuassay.systems.slices.model.placement import Board, Place
from gpuassay.systems.slices.readings import SlicesRecording

Slot = tuple[int, int]
"""GPU and memory slice."""


@dataclass(frozen=True)
class Moment:
    """From `at` (s since the first job was created) on: memory slices that were taken, and free ones of no use."""

    at: float
    taken: frozenset[Slot]
    unplaceable: frozenset[Slot]


@dataclass(frozen=True)
class Hold:
    """A job that had a place from `start` to `end` (s; None: it never ended)."""

    job: str
    place: Place
    start: float
    end: float | None


@dataclass(frozen=True)
class Span:
    """A memory slice that was in one state from `start` to `end` (s)."""

    slot: Slot
    start: float
    end: float


def every_slot(gpus: Sequence[GpuModel]) -> frozenset[Slot]:
    """All memory slices of the GPUs."""
    return frozenset((gpu, slot) for gpu, model in enumerate(gpus) for slot in range(model.memory_slices))


def taken_by(places: Iterable[Place], gpus: Sequence[GpuModel]) -> frozenset[Slot]:
    """The memory slices of all places."""
    return frozenset(slot for place in places for slot in slots(place, gpus))


def unplaceable(places: Sequence[Place], profiles: Iterable[str], gpus: Sequence[GpuModel]) -> frozenset[Slot]:
    """Free memory slices that no slice of `profiles` could cover while `places` stand."""
    board = Board(gpus, places)
    usable = (place for profile in profiles for place in board.free_places(profile))
    return every_slot(gpus) - taken_by(places, gpus) - taken_by(usable, gpus)


def course(recording: SlicesRecording) -> list[Moment]:
    """What was taken and what was of no use, at every change, in order."""
    if recording.note(notes.SLICER) == "dra":
        return _on_demand(recording)
    gpus, profiles = models(recording), {one.profile for one in jobs(recording)}
    cut = _cut(recording)
    useful = taken_by((one for one in cut if one.profile in profiles), gpus)
    useless = every_slot(gpus) - useful if cut else frozenset[Slot]()
    edges: list[tuple[float, int, Hold]] = []
    for one in holds(recording):
        edges.append((one.start, 1, one))
        if one.end is not None:
            edges.append((one.end, 0, one))
    found = [Moment(0.0, frozenset(), useless)]
    alive: dict[str, Place] = {}
    for at, begins, one in sorted(edges, key=lambda edge: edge[:2]):
        if begins:
            alive[one.job] = one.place
        else:
            alive.pop(one.job, None)
        found.append(Moment(at, taken_by(alive.values(), gpus), useless))
    return found


def holds(recording: SlicesRecording) -> list[Hold]:
    """Who had which slice that was cut beforehand, or which GPU, in the order in which pods began to run.

    The kubelet picks a free device some time after the binding, so a job has its device from its binding on or, where
    that is later, from the end of the job before it there.
    """
    gpus, found = models(recording), list[Hold]()
    for one in sorted(stays(recording), key=lambda stay: stay.running or 0.0):
        if one.place is None or one.scheduled is None or one.running is None:
            continue
        mine = slots(one.place, gpus)
        before = [hold.end for hold in found if hold.end is not None and slots(hold.place, gpus) & mine]
        start = max([one.scheduled, *(end for end in before if end <= one.running)])
        found.append(Hold(one.job.name, one.place, start, one.ended))
    return found


def _cut(recording: SlicesRecording) -> list[Place]:
    """Slices that were cut beforehand."""
    made = (one.slice for one in changes(recording) if one.made)
    return [Place(int(one.gpu.rpartition("/")[2]), one.start, one.profile) for one in made]


def _on_demand(recording: SlicesRecording) -> list[Moment]:
    gpus, profiles, origin = models(recording), {one.profile for one in jobs(recording)}, origin_ns(recording)
    places: list[Place] = []
    found = [Moment(0.0, frozenset(), unplaceable((), profiles, gpus))]
    for change in changes(recording):
        place = Place(int(change.slice.gpu.rpartition("/")[2]), change.slice.start, change.slice.profile)
        places = [*places, place] if change.made else [one for one in places if one != place]
        at = (change.at - origin) / 1e9
        found.append(Moment(at, taken_by(places, gpus), unplaceable(places, profiles, gpus)))
    return found


def spans(moments: Sequence[Moment], end: float) -> list[Span]:
    """Times for which each memory slice was free and of no use, up to `end`."""
    found: list[Span] = []
    since: dict[Slot, float] = {}
    for moment in moments:
        over = [one for one in since if one not in moment.unplaceable]
        found += [Span(slot, since.pop(slot), moment.at) for slot in over]
        for slot in moment.unplaceable:
            since.setdefault(slot, moment.at)
    found += [Span(slot, start, max(start, end)) for slot, start in since.items()]
    return sorted(found, key=lambda one: (one.slot, one.start))


def lost(moments: Sequence[Moment], start: float, end: float) -> float:
    """Mean number of unplaceable memory slices from `start` to `end` (s), weighted by time; 0 for no time."""
    total = 0.0
    for here, after in zip(moments, [*moments[1:], None], strict=True):
        until = end if after is None else min(end, after.at)
        total += len(here.unplaceable) * max(0.0, until - max(start, here.at))
    return total / (end - start) if end > start else 0.0


def slice_boxes(recording: SlicesRecording) -> list[tuple[Place, float, float | None, str]]:
    """(place, made, destroyed or None, job or "") of every slice made on demand, or cut beforehand; (s)."""
    origin = origin_ns(recording)
    open_: dict[Place, float] = {}
    found: list[tuple[Place, float, float | None, str]] = []
    for change in changes(recording):
        place = Place(int(change.slice.gpu.rpartition("/")[2]), change.slice.start, change.slice.profile)
        at = (change.at - origin) / 1e9
        if change.made:
            open_[place] = at
        elif place in open_:
            found.append((place, open_.pop(place), at, _owner(recording, place, at)))
    return found + [(place, at, None, _owner(recording, place, float("inf"))) for place, at in open_.items()]


def _owner(recording: SlicesRecording, place: Place, before: float) -> str:
    """The job that was bound to `place` last before a time (s); "" for none, and for slices cut beforehand."""
    if recording.note(notes.SLICER) != "dra":
        return ""
    bound = [one for one in stays(recording) if one.place == place and (one.scheduled or 0.0) < before]
    return max(bound, key=lambda one: one.scheduled or 0.0).job.name if bound else ""
