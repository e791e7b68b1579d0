"""The best that slices can be placed: exact searches that a first-fit slicer is measured against.

A GPU counts only by how many slices of each wanted profile it holds. The vectors that are possible on one GPU are
found by trying all legal sets; those of several GPUs by adding them up, keeping what is not worse in every profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

from gpuassay.gpus import GpuModel
from gpuassay.systems.slices.model.placement import Board, Place

Counts = tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """A best placement: how many slices stand at once, and how many of each profile."""

    total: int
    counts: Mapping[str, int]


def maximal_geometries(model: GpuModel, profiles: Iterable[str]) -> dict[Counts, tuple[Place, ...]]:
    """What one GPU can hold of `profiles` so that no vector is worse than another in every profile.

    Vector of counts, in the order of `profiles`, to one geometry that has it (places on GPU 0).
    """
    wanted = tuple(profiles)
    tries = [Place(0, start, name) for name in wanted for start in model.profile(name).starts]
    found: dict[Counts, tuple[Place, ...]] = {}

    def extend(board: Board, at: int) -> None:
        counts = tuple(sum(place.profile == name for place in board.places) for name in wanted)
        found.setdefault(counts, tuple(board.places))
        for index in range(at, len(tries)):
            try:
                board.put(tries[index])
            except ValueError:
                continue
            extend(board, index + 1)
            board.remove(tries[index])

    extend(Board([model]), 0)
    return {counts: found[counts] for counts in _undominated(found)}


def _undominated(vectors: Iterable[Counts]) -> list[Counts]:
    kept: list[Counts] = []
    for vector in sorted(set(vectors), reverse=True):
        if not any(all(a >= b for a, b in zip(other, vector, strict=True)) for other in kept):
            kept.append(vector)
    return kept


@cache
def _cached(model: GpuModel, profiles: tuple[str, ...]) -> tuple[Counts, ...]:
    return tuple(maximal_geometries(model, profiles))


def optimum(wanted: Mapping[str, int], gpus: Sequence[GpuModel]) -> Fit:
    """The most of `wanted` (profile to number) that can stand at once on `gpus`: exact.

    Raises:
        ValueError: a GPU that lacks one of the profiles.
    """
    profiles = tuple(sorted(wanted))
    reached: list[Counts] = [(0,) * len(profiles)]
    for model in gpus:
        sums = {
            tuple(min(a + b, wanted[name]) for a, b, name in zip(have, more, profiles, strict=True))
            for have in reached
            for more in _cached(model, profiles)
        }
        reached = _undominated(sums)
    best = max(reached, key=lambda vector: (sum(vector), vector))
    return Fit(sum(best), dict(zip(profiles, best, strict=True)))


def static_geometries(profiles: Iterable[str], model: GpuModel, gpus: int) -> list[tuple[tuple[Place, ...], ...]]:
    """Every way to cut `gpus` equal GPUs once and for all: of each GPU its places, as on GPU 0.

    Only geometries to which nothing of `profiles` can be added, and one for each combination of counts.
    """
    one = list(maximal_geometries(model, profiles).values())
    return [tuple(chosen) for chosen in combinations_with_replacement(one, gpus)]
