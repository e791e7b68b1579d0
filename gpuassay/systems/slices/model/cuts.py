"""How GPUs are cut beforehand, from what a person writes: `all-balanced`, or the slices of a GPU by their profiles.

`all-balanced` is the geometry of that name in NVIDIA's MIG manager: two slices of one compute slice, one of two, one of
three (github.com/NVIDIA/gpu-operator, assets/state-mig-manager/0400_configmap.yaml).
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.gpus import GpuModel
from gpuassay.systems.slices.model.placement import Board, Place

BALANCED = "all-balanced"
NONE = "none"
"""A GPU without slices: its MIG mode is on, and what stands on it is for others to cut."""
_COMPUTE = (3, 2, 1, 1)

Cut = list[tuple[str, int]]
"""Slices of one GPU: profile and first memory slice."""


def cuts(words: Sequence[str], gpus: Sequence[GpuModel]) -> dict[int, Cut]:
    """Slices of each GPU, by index.

    Args:
        words: for the first GPU, the second ..; the last is of all further ones. Each is `all-balanced`, `none`, or
            profiles with commas, such as `3g.20gb,2g.10gb`.
        gpus: the GPUs.

    Raises:
        ValueError: a word means nothing, names a profile that its GPU has not, or more than fits; one line says which.
    """
    if not words or not gpus:
        return {}
    if len(words) > len(gpus):
        raise ValueError(f"{len(words)} geometries for {len(gpus)} GPUs: leave out the last {len(words) - len(gpus)}")
    padded = [*words, *[words[-1]] * (len(gpus) - len(words))]
    found = {index: _cut(word, model) for index, (word, model) in enumerate(zip(padded, gpus, strict=True))}
    return {index: cut for index, cut in found.items() if cut}


def _cut(word: str, model: GpuModel) -> Cut:
    if word == NONE:
        return []
    profiles = _balanced(model) if word == BALANCED else [one.strip() for one in word.split(",")]
    for profile in profiles:
        model.profile(profile)
    placed = _placed(Board([model]), profiles)
    if placed is None:
        raise ValueError(f"{word!r} does not fit on one {model.product}: leave out a slice")
    return [(one.profile, one.start) for one in sorted(placed, key=lambda place: place.start)]


def _balanced(model: GpuModel) -> list[str]:
    found: list[str] = []
    for compute in _COMPUTE:
        alike = [one for one in model.profiles if one.compute_slices == compute and "+" not in one.name]
        if not alike:
            raise ValueError(f"{model.product} has no {compute}g slice, so {BALANCED} says nothing: name profiles")
        found.append(min(alike, key=lambda one: one.memory_mib).name)
    return found


def _placed(board: Board, profiles: Sequence[str]) -> tuple[Place, ...] | None:
    """Places for all profiles at once, found by trying; None where there are none."""
    if not profiles:
        return tuple(board.places)
    for place in list(board.free_places(profiles[0])):
        board.put(place)
        if found := _placed(board, profiles[1:]):
            return found
        board.remove(place)
    return None
