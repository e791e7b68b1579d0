"""Nodes in racks and blocks, for topology-aware scheduling: fake ones, or a cluster's own for the length of a run.

Each scenario's nodes offer its GPUs under a resource of their own, so that nobody else's pod can take a place on them,
and several scenarios may use one node. Of a cluster's own nodes nothing but labels and that resource is changed, as
Kubernetes documents it ("Advertise Extended Resources for a Node"); how that is undone is noted beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gpuassay.cluster.api import Api
from gpuassay.cluster.nodes import usable
from gpuassay.manifest import Manifest, dig, name_of
from gpuassay.provision import changes
from gpuassay.provision.changes import Change, Changed
from gpuassay.provision.objects import Objects, Ref
from gpuassay.scenarios.lab import Lab

HOST = "kubernetes.io/hostname"
RECORD = "floor-"
"""Beginning of the records of what was changed of nodes."""


@dataclass(frozen=True)
class Floor:
    """Nodes of a scenario.

    Attributes:
        racks: rack of each node.
        blocks: block of each node.
        labels: what only these nodes carry.
        rack: the label that tells a node's rack.
        block: the label that tells its block.
        resource: under which they offer GPUs.
        each: GPUs of each node.
    """

    racks: Mapping[str, str]
    blocks: Mapping[str, str]
    labels: Mapping[str, str]
    rack: str
    block: str
    resource: str
    each: int


@dataclass(frozen=True)
class Plan:
    """What a scenario wants.

    Attributes:
        racks: block of each rack.
        per_rack: nodes of each rack.
        each: GPUs of each node.
        folds: whether one node per rack with all of its GPUs does as well.
        first: of somebody's nodes, the number of the one to begin with, so that several plans spread over them.
    """

    racks: Mapping[str, str]
    per_rack: int = 2
    each: int = 4
    folds: bool = False
    first: int = 0

    def on(self, count: int) -> Plan:
        """The plan for so many nodes: the same, or folded."""
        if count >= len(self.racks) * self.per_rack or not self.folds:
            return self
        return Plan(self.racks, 1, self.each * self.per_rack)


def fake(lab: Lab, plan: Plan) -> Floor:
    """Fake nodes of the scenario's own."""
    floor = _empty(lab, plan.each)

    def fill(rack: str) -> list[str]:
        return lab.cluster.add_nodes(
            plan.per_rack, gpus=0, labels=_marks(floor, rack, plan.racks[rack]),
            allocatable={floor.resource: str(plan.each)}, prefix=lab.unique(rack),
        )  # fmt: skip

    with ThreadPoolExecutor(len(plan.racks)) as pool:
        filled = dict(zip(plan.racks, pool.map(fill, plan.racks), strict=True))
    return _filled(floor, plan, filled)


@dataclass(frozen=True)
class Own:
    """Nodes of somebody's cluster that may be put into racks.

    Attributes:
        names: of the nodes.
    """

    names: Sequence[str]

    def lay(self, lab: Lab, wanted: Plan) -> Floor:
        """Put as many of them as are needed into racks.

        Raises:
            ClusterError: there are too few, or they cannot be changed.
        """
        plan = wanted.on(len(self.names))
        turn = wanted.first % len(self.names)
        floor, left = _empty(lab, plan.each), iter([*self.names[turn:], *self.names[:turn]])
        filled = {rack: [next(left) for _ in range(plan.per_rack)] for rack in plan.racks}
        place = {node: rack for rack, nodes in filled.items() for node in nodes}
        back = {"metadata": {"labels": dict.fromkeys(_marks(floor, "", ""))}}
        gone = {"status": {key: {floor.resource: None} for key in ("capacity", "allocatable")}}
        refs = {node: Ref("v1", "Node", "", node) for node in place}
        undone = [one for ref in refs.values() for one in (Change(ref, gone, "status"), Change(ref, back))]
        changes.note(lab.api, Changed(f"{RECORD}{lab.token}", lab.run_id, undone))
        objects, offered = Objects(lab.api), {floor.resource: str(plan.each)}
        for node, rack in place.items():
            objects.patch(refs[node], {"metadata": {"labels": _marks(floor, rack, plan.racks[rack])}})
            objects.patch(refs[node], {"status": {"capacity": offered, "allocatable": offered}}, "status")
        return _filled(floor, plan, filled)


def suitable(nodes: Iterable[Manifest]) -> list[str]:
    """Nodes of a cluster that any pod may use, and whose host name is their name: by it Kueue tells them apart."""
    return [
        name_of(one) for one in nodes
        if usable(one) and not dig(one, "spec", "unschedulable", default=False)
        and not dig(one, "spec", "taints", default=[])
        and dig(one, "metadata", "labels", HOST, default="") == name_of(one)
    ]  # fmt: skip


def undo(api: Api, run: str) -> None:
    """Take everything off the nodes that the run has put there."""
    for one in changes.read_all(api):
        if one.run == run and one.component.startswith(RECORD):
            changes.undo(Objects(api), one)


def _empty(lab: Lab, each: int) -> Floor:
    mine = lab.token[-7:]
    return Floor(
        {}, {}, {f"gpuassay.io/floor-{mine}": "here"}, f"gpuassay.io/rack-{mine}", f"gpuassay.io/block-{mine}",
        f"gpuassay.io/racked-gpu-{mine}", each,
    )  # fmt: skip


def _marks(floor: Floor, rack: str, block: str) -> dict[str, str]:
    return {**floor.labels, floor.rack: rack, floor.block: block}


def _filled(floor: Floor, plan: Plan, filled: Mapping[str, Sequence[str]]) -> Floor:
    racks = {node: rack for rack, nodes in filled.items() for node in nodes}
    blocks = {node: plan.racks[rack] for node, rack in racks.items()}
    return Floor(racks, blocks, floor.labels, floor.rack, floor.block, floor.resource, plan.each)
