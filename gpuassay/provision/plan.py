"""Decides what is done about a component, before anything is: whose it is, and what would advertise a GPU twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpuassay.cluster.errors import ClusterError
from gpuassay.provision.component import Provided, Wish
from gpuassay.provision.install import found, refuse
from gpuassay.provision.objects import Objects
from gpuassay.provision.registry import components
from gpuassay.toolchain import Assets


@dataclass(frozen=True)
class Step:
    """What is done about one component.

    Attributes:
        words: for people.
        remove_first: ours is removed before.
        install: it is installed.
        upgrade: ours is taken to another version in its place.
    """

    words: str
    remove_first: bool = False
    install: bool = False
    upgrade: bool = False


@dataclass(frozen=True)
class Wanted:
    """One component that is asked for.

    Attributes:
        provided: the component.
        wish: how it is to be installed.
        reinstall: ours is installed anew.
        upgrade: ours is taken to another version in its place.
    """

    provided: Provided
    wish: Wish
    reinstall: bool = False
    upgrade: bool = False


def plan(wanted: Sequence[Wanted], objects: Objects, assets: Assets) -> list[tuple[Wanted, Step]]:
    """What to do about all that is asked for, each with a wish that knows of the others, in order.

    Raises:
        ClusterError: one of it cannot be had; nothing has been begun.
    """
    all_of_it = [one.provided for one in wanted]
    refuse_doubled(all_of_it, objects)
    found: list[tuple[Wanted, Step]] = []
    for one in wanted:
        step = decide(one.provided, objects, reinstall=one.reinstall, upgrade=one.upgrade, wanted=all_of_it)
        made = step.install or step.upgrade
        known = replace(one, wish=informed(one.wish, all_of_it, objects)) if made else one
        if made:
            known.provided.content(assets, known.wish)
        found.append((known, step))
    return found


def informed(wish: Wish, wanted: Sequence[Provided], objects: Objects) -> Wish:
    """The wish, with what there is beside the component: those that are wanted with it, and what the cluster has."""
    there = {one.name for one in components().values() if found(one, objects)}
    groups = frozenset(version.rpartition("/")[0] for version, _ in objects.kinds)
    return replace(wish, beside=frozenset(one.name for one in wanted) | there, groups=groups)


def decide(
    provided: Provided,
    objects: Objects,
    *,
    reinstall: bool = False,
    upgrade: bool = False,
    wanted: Sequence[Provided] = (),
) -> Step:
    """What to do about a component that is wanted, as others are in the same go.

    Raises:
        ClusterError: it cannot be installed, or is somebody else's and is to be replaced or upgraded.
    """
    there = found(provided, objects)
    if there is None:
        if provided.after.isdisjoint(one.name for one in wanted):
            refuse(provided, objects)
        return Step("will be installed", install=True)
    if not reinstall and not upgrade:
        return Step(f"used as it is, {there}")
    if not there.run:
        done = "upgraded" if upgrade else "replaced"
        raise ClusterError(f"{provided.title} is {there}: what somebody else has installed is not {done}")
    if upgrade:
        return Step(f"will be upgraded, it is {there}", upgrade=True)
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
