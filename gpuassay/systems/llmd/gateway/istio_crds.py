"""The custom resources of the Gateway API and of Istio, from the files of the modules that istiod is built from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import yaml

from gpuassay import toolchain
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.kinds import kind_of
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.component import crds

GATEWAY_API = "sigs.k8s.io/gateway-api"
ISTIO = "istio.io/istio"
FILE = Path("manifests") / "charts" / "base" / "files" / "crd-all.gen.yaml"
"""Istio's own CRDs, in its module."""

_SERVED = ("Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "DestinationRule", "EnvoyFilter")
"""Kinds that are waited for: those that this suite writes."""

_installing = threading.Lock()
_installed: WeakKeyDictionary[Api, bool] = WeakKeyDictionary()


def install(cluster: Cluster) -> None:
    """Apply the CRDs and wait until the API server serves them; a cluster that has them already costs nothing.

    Raises:
        ClusterError: a module lacks its files, or the API server refuses one.
        gpuassay.toolchain.ToolchainError: a module cannot be had.
    """
    with _installing:
        if cluster.api in _installed:
            return
        standard = toolchain.module_dir("istio", GATEWAY_API, cluster.assets) / "config" / "crd" / "standard"
        own = toolchain.module_dir("istio", ISTIO, cluster.assets) / FILE
        found = list(definitions([*sorted(standard.glob("*.yaml")), own]))
        if len(found) < len(_SERVED):
            raise ClusterError(f"{standard} and {own} hold {len(found)} CRDs: the modules are not those that are known")
        side_by_side(cluster.api.apply, found)
        for name in _SERVED:
            crds.wait_served(cluster, kind_of(name))
        _installed[cluster.api] = True


def definitions(files: list[Path]) -> Iterator[Manifest]:
    """The CRDs in files, without status.

    Raises:
        ClusterError: a file is missing.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in files:
        try:
            text = file.read_text()
        except FileNotFoundError:
            raise ClusterError(f"{file} is missing: this release does not ship it") from None
        for definition in yaml.load_all(text, Loader=loader):
            if definition and definition.get("kind") == "CustomResourceDefinition":
                definition.pop("status", None)
                yield definition
