"""What scenarios of Kubernetes' own gangs act with: rooms of so many GPUs, groups, and pods of one or of none."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from gpuassay.gangs import has_node, is_member, member
from gpuassay.manifest import condition
from gpuassay.scenarios.lab import Lab
from gpuassay.systems.kubernetes.versions import PodGroups, pod_groups
from gpuassay.workloads import core

ROOM = "gpuassay.io/room"
"""Label of the nodes on which the pods of one gang, and no others, may run."""


class GangLab(Lab):
    """A scenario's lab on a cluster whose scheduler heeds PodGroups."""

    @cached_property
    def native(self) -> PodGroups:
        """What this Kubernetes calls things."""
        found = pod_groups(self.cluster.api.version["gitVersion"])
        if found is None:
            raise RuntimeError("this scenario needs a known API for groups of pods: declare needs={'pod-groups'}")
        return found

    def add_room(self, room: str, gpus: int) -> None:
        """Add `gpus` nodes of one GPU each for the pods of `room`."""
        mine = {ROOM: self.unique(room)}
        self.cluster.add_nodes(gpus, gpus=1, labels=mine, prefix=self.unique(room))

    def group(self, name: str, min_count: int) -> None:
        """Create a PodGroup of which at least `min_count` pods start together."""
        self.create({
            "apiVersion": self.native.group_version, "kind": "PodGroup",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"schedulingPolicy": {"gang": {"minCount": min_count}}},
        })  # fmt: skip

    def pods(self, gang: str, numbers: Iterable[int], *, room: str | None = None, alone: bool = False) -> None:
        """Create pods of one GPU for a room (that of their gang's name by default); `alone`: of no PodGroup."""
        for number in numbers:
            more: dict[str, Any] = {} if alone else {"schedulingGroup": {"podGroupName": gang}}
            pod = core.pod(
                f"{gang}-{number}", self.namespace, None, nodeSelector={ROOM: self.unique(room or gang)}, **more
            )
            self.create(member(gang, pod))

    def placed(self, gang: str) -> int:
        """How many pods of a gang have a node now."""
        return sum(is_member(gang, pod) and has_node(pod) for pod in self.objects("Pod"))

    def told(self, group: str, status: str) -> bool:
        """Whether the PodGroup says "True" or "False" of having been placed."""
        found = self.get("PodGroup", group)
        said = condition(found, self.native.scheduled) if found else None
        return said is not None and said["status"] == status

    def marker(self) -> bool:
        """Give the scheduler a pod that comes after all others, and a node with room for it, and see it placed."""
        self.add_room("marker", 1)
        self.pods("marker", [0], alone=True)
        return self.observe(lambda: self.placed("marker") == 1, "the scheduler works on")
