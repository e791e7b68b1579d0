"""Installing Kueue on somebody's cluster: what is told when nothing really runs there, and that nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuassay.cluster.base import CLUSTER_WIDE, Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.systems.kueue import component as kueue


def test_a_deployment_on_hollow_nodes_is_not_taken_for_kueue(cluster: Cluster) -> None:
    """Red when an available Deployment is believed although no webhook answers, or anything stays behind."""
    before = {crd["metadata"]["name"] for crd in cluster.api.list("CustomResourceDefinition")}
    with (
        pytest.raises(ClusterError, match=r"does not answer after 5 s.*webhook.*real node"),
        kueue.deployed(cluster, "example.org/kueue:v0", timeout=5),
    ):
        pass
    assert {crd["metadata"]["name"] for crd in cluster.api.list("CustomResourceDefinition")} <= before
    hooks = cluster.api.list("ValidatingWebhookConfiguration") + cluster.api.list("MutatingWebhookConfiguration")
    assert hooks == []


def test_a_cluster_that_must_not_be_changed_is_not(cluster: Cluster) -> None:
    """Red when Kueue is installed without permission."""
    guarded = replace(cluster, capabilities=cluster.capabilities - {CLUSTER_WIDE})
    with pytest.raises(ClusterError, match="--allow-cluster-mutation"), kueue.deployed(guarded, "example.org/kueue:v0"):
        pass
