"""Installing the GPU Operator: what is refused, in one line and before anything is begun. No cluster is needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gpuassay.cluster import base
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.components import gpu_operator
from gpuassay.manifest import Manifest


def _cluster(*capabilities: str, namespaces: tuple[str, ...] = ()) -> Cluster:
    """As much of a cluster as the checks look at."""

    def get(kind: str, name: str) -> Manifest | None:
        return {"kind": kind} if kind == "Namespace" and name in namespaces else None

    api = SimpleNamespace(get=get)
    made = SimpleNamespace(
        name="lab", capabilities=frozenset(capabilities), kubeconfig="kubeconfig", context="lab", api=api
    )
    return cast("Cluster", made)


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `helm` that refuses everything."""
    file = tmp_path / "helm"
    file.write_text('#!/bin/sh\necho "WARNING: something" >&2\necho "Error: $*: no such chart" >&2\nexit 1\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return file


def test_without_helm_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when the lack of helm is found out late, or as a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="there is none: install helm, or install the GPU Operator by hand"):
        gpu_operator.check(_cluster(base.CLUSTER_WIDE))


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (_cluster(), "add --allow-cluster-mutation"),
        (_cluster(base.CLUSTER_WIDE, base.GPU_OPERATOR), "already installed on lab: leave out --install-gpu-operator"),
        (_cluster(base.CLUSTER_WIDE, namespaces=("gpu-operator",)), "helm uninstall gpuassay -n gpu-operator"),
    ],
)
def test_what_must_not_be_done_is_refused(cluster: Cluster, words: str) -> None:
    """Red when a cluster is changed without permission, or a second operator is put beside another."""
    with pytest.raises(ClusterError, match=words) as refused:
        gpu_operator.check(cluster)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("helm")
def test_helm_is_told_in_its_own_last_words() -> None:
    """Red when helm's refusal gets lost, or it is asked of another cluster than ours."""
    words = "Error: show crds some/chart --kubeconfig kubeconfig --kube-context lab: no such chart"
    with (
        pytest.raises(ClusterError, match=rf"^helm show failed \(1\): {words}$"),
        gpu_operator.deployed(_cluster(base.CLUSTER_WIDE), "some/chart"),
    ):
        pass
