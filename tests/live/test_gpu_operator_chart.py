"""The GPU Operator is installed on somebody's cluster by `helm`, judged and removed. Helm is a stand-in here."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.embedded import embedded
from gpuassay.engine import provisioned as runs
from gpuassay.manifest import dig
from gpuassay.systems.gpu_operator.provision import PLUGIN_LABEL
from tests.live import gpu_operator_standin as standin
from tests.live.conftest import ROOT, LiveSuite


@pytest.fixture
def theirs(programs: None, tmp_path: Path) -> Generator[Cluster]:
    """Somebody's cluster without any operator; one of NVIDIA's labels is there already.

    Its nodes have GPUs before any device plugin comes, so their owner says that none of the operator's is to come.
    """
    with embedded(directory=tmp_path / "cluster", nodes=2) as cluster:
        names = [one["metadata"]["name"] for one in cluster.api.list("Node")]
        for name in names:
            cluster.api.patch("Node", name, {"metadata": {"labels": {PLUGIN_LABEL: "false"}}})
        cluster.api.patch("Node", names[0], {"metadata": {"labels": {"nvidia.com/gpu.count": "3"}}})
        yield cluster


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in as a program `helm`; gives a folder for charts."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "helm").write_text(f'#!/bin/sh\nexec {sys.executable} {standin.__file__} "$@"\n')
    (place / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    return tmp_path


def _seen(cluster: Cluster) -> dict[str, object]:
    """What an installation would leave, if it left something."""
    kinds = ("Namespace", "CustomResourceDefinition", "RuntimeClass", "DaemonSet")
    there: dict[str, object] = {
        kind: sorted(one["metadata"]["name"] for one in cluster.api.list(kind)) for kind in kinds
    }
    nodes = {one["metadata"]["name"]: dig(one, "metadata", "labels") for one in cluster.api.list("Node")}
    return {**there, "labels": nodes}


def test_a_chart_is_installed_judged_and_removed(suite: LiveSuite, theirs: Cluster, helm: Path) -> None:
    """Red when the operator is not judged, its chart not named, or a CRD, label, class or namespace of it stays."""
    (suite.folder / "suites" / "gpu_operator").symlink_to(ROOT / "suites" / "gpu_operator")
    before = _seen(theirs)
    chart = helm / "the-chart"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("name: gpu-operator\n")
    where = ("--cluster", "existing", "--gpuassay-kubeconfig", str(theirs.kubeconfig), "--gpu-operator", "install")
    outcome = suite.run(*where, "--gpu-operator-source", str(chart))
    assert outcome.states["gpu-operator.operands-ready"] == "PASS", outcome.output
    assert outcome.states["gpu-operator.policy-ready"] == "PASS", outcome.output
    told = (outcome.run / "run.json").read_text()
    assert "installed by us, Helm release gpu-operator; mig.strategy mixed" in told
    assert _seen(theirs) == before
    left = json.loads((outcome.run / runs.REPORT).read_text())["gpu-operator"]["left_by_upstream"]
    assert sum("labels of Node" in line and "new: nvidia.com/" in line for line in left) == 2, left
    assert not (outcome.run / "leaks.txt").exists()
    outcome = suite.run(*where, "--gpu-operator-source", str(helm / "nowhere"))
    assert set(outcome.states.values()) == {"ERROR"}, outcome.output
    assert "helm template failed (1): Error: INSTALLATION FAILED: path" in outcome.output
    assert _seen(theirs) == before
