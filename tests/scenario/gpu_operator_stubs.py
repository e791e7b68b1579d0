"""Stand-ins for somebody's cluster with a GPU Operator: its API server, a lab on it, and a clock."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import cast

from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.systems.gpu_operator.acts.watch import note_operator
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.noting import Noting

CONFIG = "version: v1\nmig-configs:\n  all-disabled: [{devices: all, mig-enabled: false}]\n  other: []\n"


class StubApi:
    """Answers as an API server on which the stand-in's objects are; `at_look` changes them at each look."""

    def __init__(self, metrics: str | None = operators.METRICS) -> None:
        self.metrics, self.looks = metrics, 0
        self.objects = operators.healthy()
        self.at_look: Callable[[int, dict[str, list[Manifest]]], object] = lambda number, objects: None
        self.holding, self.asked = list[Manifest](), 0
        self.refused: tuple[str, ...] = ()

    def pages(
        self, path: str, label_selector: str | None = None, *, field_selector: str | None = None
    ) -> Sequence[Manifest]:
        """A list; of a node's pods, those that hold GPUs."""
        del label_selector
        if field_selector is not None:
            self.asked += 1
            return [one for one in self.holding if field_selector == f"spec.nodeName={one['spec']['nodeName']}"]
        plural = path.rpartition("/")[2]
        if plural in self.refused:
            raise ApiRefused(403, "Forbidden", f"{plural} is forbidden")
        if plural == "clusterpolicies":
            self.looks += 1
            self.at_look(self.looks, self.objects)
        for kind, some in self.objects.items():
            if plural in (f"{kind.lower()}s", f"{kind.lower()}es", f"{kind.lower()[:-1]}ies"):
                return copy.deepcopy(some)
        raise ApiRefused(404, "NotFound", f"{path} is not served")

    def read(self, path: str) -> Manifest:
        """The MIG manager's ConfigMap."""
        if path.endswith("/gpu-operator/configmaps/default-mig-parted-config"):
            return {"data": {"config.yaml": CONFIG, "broken.yaml": "a: ["}}
        raise ApiRefused(404, "NotFound", f"{path} is not there")

    def raw(self, path: str) -> str:
        """What an exporter tells."""
        assert path.endswith(":9400/proxy/metrics")
        if self.metrics is None:
            raise ApiRefused(503, "ServiceUnavailable", "error trying to reach service")
        return self.metrics

    def list(self, kind: str) -> list[Manifest]:
        """The nodes."""
        assert kind == "Node"
        labels = {"gpuassay.io/mig-trial": "same", "nvidia.com/mig.config": "same"}
        return [{"metadata": {"name": "gpu-a", "labels": labels}}]


class StubLab(Noting):
    """As much of a lab as reading takes."""

    def __init__(self, api: StubApi, mutant: str | None = None) -> None:
        super().__init__()
        self.api, self.said = api, list[str]()
        self.mutant = mutants.chosen(mutant)

    def progress(self, text: str) -> None:
        """What a person is told."""
        self.said.append(text)


class Clock:
    """Time that passes only by pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def watched(api: StubApi, mutant: str | None = None, clock: Clock | None = None) -> StubLab:
    """A lab after the scenario has watched the operator."""
    lab, time = StubLab(api, mutant), clock or Clock()
    note_operator(cast("Lab", lab), clock=lambda: time.now, pause=time.pause)
    return lab


def read(api: StubApi, mutant: str | None = None) -> dict[str, list[Manifest]]:
    """What was kept of the operator's objects."""
    return watched(api, mutant).noted(OPERATOR)
