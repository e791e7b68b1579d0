"""The custom resources that the conformance tests and what they test need."""

from __future__ import annotations

from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.kinds import kind_of
from gpuassay.cluster.parallel import side_by_side
from gpuassay.systems.llmd.component import crds
from gpuassay.systems.llmd.gateway import istio_crds
from gpuassay.systems.upstream.component.images import COMPONENT

_BASES = Path("config") / "crd" / "bases"
_RELEASE = "inference.networking.k8s.io/bundle-version"
"""Annotation that says of which release a CRD is. The tests refuse a cluster with CRDs of several."""

_POOLS, *_LEGACY = crds.FILES
_SERVED = ("Gateway", "HTTPRoute", "InferencePool", "InferenceObjective", "InferenceModelRewrite")
"""Kinds that are waited for."""


def install(cluster: Cluster) -> None:
    """Apply the CRDs of the Gateway API and of the inference extension, of the releases that the tests insist on.

    The extension's no longer has two kinds that llm-d's endpoint picker watches: these are of an older one, and not
    marked as such.

    Raises:
        ClusterError: a module lacks its files, or the API server refuses one.
        gpuassay.toolchain.ToolchainError: a module cannot be had.
    """

    def module(component: str, path: str) -> Path:
        return toolchain.module_dir(component, path, cluster.assets)

    standard = module(COMPONENT, istio_crds.GATEWAY_API) / "config" / "crd" / "standard"
    legacy = module("llmd-epp", crds.MODULE) / _BASES
    istio = module("istio", istio_crds.ISTIO) / istio_crds.FILE
    files = [*sorted(standard.glob("*.yaml")), module(COMPONENT, crds.MODULE) / _BASES / _POOLS, istio]
    found = list(istio_crds.definitions(files))
    for definition in istio_crds.definitions([legacy / name for name in _LEGACY]):
        definition["metadata"]["annotations"].pop(_RELEASE, None)
        found.append(definition)
    side_by_side(cluster.api.apply, found)
    for name in _SERVED:
        crds.wait_served(cluster, kind_of(name))
