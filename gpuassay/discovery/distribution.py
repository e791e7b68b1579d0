"""Whose Kubernetes a cluster is, by the marks that each distribution leaves.

OpenShift is told by its APIs. The others mark the server's version, the nodes' labels or their provider ids; these are
what the providers document, such as `eks.amazonaws.com/nodegroup`, `cloud.google.com/gke-nodepool`,
`kubernetes.azure.com/cluster`, `kind://`, `k3s://`, `rke2://` and `minikube.k8s.io/name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gpuassay.discovery.facts import UNKNOWN, Distribution
from gpuassay.discovery.reading import Reading
from gpuassay.manifest import Manifest, dig

OPENSHIFT = "config.openshift.io"
OURS = "gpuassay up"
"""A cluster of ours, on which no GPU is real."""
SELF = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
"""By which a cluster of ours gives pods its API server's address."""


@dataclass(frozen=True)
class _Mark:
    """How a distribution is told: by the server's version, a label's beginning, or a provider id's beginning."""

    name: str
    version: str = ""
    label: str = ""
    provider: str = ""


_MARKS = (
    _Mark("EKS", r"-eks-", "eks.amazonaws.com/"),
    _Mark("GKE", r"-gke\.", "cloud.google.com/gke-"),
    _Mark("AKS", "", "kubernetes.azure.com/"),
    _Mark("RKE2", r"\+rke2r", "rke.cattle.io/", "rke2://"),
    _Mark("k3s", r"\+k3s", "k3s.io/", "k3s://"),
    _Mark("kind", "", "", "kind://"),
    _Mark("minikube", "", "minikube.k8s.io/"),
    _Mark(OURS, "", "gpuassay.io/fake-driver"),
    _Mark(OURS, "", "gpuassay.io/stages"),
)


def distribution(reading: Reading, version: str, nodes: Sequence[Manifest] | None) -> Distribution:
    """By its marks, the strongest first; `unknown` where there are none."""
    if reading.serves(OPENSHIFT):
        return Distribution("OpenShift", _openshift_version(reading), f"it serves {OPENSHIFT}")
    for mark in _MARKS:
        if evidence := _evidence(mark, version, nodes or ()):
            return Distribution(mark.name, evidence=evidence)
    if (
        dig(reading.one(SELF, missed=False), "metadata", "labels", "endpointslice.kubernetes.io/managed-by")
        == "gpuassay"
    ):
        return Distribution(OURS, evidence="EndpointSlice default/kubernetes is managed by gpuassay")
    looked = "no known distribution has left a mark on the API server's version"
    return Distribution(UNKNOWN, evidence=looked if nodes is None else f"{looked} or on the nodes")


def _openshift_version(reading: Reading) -> str:
    found = reading.one(f"/apis/{OPENSHIFT}/v1/clusterversions/version")
    return str(dig(found, "status", "desired", "version", default=UNKNOWN))


def _evidence(mark: _Mark, version: str, nodes: Iterable[Manifest]) -> str:
    if mark.version and re.search(mark.version, version):
        return f"the API server's version is {version}"
    for node in nodes:
        name = node["metadata"]["name"]
        kubelet = str(dig(node, "status", "nodeInfo", "kubeletVersion", default=""))
        if mark.version and re.search(mark.version, kubelet):
            return f"node {name} runs kubelet {kubelet}"
        labels: dict[str, str] = dig(node, "metadata", "labels", default={})
        label = next((key for key in labels if mark.label and key.startswith(mark.label)), "")
        if label:
            return f"node {name} carries the label {label}"
        provider = str(dig(node, "spec", "providerID", default=""))
        if mark.provider and provider.startswith(mark.provider):
            return f"node {name} has the provider id {provider}"
    return ""
