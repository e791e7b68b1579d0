"""The load on somebody's GPU: what is run, what is noted of the exporters, and that the mutant is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from gpuassay.manifest import Manifest
from gpuassay.scenarios import mutants
from gpuassay.systems.gpu_operator.acts import gpu_load
from gpuassay.systems.gpu_operator.judge.load import LOAD, Row, load_findings
from gpuassay.systems.kueue.acts.lab import Lab
from tests import operators
from tests.noting import Noting

CONTAINERS = [{"name": "main", "image": "burn", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]


class StubApi:
    """A cluster with one exporter, whose GPU is busy while there is a pod."""

    def __init__(self) -> None:
        self.pods: list[Manifest] = []

    def list(self, kind: str, *, label_selector: str) -> list[Manifest]:
        """The owner's template."""
        assert (kind, label_selector) == ("PodTemplate", "gpuassay.io/gpu-load")
        return [{"template": {"spec": {"containers": CONTAINERS}}}]

    def create(self, pod: Manifest) -> None:
        """The load begins."""
        self.pods.append(pod)

    def pages(self, path: str, label_selector: str) -> list[Manifest]:
        """The exporter's pod."""
        assert path == "/api/v1/pods" and "nvidia-dcgm-exporter" in label_selector
        return [operators.pod("nvidia-dcgm-exporter", "gpu-a")]

    def raw(self, path: str) -> str:
        """What the exporter tells."""
        assert path.endswith("/proxy/metrics")
        name = self.pods[0]["metadata"]["name"] if self.pods else ""
        share = 0.93 if self.pods else 0.0
        return f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{UUID="GPU-1",GPU_I_ID="7",pod="{name}"}} {share}\nOTHER 5\n'


class StubLab(Noting):
    """As much of a lab as a load takes; time does not pass."""

    def __init__(self, mutant: str | None = None) -> None:
        super().__init__()
        self.api, self.marks = StubApi(), {"gpuassay.io/run": "r"}
        self.mutant = mutants.get(mutant) if mutant else None
        self.asked: list[Manifest] = []

    def unique(self, base: str) -> str:
        """A name."""
        return f"{base}-1"

    def get(self, _: str, name: str) -> Manifest | None:
        """The pod runs at once."""
        there = [one for one in self.api.pods if one["metadata"]["name"] == name]
        return {"status": {"phase": "Running"}} if there else None

    def observe(self, ready: Callable[[], bool], _: str, *, timeout: float) -> bool:
        """Look once."""
        assert timeout > 0
        return ready()

    def delete(self, _: str, __: str) -> None:
        """The load ends."""
        self.asked, self.api.pods = self.api.pods, []


def _loaded(mutant: str | None = None) -> StubLab:
    lab = StubLab(mutant)
    gpu_load.keep_busy(cast("Lab", lab))
    return lab


def test_a_load_is_the_owners_and_is_ended() -> None:
    """Red when another pod than the owner's runs, it is not marked as ours, or goes on."""
    lab = _loaded()
    assert [one["spec"]["containers"] for one in lab.asked] == [CONTAINERS]
    assert lab.asked[0]["metadata"]["labels"] == {"gpuassay.io/run": "r"}
    assert lab.api.pods == []


def test_what_is_noted_is_what_the_judge_needs() -> None:
    """Red when a share is not told in percent, a slice is taken for its GPU, or a moment is missing."""
    load = _loaded().noted(LOAD)
    [row] = load.during
    assert (row.gpu, row.pod, row.field) == ("GPU-1/7", "load-1", "DCGM_FI_PROF_GR_ENGINE_ACTIVE")
    assert row.percent == pytest.approx(93)
    assert load_findings(load) == []


def test_the_mutant_is_found() -> None:
    """Red when GPUs that are told to be idle under a load pass."""
    assert load_findings(_loaded("utilisation-lost").noted(LOAD)) == [
        "GPU GPU-1/7 is 0 % busy at most under the load, expected 50 %"
    ]


@pytest.mark.parametrize(
    ("page", "told", "problems"),
    [
        ("<html>", [], ["DCGM exporter of node gpu-a: an HTML page, no Prometheus metrics: a login page or another "
                        "service answers at this address"]),
        ("A{} \n", [], ["DCGM exporter of node gpu-a: line 1: the sample has no value (a cut page, "
                       "or a value that the server does not have): 'A{}'"]),
        ('DCGM_FI_DEV_GPU_UTIL{UUID="GPU-1",pod="p"} NaN 5000\n',
         [Row("GPU-1", "p", None, "DCGM_FI_DEV_GPU_UTIL", 5.0)], []),
        ('dcgm_gpu_utilization{gpu="0",uuid="GPU-1",pod_name="p"} 7\n',
         [Row("GPU-1", "p", 7.0, "dcgm_gpu_utilization")], []),
    ],
)  # fmt: skip
def test_what_an_exporter_tells(page: str, told: list[Row], problems: list[str]) -> None:
    """Red when a page that is none is an error of the scenario, or says nothing of its node."""
    lab, kept, told_now = StubLab(), list[str](), cast("Any", gpu_load)._told
    lab.api.raw = lambda path: page
    for _ in range(2):
        assert told_now(lab, kept) == told
    assert kept == problems
