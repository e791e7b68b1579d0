"""Decides what is done about a component, before anything is: whose it is, and what would advertise a GPU twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Provided
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


def decide(provided: Provided, objects: Objects, *, reinstall: bool = False) -> Step:
    """What to do about a component that is wanted.

    Raises:
        ClusterError: it cannot be installed, or is somebody else's and is to be replaced.
    """
    there = found(provided, objects)
    if there is None:
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
        for name in sorted(one.excludes & set(known)):
            other = known[name]
            together = other in wanted
            there = None if together else found(other, objects)
            if together or there is not None:
                how = "both are asked for" if together else f"it is there ({there})"
                raise ClusterError(
                    f"{one.title} and {other.title} would offer the same GPUs twice, and {how}: choose one of them"
                )
