"""Installing the GPU Operator: what is refused, in one line and before anything is begun. No cluster is needed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import cast

import pytest

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator import component as gpu_operator


class StubApi:
    """Objects of a cluster by kind and name; what is deleted is gone at once."""

    def __init__(self, *objects: Manifest) -> None:
        self.there = {(one["kind"], one["metadata"]["name"]): one for one in objects}

    def get(self, kind: str, name: str) -> Manifest | None:
        """The object."""
        return self.there.get((kind, name))

    def list(self, kind: str) -> list[Manifest]:
        """All of a kind."""
        return [one for (its, _), one in self.there.items() if its == kind]

    def create(self, manifest: Manifest) -> None:
        """Another one."""
        self.there[manifest["kind"], manifest["metadata"]["name"]] = manifest

    def delete(self, kind: str, name: str) -> None:
        """One less."""
        self.there.pop((kind, name), None)

    def patch(self, kind: str, name: str, body: Manifest) -> None:
        """Labels, as a merge patch changes them."""
        metadata = self.there[kind, name]["metadata"]
        labels = {**metadata["labels"], **body["metadata"]["labels"]}
        metadata["labels"] = {key: value for key, value in labels.items() if value is not None}

    def raw(self, path: str) -> str:
        """The ClusterPolicies: one that is ready, once somebody has installed it."""
        assert path == "/apis/nvidia.com/v1/clusterpolicies"
        labels = {"app.kubernetes.io/version": "v26.7.0"}
        return json.dumps({"items": [{"metadata": {"labels": labels}, "status": {"state": "ready"}}]})


def _named(kind: str, name: str, **labels: str) -> Manifest:
    return {"kind": kind, "metadata": {"name": name, "labels": labels}}


def _cluster(*capabilities: str, objects: tuple[Manifest, ...] = ()) -> Cluster:
    """Somebody's cluster with these objects."""
    api = cast("Api", StubApi(*objects))
    return Cluster("lab", "existing", Path("kubeconfig"), api, Path(), frozenset(capabilities), context="lab")


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
        (
            _cluster(base.CLUSTER_WIDE, objects=(_named("Namespace", "gpu-operator"),)),
            "helm uninstall gpuassay -n gpu-operator",
        ),
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


def test_what_was_installed_is_removed_and_nothing_else(helm: Path) -> None:
    """Red when a CRD, a label or the namespace stays, or one that was there before goes, or helm is not asked."""
    definitions = "".join(f"---\nmetadata:\n  name: {name}\n" for name in ("new", "old"))
    calls = helm.with_name("calls")
    helm.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\n[ "$1" != show ] || printf %s "{definitions}"\n')
    nodes = _named("Node", "a", **{"nvidia.com/gpu.count": "3", "mine": "x"}), _named("Node", "b")
    cluster = _cluster(base.CLUSTER_WIDE, objects=(_named("CustomResourceDefinition", "old"), *nodes))
    api = cast("StubApi", cluster.api)
    before = copy.deepcopy(api.there)
    with gpu_operator.deployed(cluster, "nvidia/gpu-operator", "values.yaml"):
        assert base.GPU_OPERATOR in cluster.capabilities
        (part,) = cluster.components
        assert (part.version, part.source) == ("v26.7.0", "installed by us, chart nvidia/gpu-operator")
        assert ("Namespace", "gpu-operator") in api.there
        api.create(_named("CustomResourceDefinition", "new"))
        for node, count in (("a", "8"), ("b", "8")):
            api.patch("Node", node, {"metadata": {"labels": {"nvidia.com/gpu.count": count}}})
    assert api.there == before
    assert calls.read_text().splitlines() == ["show crds", "install gpuassay", "uninstall gpuassay"]
