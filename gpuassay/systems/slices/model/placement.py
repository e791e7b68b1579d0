"""The placement oracle: where slices may stand on GPUs, and where a first-fit slicer puts them.

A GPU has memory slices; a MIG profile takes some of them and may begin only at certain ones (`placement_tables`). A
set of slices is legal if each begins where it may, none overlap, and none is there more often than its profile
allows. First fit, as DAS and the DRA scheduler do it: the first GPU, and on it the first start in the table's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuassay.gpus import GpuModel


@dataclass(frozen=True, order=True)
class Place:
    """A slice: index of the GPU, first memory slice, profile."""

    gpu: int
    start: int
    profile: str


def findings(places: Iterable[Place], gpus: Sequence[GpuModel]) -> list[str]:
    """What is illegal about slices that exist at the same time; none means that the hardware allows them."""
    found: list[str] = []
    standing: dict[int, list[Place]] = {}
    for place in places:
        if not 0 <= place.gpu < len(gpus):
            found.append(f"{place}: there is no such GPU")
            continue
        others = standing.setdefault(place.gpu, [])
        found += _illegal(place, others, gpus[place.gpu])
        others.append(place)
    return found


def _illegal(place: Place, others: Sequence[Place], model: GpuModel) -> list[str]:
    try:
        profile = model.profile(place.profile)
    except ValueError as error:
        return [f"{place}: {error}"]
    found: list[str] = []
    if place.start not in profile.starts:
        found.append(f"{place}: {place.profile} may begin at {', '.join(map(str, profile.starts))}")
    if sum(other.profile == place.profile for other in others) >= profile.most:
        found.append(f"{place}: the GPU already holds {profile.most} of {place.profile}")
    mine = _window(place, model)
    return found + [f"{place} overlaps {other}" for other in others if mine & _window(other, model)]


def _window(place: Place, model: GpuModel) -> int:
    """The memory slices of a place as bits; a profile that the GPU has not takes none."""
    size = next((profile.size for profile in model.profiles if profile.name == place.profile), 0)
    return ((1 << size) - 1) << place.start


class Board:
    """GPUs with the slices that stand on them now."""

    def __init__(self, gpus: Sequence[GpuModel], places: Iterable[Place] = ()) -> None:
        """Begin with `places`, which must be legal.

        Raises:
            ValueError: they are not; the message says the first reason.
        """
        self.gpus = tuple(gpus)
        self._standing: list[list[Place]] = [[] for _ in self.gpus]
        for place in places:
            self.put(place)

    @property
    def places(self) -> list[Place]:
        """All slices, by GPU and start."""
        return sorted(place for places in self._standing for place in places)

    def put(self, place: Place) -> None:
        """Make the slice at `place`.

        Raises:
            ValueError: the hardware would refuse it.
        """
        if not 0 <= place.gpu < len(self.gpus):
            raise ValueError(f"{place}: there is no such GPU")
        wrong = _illegal(place, self._standing[place.gpu], self.gpus[place.gpu])
        if wrong:
            raise ValueError(wrong[0])
        self._standing[place.gpu].append(place)

    def remove(self, place: Place) -> None:
        """Destroy the slice at `place`.

        Raises:
            ValueError: there is none.
        """
        if place not in self._standing[place.gpu]:
            raise ValueError(f"{place}: there is no such slice")
        self._standing[place.gpu].remove(place)

    def free_places(self, profile: str) -> list[Place]:
        """Where a slice of `profile` could stand now, in first-fit order; on GPUs that have the profile."""
        return list(self._free(profile))

    def _free(self, profile: str) -> Iterator[Place]:
        for gpu, model in enumerate(self.gpus):
            for one in model.profiles:
                if one.name == profile:
                    places = (Place(gpu, start, profile) for start in one.starts)
                    yield from (place for place in places if not _illegal(place, self._standing[gpu], model))

    def first_fit(self, profile: str) -> Place | None:
        """Make a slice of `profile` where first fit puts it; None if it fits nowhere."""
        place = next(self._free(profile), None)
        if place is not None:
            self._standing[place.gpu].append(place)
        return place

    def free_slots(self) -> int:
        """Memory slices that no slice takes."""
        taken = sum(self.gpus[p.gpu].profile(p.profile).size for places in self._standing for p in places)
        return sum(model.memory_slices for model in self.gpus) - taken

    def unplaceable_slots(self, profiles: Iterable[str]) -> int:
        """Fragmentation: free memory slices that no slice of any of `profiles` could cover now."""
        usable = [0] * len(self.gpus)
        for profile in profiles:
            for place in self.free_places(profile):
                usable[place.gpu] |= _window(place, self.gpus[place.gpu])
        return self.free_slots() - sum(mask.bit_count() for mask in usable)


def first_fit(profiles: Iterable[str], gpus: Sequence[GpuModel]) -> list[Place | None]:
    """Where first fit puts `profiles`, asked for one after the other and kept; None: it fits nowhere.

    Raises:
        ValueError: a profile that none of the GPUs has.
    """
    board, found = Board(gpus), list[Place | None]()
    known = {profile.name for model in board.gpus for profile in model.profiles}
    for profile in profiles:
        if profile not in known:
            raise ValueError(f"none of the GPUs has a MIG profile {profile!r}; they have {', '.join(sorted(known))}")
        found.append(board.first_fit(profile))
    return found
