"""Which GPU Operator a cluster has, and what that lets scenarios do."""

from __future__ import annotations

import json
from typing import cast

import pytest

from gpuassay.cluster import base
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused
from gpuassay.cluster.existing import Detection
from gpuassay.manifest import Manifest
from gpuassay.systems.gpu_operator.acts.read import CONFIGURATIONS
from gpuassay.systems.gpu_operator.detect import detect
from tests import operators
from tests.operator_shapes.build import GPU_CLUSTER


class StubApi:
    """Serves what an operator is told, and nothing else."""

    def __init__(self, **told: Manifest) -> None:
        self.told = {CONFIGURATIONS[kind]: one for kind, one in told.items()}

    def raw(self, path: str) -> str:
        """A list."""
        if path not in self.told:
            raise ApiRefused(404, "NotFound", f"{path} is not served")
        return json.dumps({"items": [self.told[path]]})

    def list(self, kind: str, *, label_selector: str) -> list[Manifest]:
        """No template of a load."""
        del kind, label_selector
        return []


def _site(api: StubApi, *states: str) -> Detection:
    labels = [{"nvidia.com/mig.config.state": one, base.MIG_TRIAL: "x"} for one in states]
    return Detection(
        cast("Api", api), [{"metadata": {"name": "a", "labels": one}} for one in labels], allow_mutation=False
    )


@pytest.mark.parametrize(
    ("api", "source"),
    [
        (StubApi(ClusterPolicy=operators.policy()), "found on the cluster"),
        (StubApi(GPUCluster=GPU_CLUSTER), "found on the cluster, as a GPUCluster: GPUs by DRA"),
    ],
)
def test_an_operator_is_told_by_what_it_is_told(api: StubApi, source: str) -> None:
    """Red when a GPUCluster is taken for no operator."""
    found = detect(_site(api))
    assert found.capabilities == {base.GPU_OPERATOR}
    assert [one.source for one in found.components] == [source]


def test_without_either_there_is_none() -> None:
    """Red when the lack of both kinds is an error, or an operator."""
    assert detect(_site(StubApi(), "success")).capabilities == frozenset()


def test_nodes_that_are_cut_are_told_by_the_manager() -> None:
    """Red when a node whose cut has failed is judged by its configuration, or one that succeeded is not."""
    api = StubApi(ClusterPolicy=operators.policy())
    assert base.MIG_CUT not in detect(_site(api, "failed", "pending")).capabilities
    assert base.MIG_CUT in detect(_site(api, "failed", "success")).capabilities
