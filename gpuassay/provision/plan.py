"""Decides what is done about a component, before anything is: whose it is, and what would advertise a GPU twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Provided, Wish
from gpuassay.provision.install import found, refuse
from gpuassay.provision.objects import Objects
from gpuassay.provision.registry import components


@dataclass(frozen=True)
class Step:
    """What is done about one component.

    Attributes:
        words: for people.
        remove_first: ours is removed before.
        install: it is installed.
    """

    words: str
    remove_first: bool = False
    install: bool = False


def informed(wish: Wish, wanted: Sequence[Provided], objects: Objects) -> Wish:
    """The wish, with what there is beside the component: those that are wanted with it, and what the cluster has."""
    there = {one.name for one in components().values() if found(one, objects)}
    groups = frozenset(version.rpartition("/")[0] for version, _ in objects.kinds)
    return replace(wish, beside=frozenset(one.name for one in wanted) | there, groups=groups)


def decide(provided: Provided, objects: Objects, *, reinstall: bool = False, wanted: Sequence[Provided] = ()) -> Step:
    """What to do about a component that is wanted, as others are in the same go.

    Raises:
        ClusterError: it cannot be installed, or is somebody else's and is to be replaced.
    """
    there = found(provided, objects)
    if there is None:
        if provided.after.isdisjoint(one.name for one in wanted):
            refuse(provided, objects)
        return Step("will be installed", install=True)
    if not reinstall:
        return Step(f"used as it is, {there}")
    if not there.run:
        raise ClusterError(f"{provided.title} is {there}: what somebody else has installed is not replaced")
    return Step(f"will be installed anew, it is {there}", remove_first=True, install=True)


def refuse_doubled(wanted: Sequence[Provided], objects: Objects) -> None:
    """Raise ClusterError where two components would offer the same GPUs: each would hand them out behind the other."""
    known = components()
    for one in wanted:
        if one.excludes and found(one, objects):
            continue  # what is there stays as it is
        for name in sorted(one.excludes & set(known)):
            other = known[name]
            together = other in wanted
            there = None if together else found(other, objects)
            if together or there is not None:
                how = "both are asked for" if together else f"it is there ({there})"
                raise ClusterError(
                    f"{one.title} and {other.title} would offer the same GPUs twice, and {how}: choose one of them"
                )
