"""Kubernetes itself: control plane, simulated and real nodes' programs, and what manifests are installed with."""

from __future__ import annotations

from gpuassay.toolchain.component import MODULES, Component
from gpuassay.toolchain.entries.words import ONE_PROGRAM, RAISED

_KUBE = "k8s.io/kubernetes/cmd"
_KUBE_VERSION = "k8s.io/component-base/version"
_KUBE_STAMPS = {
    f"{_KUBE_VERSION}.gitVersion": "{version}",
    f"{_KUBE_VERSION}.gitMajor": "{major}",
    f"{_KUBE_VERSION}.gitMinor": "{minor}",
    f"{_KUBE_VERSION}.gitTreeState": "clean",
}
_KUBERNETES = MODULES / "kubernetes"

KUBERNETES = (
    Component(
        name="controlplane",
        directory=_KUBERNETES,
        module="k8s.io/kubernetes",
        packages=dict.fromkeys(
            ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
            "gpuassay.dev/toolchain/kubernetes/controlplane",
        ),
        # Without these the programs say v0.0.0-master, which clients that parse the version refuse.
        stamps=_KUBE_STAMPS,
        cpu_seconds=225,
        altered=f"{ONE_PROGRAM}; {RAISED}",
        follows="kueue",
    ),
    Component(
        name="kustomize",
        directory=_KUBERNETES,
        module="sigs.k8s.io/kustomize/kustomize/v5",
        packages={"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"},
        cpu_seconds=8,
        altered=RAISED,
        follows="kueue",
    ),
    Component(
        name="kwok",
        directory=MODULES / "kwok",
        module="sigs.k8s.io/kwok",
        packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
        stamps={"sigs.k8s.io/kwok/pkg/consts.Version": "{version}"},
        cpu_seconds=22,
        altered=RAISED,
        follows="kueue",
    ),
    Component(
        name="kubelet",
        directory=_KUBERNETES,
        module="k8s.io/kubernetes",
        packages={"kubelet": f"{_KUBE}/kubelet"},
        stamps=_KUBE_STAMPS,
        cpu_seconds=32,
        optional=True,
        altered=RAISED,
        follows="kueue",
    ),
    Component(
        name="kubectl",
        directory=_KUBERNETES,
        module="k8s.io/kubernetes",
        packages={"kubectl": f"{_KUBE}/kubectl"},
        stamps=_KUBE_STAMPS,
        cpu_seconds=30,
        optional=True,
        altered=RAISED,
        follows="kueue",
    ),
    Component(
        name="kube-proxy",
        directory=_KUBERNETES,
        module="k8s.io/kubernetes",
        packages={"kube-proxy": f"{_KUBE}/kube-proxy"},
        stamps=_KUBE_STAMPS,
        cpu_seconds=12,
        optional=True,
        altered=RAISED,
        follows="kueue",
    ),
    Component(
        name="coredns",
        directory=MODULES / "coredns",
        module="github.com/coredns/coredns",
        packages={"coredns": "gpuassay.dev/toolchain/coredns"},
        cpu_seconds=60,
        optional=True,
        altered=f"with the plugins of Kubernetes' manifest alone; {RAISED}",
        follows="kueue",
    ),
    Component(
        name="helm",
        directory=MODULES / "helm",
        module="helm.sh/helm/v4",
        packages={"helm": "helm.sh/helm/v4/cmd/helm"},
        stamps={"helm.sh/helm/v4/internal/version.version": "{version}"},
        cpu_seconds=60,
        optional=True,
        altered=RAISED,
        follows="kueue",
    ),
)
