"""What must hold of GPU slices at every moment of a recording, whoever makes them.

A slice is a GPU instance with its compute instance on it. Three witnesses tell of it: the silicon (what was made and
destroyed), the API (which pod ran when, and what it had asked for) and the container itself (which slices it was
given). Each function compares two of them and returns findings as sentences; none means that the invariant held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, Protocol


class Shape(Protocol):
    """Where a MIG profile may stand on a GPU (NVIDIA MIG user guide, "Supported MIG Profiles")."""

    @property
    def size(self) -> int:
        """Memory slices that it takes."""
        ...

    @property
    def starts(self) -> tuple[int, ...]:
        """Memory slices at which it may begin."""
        ...

    @property
    def most(self) -> int:
        """Instances of it that a GPU may hold."""
        ...


class Slice(NamedTuple):
    """A slice as the silicon has it.

    Attributes:
        gpu: node and index of the GPU, such as `node-a/0`.
        profile: such as `1g.5gb`.
        start: first memory slice.
        size: memory slices.
        uuid: of the MIG device, `MIG-...`; empty while it has no compute instance.
    """

    gpu: str
    profile: str
    start: int
    size: int
    uuid: str


class Change(NamedTuple):
    """A slice was made (`made`) or destroyed at `at`, ns since the epoch."""

    at: int
    made: bool
    slice: Slice


@dataclass(frozen=True)
class Run:
    """A pod while it ran.

    Attributes:
        pod: its name.
        begun: ns since the epoch at which it was seen running.
        ended: ns at which it was seen to have ended, or to be gone; None while it runs.
        ending: ns from which on its containers may have ended: it was being deleted, or they say so; None before.
        asked: slices of each profile that its containers asked for.
        held: UUIDs that its containers were given, as they said themselves.
    """

    pod: str
    begun: int
    ended: int | None
    ending: int | None
    asked: Mapping[str, int]
    held: tuple[str, ...]

    def overlaps(self, other: Run) -> bool:
        """Whether both ran at the same time."""
        return (self.ended is None or other.begun < self.ended) and (other.ended is None or self.begun < other.ended)


def standing(changes: Iterable[Change], at: int | None = None) -> list[Slice]:
    """The slices that exist after all changes, or after those up to `at` (ns since the epoch)."""
    alive: dict[tuple[str, int, str], Slice] = {}
    for change in changes:
        if at is not None and change.at > at:
            break
        key = (change.slice.gpu, change.slice.start, change.slice.profile)
        if change.made:
            alive[key] = change.slice
        else:
            alive.pop(key, None)
    return list(alive.values())


def geometry_findings(changes: Sequence[Change], shapes: Mapping[str, Shape]) -> list[str]:
    """Slices that the hardware does not allow, at every change: unknown, misplaced, overlapping, too many."""
    found: list[str] = []
    alive: list[Slice] = []
    for change in changes:
        new = change.slice
        if not change.made:
            if not any(_same_place(new, one) for one in alive):
                found.append(f"{_where(new)} was destroyed, but none stood there")
            alive = [one for one in alive if not _same_place(new, one)]
            continue
        shape = shapes.get(new.profile)
        if shape is None:
            found.append(f"{_where(new)}: there is no such profile")
        elif new.start not in shape.starts or new.size != shape.size:
            found.append(f"{_where(new)} of size {new.size}: expected size {shape.size} at one of {shape.starts}")
        elif sum(one.gpu == new.gpu and one.profile == new.profile for one in alive) >= shape.most:
            found.append(f"{_where(new)}: the GPU already held its {shape.most} of this profile")
        found += [
            f"{_where(new)} overlaps {_where(one)}"
            for one in alive
            if one.gpu == new.gpu and one.start < new.start + new.size and new.start < one.start + one.size
        ]
        alive.append(new)
    return found


def sharing_findings(runs: Sequence[Run]) -> list[str]:
    """Slices that two running pods were given at the same time."""
    return [
        f"pods {one.pod} and {other.pod} ran at the same time on {uuid}"
        for one, other in combinations(runs, 2)
        if one.overlaps(other)
        for uuid in sorted(set(one.held) & set(other.held))
    ]


def identity_findings(runs: Sequence[Run], owners: Mapping[str, str]) -> list[str]:
    """Pods that were given what belongs to another; `owners` names the pod of each UUID, as the slicer's claims say."""
    return [
        f"pod {run.pod} was given {uuid}, which {_owner(owners.get(uuid))}"
        for run in runs
        for uuid in run.held
        if owners.get(uuid) != run.pod
    ]


def grant_findings(runs: Sequence[Run], changes: Sequence[Change]) -> list[str]:
    """Pods that ran with other slices than they had asked for, or with slices that did not exist."""
    found: list[str] = []
    for run in runs:
        there = {one.uuid: one.profile for one in standing(changes, run.begun)}
        ghosts = [uuid for uuid in run.held if uuid not in there]
        found += [f"pod {run.pod} ran on {uuid}, which did not exist then" for uuid in ghosts]
        given = Counter(there[uuid] for uuid in run.held if uuid in there)
        if not ghosts and given != Counter(run.asked):
            found.append(f"pod {run.pod} asked for {_counted(run.asked)} and was given {_counted(given)}")
    return found


def vanished_findings(runs: Sequence[Run], changes: Sequence[Change]) -> list[str]:
    """Slices that were destroyed while the pod that held them still ran."""
    gone = {change.slice.uuid: change.at for change in changes if not change.made and change.slice.uuid}
    return [
        f"pod {run.pod} lost {uuid} while it ran"
        for run in runs
        for uuid in run.held
        if uuid in gone and run.begun < gone[uuid] and (run.ending is None or gone[uuid] < run.ending)
    ]


def conservation_findings(
    slices: Sequence[Slice], claims: Iterable[str], devices: Iterable[str] | None = None
) -> list[str]:
    """At rest every slice is claimed once and no claim is without a slice; with `devices`, the same of CDI devices.

    Args:
        slices: those that exist.
        claims: the UUIDs that claims in use name, one for each claim.
        devices: the UUIDs of the CDI devices on the node; None where the slicer uses no CDI.
    """
    there = Counter(one.uuid for one in slices)
    found = _differences("slice", there, "claim", Counter(claims))
    if devices is not None:
        found += _differences("slice", there, "CDI device", Counter(devices))
    return found


def free_starts(slices: Iterable[Slice], gpus: Iterable[str], profile: str, shapes: Mapping[str, Shape]) -> list[str]:
    """Where a slice of `profile` could be made now, as `gpu:start`."""
    taken: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        taken[one.gpu].append(one)
    shape = shapes[profile]
    return [
        f"{gpu}:{start}"
        for gpu in gpus
        if sum(one.profile == profile for one in taken[gpu]) < shape.most
        for start in shape.starts
        if not any(one.start < start + shape.size and start < one.start + one.size for one in taken[gpu])
    ]


def _same_place(one: Slice, other: Slice) -> bool:
    return (one.gpu, one.start, one.profile) == (other.gpu, other.start, other.profile)


def _where(one: Slice) -> str:
    return f"{one.profile} at {one.gpu}:{one.start}"


def _owner(pod: str | None) -> str:
    return f"is {pod}'s" if pod else "nobody claims"


def _counted(slices: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {profile}" for profile, count in sorted(slices.items())) or "nothing"


def _differences(one: str, left: Counter[str], other: str, right: Counter[str]) -> list[str]:
    return [f"{one} {uuid} has no {other}" for uuid in sorted((left - right).elements())] + [
        f"{other} {uuid} has no {one}" for uuid in sorted((right - left).elements())
    ]
