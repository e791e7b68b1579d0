"""The custom resources of the Gateway API Inference Extension, from its module's files, once per cluster.

Releases after v1.5 no longer ship InferenceObjective and InferenceModelRewrite, so the files are those of the release
that llm-d's endpoint picker itself depends on.
"""

from __future__ import annotations

import threading
from pathlib import Path
from weakref import WeakKeyDictionary

import yaml

from gpuassay import toolchain
from gpuassay.cluster.api import Api
from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ApiRefused, ClusterError
from gpuassay.cluster.kinds import Kind, kind_of
from gpuassay.cluster.parallel import side_by_side
from gpuassay.manifest import Manifest
from gpuassay.waiting import wait

MODULE = "sigs.k8s.io/gateway-api-inference-extension"
FILES = (
    "inference.networking.k8s.io_inferencepools.yaml",
    "inference.networking.x-k8s.io_inferenceobjectives.yaml",
    "inference.networking.x-k8s.io_inferencemodelrewrites.yaml",
)

INFERENCE_POOL = kind_of("InferencePool")
INFERENCE_OBJECTIVE = kind_of("InferenceObjective")
INFERENCE_MODEL_REWRITE = kind_of("InferenceModelRewrite")

_installing = threading.Lock()
_installed: WeakKeyDictionary[Api, bool] = WeakKeyDictionary()


def install(cluster: Cluster) -> None:
    """Apply the CRDs and wait until the API server serves them; a cluster that has them already costs nothing.

    Raises:
        ClusterError: the module lacks a file, or the API server refuses one.
    """
    with _installing:
        if cluster.api in _installed:
            return
        side_by_side(cluster.api.apply, definitions(toolchain.module_dir("llmd-epp", MODULE, cluster.assets)))
        for kind in (INFERENCE_POOL, INFERENCE_OBJECTIVE, INFERENCE_MODEL_REWRITE):
            wait_served(cluster, kind)
        _installed[cluster.api] = True


def definitions(module: Path) -> list[Manifest]:
    """The definitions, from the module's directory.

    Raises:
        ClusterError: the module lacks a file.
    """
    return [_read(module / "config" / "crd" / "bases" / name) for name in FILES]


def _read(file: Path) -> Manifest:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        definition: Manifest = yaml.load(file.read_text(), Loader=loader)
    except FileNotFoundError:
        raise ClusterError(f"{file} is missing: this release of {MODULE} does not ship it") from None
    definition.pop("status", None)
    return definition


def wait_served(cluster: Cluster, kind: Kind) -> None:
    """Wait until the API server serves a kind.

    Raises:
        gpuassay.waiting.WaitTimeout: it does not.
    """

    def served() -> bool:
        if death := cluster.component_died():
            raise death
        try:
            cluster.api.raw(f"{kind.path()}?limit=1")
        except ApiRefused as refused:
            if refused.status in (404, 429, 503):
                return False
            raise
        return True

    wait(served, bool, what=f"the API server to serve {kind.plural}", timeout=60)
