"""Acts out a random walk over a floor of fake nodes (`objects.floor_walk`); what was done to nodes is noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gpuassay.manifest import Manifest
from gpuassay.systems.kueue import notes
from gpuassay.systems.kueue.acts import walk_work
from gpuassay.systems.kueue.acts.floor import HOST, Floor, Plan
from gpuassay.systems.kueue.acts.lab import KueueLab
from gpuassay.systems.kueue.acts.step_taker import StepTaker
from gpuassay.systems.kueue.acts.walks import REFUSED
from gpuassay.systems.kueue.judge.floor_walk import ASKED, FOREIGN, NODES, PLACES, Asked, Foreign, NodeState, Place
from gpuassay.systems.kueue.objects import queues as kueue
from gpuassay.systems.kueue.objects.floor_walk import EACH, PER_RACK, RACKS
from gpuassay.systems.kueue.objects.walks import Step, Walk
from gpuassay.workloads import core

QUEUE = "queue"
TAINT: Manifest = {"key": "gpuassay.io/walk", "value": "special", "effect": "NoSchedule"}
OPEN: Manifest = {"taints": None, "unschedulable": None}


@dataclass
class FloorWalker(StepTaker):
    """A walk over nodes."""

    _nodes: dict[str, Manifest] = field(default_factory=dict[str, Manifest])
    """Every node as it was at first."""
    _stems: dict[str, str] = field(default_factory=dict[str, str])
    """Rack and number of every node: its name of any site."""
    _states: dict[str, NodeState] = field(default_factory=dict[str, NodeState])
    _foreign: dict[str, Foreign] = field(default_factory=dict[str, Foreign])

    def set_up(self) -> None:
        """Nodes in racks, their Topology and flavor, and a queue with more quota than there are GPUs."""
        lab = self.lab
        self.floor: Floor = lab.floor(Plan(RACKS, per_rack=PER_RACK, each=EACH))
        for name, rack in self.floor.racks.items():
            number = sum(stem.startswith(f"{rack}.") for stem in self._stems.values())
            self._stems[name] = f"{rack}.{number}"
            self._nodes[name] = lab.api.get("Node", name) or {}
            lab.note_under(PLACES, name, Place(rack, self.floor.blocks[name], EACH))
            self._say(name, there=True, open=True)
        topology = lab.unique("floor")
        lab.create(kueue.topology(topology, [self.floor.block, self.floor.rack, HOST]))
        flavor = lab.flavor("racked", node_labels=self.floor.labels, topology=topology)
        group = kueue.resource_group({flavor: [kueue.quota(self.floor.resource, 1000)]})
        lab.local_queue(QUEUE, lab.cluster_queue(QUEUE, [group]))

    def go(self) -> None:
        """Take every step."""
        acts: Mapping[str, Callable[[Step], str]] = {
            "place": self._place, "cordon": lambda one: self._mark(one, closed=True, unschedulable=True),
            "uncordon": lambda one: self._mark(one, closed=False, **OPEN),
            "taint": lambda one: self._mark(one, closed=True, taints=[TAINT]),
            "untaint": lambda one: self._mark(one, closed=False, **OPEN),
            "drop": self._drop, "restore": self._restore,
            "foreign": self._strange, "foreign-gone": self._strange_gone,
        }  # fmt: skip

        def act(step: Step) -> str:
            return acts[step.act](step) if step.act in acts else walk_work.ACTS[step.act](self.lab, self.walk, step)

        self.take_steps(act, {"place", "foreign"})

    def rest(self) -> None:
        """End evictions until nobody is evicted any more."""
        self.end_evictions(within=2.5)

    def _say(self, node: str, *, there: bool, open: bool) -> None:
        self._states[node] = NodeState(time.time_ns(), node, there, open)
        self.lab.note_next(NODES, self._states[node])

    def _node(self, step: Step, which: Callable[[NodeState], bool]) -> str:
        """The node that the step names by its stem (rack and number), or the one that it picks."""
        if step.on:
            return next((name for name, stem in self._stems.items() if stem == step.on), step.on)
        found = [name for name in self._stems if which(self._states[name])]
        if not found:
            raise LookupError("no such node")
        return found[step.pick % len(found)]

    # -- acts

    def _place(self, step: Step) -> str:
        value: Mapping[str, Any] = step.value
        level = {"host": HOST, "rack": self.floor.rack, "block": self.floor.block}.get(value["level"], "")
        wish = {value["mode"]: level or True}
        asked = Asked(value["pods"], value["gpus"], value["mode"], value["level"])
        self.lab.note_under(ASKED, step.on, asked)
        pods = kueue.pod_set(count=asked.pods, requests={self.floor.resource: asked.gpus}, topologyRequest=wish)
        self.lab.create(kueue.workload(step.on, self.lab.namespace, QUEUE, [pods]))
        return step.on

    def _mark(self, step: Step, *, closed: bool, **spec: Any) -> str:
        name = self._node(step, lambda one: one.there and one.open == closed)
        self.lab.api.patch("Node", name, {"spec": spec})
        self._say(name, there=True, open=not closed)
        return self._stems[name]

    def _drop(self, step: Step) -> str:
        name = self._node(step, lambda one: one.there)
        self.lab.cluster.remove_nodes([name])
        self._say(name, there=False, open=False)
        return self._stems[name]

    def _restore(self, step: Step) -> str:
        name = self._node(step, lambda one: not one.there)
        was = self._nodes[name]
        metadata = {key: one for key, one in was["metadata"].items() if key in {"name", "labels"}}
        status = {key: was["status"][key] for key in ("capacity", "allocatable")}
        self.lab.api.create({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status})
        self._say(name, there=True, open=True)
        return self._stems[name]

    def _strange(self, step: Step) -> str:
        """A pod that nobody queued takes GPUs of a node."""
        used = {one.node for one in self._foreign.values() if one.until == 0}
        name = self._node(msgspec.structs.replace(step, on=""), lambda one: one.there and one.node not in used)
        pod = core.pod(
            f"{step.on}-foreign", self.lab.namespace, None, gpus=None, limits={self.floor.resource: step.value},
            nodeName=name,
        )  # fmt: skip
        self.lab.create(pod)
        self._foreign[f"{step.on}-foreign"] = Foreign(name, step.value, time.time_ns(), 0)
        self._note_foreign()
        return step.on

    def _strange_gone(self, step: Step) -> str:
        there = sorted(name for name, one in self._foreign.items() if one.until == 0)
        if not there:
            raise LookupError("no foreign pod")
        name = step.on if step.on in there else there[step.pick % len(there)]
        self.lab.delete("Pod", name)
        was = self._foreign[name]
        self._foreign[name] = Foreign(was.node, was.gpus, was.since, time.time_ns())
        self._note_foreign()
        return name

    def _note_foreign(self) -> None:
        self.lab.note(FOREIGN, [*self._foreign.values()])


def take(lab: KueueLab, walk: Walk) -> Walk:
    """Act a walk out; the walk as it was taken."""
    walker = FloorWalker(lab, walk)
    walker.set_up()
    walker.go()
    walker.rest()
    lab.note(notes.EDITED_IN_USE, True)
    lab.note(REFUSED, walker.refused)
    return walk.of(walker.taken)


def leave(lab: KueueLab) -> None:
    """Take the nodes of a walk away, once it is recorded."""
    lab.cluster.remove_nodes([*lab.noted(PLACES)])
