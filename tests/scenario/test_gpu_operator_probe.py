"""Pods that ask somebody's GPU Operator for slices: what they ask for, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.acts.probe import probe
from gpuassay.systems.gpu_operator.judge import (
    probes,
)
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.operator_shapes.build import SEVENTHS, cluster
from tests.operator_shapes.parts import CONFIGS, cut
from tests.scenario.gpu_operator_stubs import StubApi, StubLab

PLUGIN = "nvidia-device-plugin-daemonset"


class ProbeLab(StubLab):
    """A cluster whose pods run at once, and say what a node that is cut shows them."""

    def __init__(self, phase: str, mutant: str | None = None) -> None:
        super().__init__(cast("StubApi", self), mutant)
        self.phase, self.marks, self.made = phase, {"gpuassay.io/run": "r"}, list[Manifest]()

    def pages(self, path: str) -> list[Manifest]:
        """The device plugin's DaemonSet."""
        assert path == "/apis/apps/v1/daemonsets"
        return [operators.daemonset(PLUGIN)]

    def create(self, pod: Manifest) -> None:
        """A pod is made."""
        self.made.append(pod)

    def raw(self, path: str) -> str:
        """What a pod has said."""
        assert path == f"/api/v1/namespaces/ours/pods/{self.made[-1]['metadata']['name']}/log"
        return "GPU 0: A100 (UUID: GPU-1)\n  MIG 1g.5gb     Device  0: (UUID: MIG-1)\n"

    def unique(self, base: str) -> str:
        """A name."""
        return f"{base}-1"

    def get(self, kind: str, name: str) -> Manifest:
        """A pod as it is in the end."""
        placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient"}
        return {"status": {"phase": self.phase, "conditions": [placed]}}

    def observe(self, ready: Callable[[], bool], _: str, *, timeout: float) -> bool:
        """Look once."""
        assert timeout > 0
        return ready()

    def delete(self, _: str, __: str) -> None:
        """A pod goes."""


def _probed(phase: str, mutant: str | None = None) -> tuple[ProbeLab, list[probes.Probe]]:
    lab = ProbeLab(phase, mutant)
    lab.note(OPERATOR, cluster(cut("all-1g.5gb", [SEVENTHS] * 2), configs=CONFIGS))
    probe(cast("Lab", lab))
    return lab, lab.noted(probes.PROBES)


def test_a_pod_asks_for_one_slice_of_each_kind() -> None:
    """Red when a pod asks for something else than is judged, or runs another image than the node has."""
    lab, told = _probed("Succeeded")
    (pod,) = lab.made
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/mig-1g.5gb": "1"}} and container["image"] == "none"
    assert pod["spec"]["runtimeClassName"] == "nvidia" and pod["metadata"]["labels"] == lab.marks
    assert probes.given_findings(told) == [] and not probes.undecided(told)


def test_a_pod_with_another_slice_is_found_and_one_without_a_place_is_not() -> None:
    """Red when the mutant does not reach the judge, or a pod that waits for a slice refutes anything."""
    assert probes.given_findings(_probed("Succeeded", "slice-of-another-profile")[1]) != []
    told = _probed("Pending")[1]
    assert probes.given_findings(told) == [] and "Unschedulable: Insufficient" in probes.undecided(told)
