"""What GPU nodes of somebody's cluster have free, and one of them for one scenario at a time.

A scenario takes all that is free on a node: what it is not written for is held by pods of ours meanwhile. So what a
node has is looked at without the pods of this run, and no two scenarios use one node at a time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gpuassay import labels
from gpuassay.cluster.errors import NotFromOutside
from gpuassay.manifest import Manifest, dig, is_true
from gpuassay.systems.slices.judge.told import PREFIX, WHOLE_RESOURCE, resource
from gpuassay.systems.slices.model.stand_in import WHOLE, stand_in
from gpuassay.waiting import wait

if TYPE_CHECKING:
    from gpuassay.cluster.api import Api

T = TypeVar("T")

TURN_SECONDS = 3600.0
"""How long a scenario may wait for its turn on a node: as long as all others may take."""
SHARED = ("time-slicing", "mps")
"""Values of GPU feature discovery's label of what is given to several pods at once."""

_taken: set[tuple[str, str]] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Supply:
    """A node for one scenario.

    Attributes:
        node: its name.
        free: what is free there, by profile; `gpu` of whole GPUs.
        names: profile of the node by that of the scenario.
        wanted: how many of each of the node's profiles the scenario is to find free.
    """

    node: str
    free: Mapping[str, int]
    names: Mapping[str, str]
    wanted: Mapping[str, int]

    @property
    def surplus(self) -> dict[str, int]:
        """What has to be held meanwhile, by profile."""
        return {
            one: count - self.wanted.get(one, 0) for one, count in self.free.items() if count > self.wanted.get(one, 0)
        }


def profile_of(name: str) -> str | None:
    """The profile of a resource of the device plugin, `gpu` of whole GPUs; None of other resources."""
    if name == WHOLE_RESOURCE:
        return WHOLE
    return name.removeprefix(PREFIX).replace("gb.", "gb+") if name.startswith(PREFIX) else None


def usable(api: Api) -> list[Manifest]:
    """Nodes that are Ready and take pods."""
    return [one for one in api.list("Node") if is_true(one, "Ready") and not dig(one, "spec", "unschedulable")]


def free_on(node: Manifest, pods: Sequence[Manifest], run: str) -> dict[str, int]:
    """What a node offers of the device plugin's resources and nobody but `run` uses, by profile.

    Args:
        node: the node.
        pods: all of the cluster's.
        run: id of our run, whose pods count as gone.
    """
    marks: dict[str, str] = dig(node, "metadata", "labels", default={})
    if marks.get("nvidia.com/gpu.sharing-strategy") in SHARED:
        return {}
    there: dict[str, str] = dig(node, "status", "allocatable", default={})
    offered = Counter({profile: int(count) for name, count in there.items() if (profile := profile_of(name))})
    for pod in pods:
        mine = dig(pod, "metadata", "labels", labels.RUN, default="") == run
        over = dig(pod, "status", "phase") in {"Succeeded", "Failed"}
        if not mine and not over and dig(pod, "spec", "nodeName", default="") == node["metadata"]["name"]:
            offered.subtract(_asked(pod))
    return {profile: count for profile, count in offered.items() if count > 0}


def _asked(pod: Manifest) -> Counter[str]:
    found: Counter[str] = Counter()
    for container in dig(pod, "spec", "containers", default=[]):
        for name, count in dig(container, "resources", "limits", default={}).items():
            if profile := profile_of(name):
                found[profile] += int(count)
    return found


def supplies(api: Api, run: str, wanted: Mapping[str, int]) -> list[Supply]:
    """Nodes that have enough free, whoever of this run uses them now.

    Raises:
        NotFromOutside: there is none; the message says what the best one lacks.
    """
    nodes, pods = usable(api), api.list("Pod")
    found: list[Supply] = []
    seen: dict[str, dict[str, int]] = {}
    for node in nodes:
        free = free_on(node, pods, run)
        names = stand_in(wanted, free)
        seen[node["metadata"]["name"]] = free
        if names is not None and free:
            counts: Counter[str] = Counter()
            for profile, count in wanted.items():
                counts[names[profile]] += count
            found.append(Supply(node["metadata"]["name"], free, names, counts))
    if not found:
        told = "; ".join(f"{name} has {_counted(free)}" for name, free in seen.items() if free)
        raise NotFromOutside(
            f"no node has {_counted(wanted)} free, or as many other slices or GPUs that are not shared: "
            f"{told or 'no node offers any'}"
        )
    return found


def _counted(slices: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {resource(profile)}" for profile, count in sorted(slices.items()))


@contextmanager
def turn(cluster: str, look: Callable[[], Sequence[T]], name_of: Callable[[T], str]) -> Generator[T]:
    """One of the nodes that `look` finds, for the length of a `with` block, as soon as no other scenario uses it.

    Raises:
        NotFromOutside: as `look`.
        gpuassay.waiting.WaitTimeout: it is never this scenario's turn.
    """

    def take() -> T | None:
        for one in look():
            key = (cluster, name_of(one))
            with _lock:
                if key not in _taken:
                    _taken.add(key)
                    return one
        return None

    found = wait(take, lambda one: one is not None, what="a GPU node that is free", timeout=TURN_SECONDS, delay=1.0)
    assert found is not None
    try:
        yield found
    finally:
        with _lock:
            _taken.discard((cluster, name_of(found)))
