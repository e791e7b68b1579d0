"""The behaviours themselves, on whole clusters: what is decided on each, and what is left open."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from gpuassay import Inconclusive, Recording
from gpuassay.record.notes import Note
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.gpu_operator.judge.watch import LOOKS, look
from suites.gpu_operator import test_installed
from tests.operator_shapes.build import Node, Seen, cluster, policy
from tests.operator_shapes.changes import labelled
from tests.operator_shapes.sound import SOUND, TOUCHES

BEHAVIOURS = {name: getattr(test_installed, name) for name in dir(test_installed) if name.startswith("test_")}


class Recorded:
    """A recording of a cluster that stayed as it is."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def note(self, note: Note[Any]) -> object:
        """What the scenario noted."""
        return {OPERATOR.name: self.seen, LOOKS.name: [look(self.seen, at) for at in (0, 20)]}[note.name]


def _open(seen: Seen) -> set[str]:
    """Behaviours that decide nothing; none may be refuted."""
    found: set[str] = set()
    for name, test in BEHAVIOURS.items():
        try:
            test(cast("Recording", Recorded(seen)))
        except Inconclusive:
            found.add(name)
    return found


SETTLED, VERSIONS = "test_no_node_is_left_half_changed", "test_driver_and_runtime_versions_agree"
COUNTED = "test_the_capacity_is_what_labels_count"
ATTRIBUTED = "test_the_exporter_names_the_pods_that_hold_gpus"
"""No pod holds a GPU on these clusters."""
METRICS = {"test_the_exporter_tells_of_gpus", "test_the_exporter_tells_of_every_gpu_and_slice"}
OPEN: dict[str, set[str]] = {
    "a driver upgrade under way": {SETTLED},
    "a node waits for its turn to be upgraded": {SETTLED},
    "a node is being cut": {SETTLED},
    "a node came back, its driver starts": {SETTLED},
    "GPUCluster, drivers on the hosts": {VERSIONS, COUNTED},
    "GPUCluster with an NVIDIADriver": {VERSIONS, COUNTED},
    "beside DAS": {COUNTED},
    "beside NVIDIA's DRA driver": {COUNTED},
    "only hosts of virtual machines": {VERSIONS, COUNTED, *METRICS},
    "no node takes operands": {COUNTED, "test_every_operand_is_of_its_newest_revision", *METRICS},
}
"""What is left open on which sound cluster."""


@pytest.mark.parametrize("name", sorted(SOUND))
def test_on_a_sound_cluster_nothing_is_refuted_and_little_left_open(name: str) -> None:
    """Red when a behaviour is refuted or left open where it can be decided, or decided where it cannot."""
    seen = copy.deepcopy(SOUND[name].seen)
    TOUCHES.get(name, lambda _: None)(seen)
    assert _open(seen) - {ATTRIBUTED} == OPEN.get(name, set())


def test_where_every_node_is_changed_nodes_decide_nothing() -> None:
    """Red when "all of none" passes."""
    seen = cluster(Node())
    labelled(gpu_driver_upgrade_state="drain-required")(seen)
    about_others = ("policy", "revision", "stays_ready", "gpu_nodes", "runtime_classes", "offered_once")
    about_nodes = {name for name in BEHAVIOURS if not any(word in name for word in about_others)}
    assert _open(seen) == about_nodes


def test_an_exporter_that_was_not_asked_for_decides_nothing() -> None:
    """Red when a cluster without DCGM exporter is refuted for it, or passes."""
    deploy = tuple(one for one in Node().deploy if one != "dcgm-exporter")
    seen = cluster(Node(deploy=deploy), told=[policy(dcgmExporter={"enabled": False})])
    assert _open(seen) == METRICS | {ATTRIBUTED}
