from __future__ import annotations

import json

import pytest

from gpuassay.discovery.discover import discover
from gpuassay.discovery.table import table
from gpuassay.manifest import Manifest
from tests.discovery.stub import Stub, named, node

NODES = "/api/v1/nodes"
OPENSHIFT_GROUPS = {name: ["v1"] for name in ("config.openshift.io", "security.openshift.io", "quota.openshift.io")}

CLUSTERS: dict[str, tuple[str, Manifest]] = {
    "EKS": (
        "v1.33.5-eks-3cfe0ce",
        node(
            "ip-10-0-1-7.ec2.internal", kubelet="v1.33.5-eks-113cf36", provider="aws:///us-east-1a/i-0b3a1c",
            labels={"eks.amazonaws.com/nodegroup": "gpu", "node.kubernetes.io/instance-type": "p4d.24xlarge"},
        ),
    ),
    "GKE": (
        "v1.33.5-gke.1080000",
        node(
            "gke-c-pool-1-d3b5", kubelet="v1.33.5-gke.1080000", provider="gce://project/europe-west4-a/gke-c-pool-1-d3b5",
            labels={"cloud.google.com/gke-nodepool": "pool-1", "cloud.google.com/gke-accelerator": "nvidia-tesla-a100"},
        ),
    ),
    "AKS": (
        "v1.33.3",
        node(
            "aks-gpu-1234-vmss000000", kubelet="v1.33.3",
            provider="azure:///subscriptions/1/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/v",
            labels={"kubernetes.azure.com/cluster": "MC_g_c_westeurope", "kubernetes.azure.com/agentpool": "gpu"},
        ),
    ),
    "kind": ("v1.34.0", node("kind-worker", kubelet="v1.34.0", provider="kind://docker/kind/kind-worker")),
    "k3s": ("v1.33.4+k3s1", node("k3d-0", kubelet="v1.33.4+k3s1", provider="k3s://k3d-0")),
    "RKE2": ("v1.33.4+rke2r1", node("r-0", kubelet="v1.33.4+rke2r1", provider="rke2://r-0")),
    "minikube": ("v1.34.0", node("minikube", labels={"minikube.k8s.io/name": "minikube"})),
    "gpuassay up": ("v1.36.2", node("gpu-node-0", labels={"gpuassay.io/stages": "true"})),
    "unknown": ("v1.34.1", node("worker-0", labels={"gpuassay.io/mig-trial": "all-1g.5gb"})),
}  # fmt: skip


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_distribution_is_told_by_its_marks(name: str) -> None:
    version, one = CLUSTERS[name]
    found = discover(Stub(version, {NODES: [one]}))
    assert found.distribution.name == name
    assert found.kubernetes == version
    assert found.nodes is not None and (found.nodes.count, found.nodes.ready) == (1, 1)


@pytest.mark.parametrize("name", ["EKS", "GKE", "k3s", "RKE2"])
def test_the_servers_version_alone_tells_it_where_nodes_may_not_be_listed(name: str) -> None:
    found = discover(Stub(CLUSTERS[name][0], {}, refused=[NODES]))
    assert found.distribution.name == name
    assert found.nodes is None and found.gpus is None
    assert "no right to read: nodes" in found.unreadable


def test_a_whole_cluster_of_ours_is_told_by_who_publishes_its_address() -> None:
    path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
    meta = {"labels": {"endpointslice.kubernetes.io/managed-by": "gpuassay"}}
    objects: dict[str, Manifest | list[Manifest]] = {NODES: [node("node-1")], path: named("kubernetes", metadata=meta)}
    assert discover(Stub("v1.36.2", objects)).distribution.name == "gpuassay up"
    assert not discover(Stub("v1.36.2", objects, refused=[path])).unreadable


def openshift(**more: Manifest | list[Manifest]) -> Stub:
    version = named("version", status={"desired": {"version": "4.20.3"}})
    objects: dict[str, Manifest | list[Manifest]] = {
        "/apis/config.openshift.io/v1/clusterversions/version": version,
        "/apis/security.openshift.io/v1/securitycontextconstraints": [named("restricted-v2"), named("anyuid")],
        "/apis/quota.openshift.io/v1/clusterresourcequotas": [named("per-team")],
        NODES: [node("master-0", kubelet="v1.33.5")],
    }
    return Stub("v1.33.5", objects | more, groups=OPENSHIFT_GROUPS)


def test_openshift_is_told_by_its_apis_with_its_own_version() -> None:
    found = discover(openshift())
    assert (found.distribution.name, found.distribution.version) == ("OpenShift", "4.20.3")
    assert found.limits.scc == ("anyuid", "restricted-v2")
    assert found.limits.quotas == ("ClusterResourceQuota per-team",)
    assert found.prometheus == ("OpenShift monitoring, not of user workloads",)


def test_openshifts_monitoring_of_user_workloads_is_read_from_its_configuration() -> None:
    path = "/api/v1/namespaces/openshift-monitoring/configmaps/cluster-monitoring-config"
    config = named("cluster-monitoring-config", data={"config.yaml": "enableUserWorkload: true\n"})
    assert discover(openshift(**{path: config})).prometheus == ("OpenShift monitoring, of user workloads as well",)


def test_what_may_not_be_read_is_unknown_in_every_row_and_nothing_is_guessed() -> None:
    lists = ("nodes", "pods", "resourcequotas", "limitranges")
    refused = [*(f"/api/v1/{one}" for one in lists), "/apis"]
    found = discover(Stub("v1.34.1", {}, refused=refused))
    shown = "\n".join(table(found))
    for row in ("nodes", "GPUs", "Gateway classes", "Prometheus", "quotas", "limit ranges", "denying policies"):
        assert f"\n{row:<18}unknown" in shown, shown
    assert found.distribution.name == "unknown"


def test_what_was_found_is_json_and_fits_a_terminal() -> None:
    found = discover(Stub(CLUSTERS["EKS"][0], {NODES: [CLUSTERS["EKS"][1]]}))
    assert json.loads(json.dumps(found.as_json()))["distribution"]["name"] == "EKS"
    assert all(len(line) <= 118 for line in table(found))


def test_discovery_lists_each_kind_once() -> None:
    stub = Stub("v1.34.1", {NODES: [node("a")]})
    discover(stub)
    lists = [path for path in stub.asked if "selfsubject" not in path]
    assert sorted(lists) == sorted(set(lists))
