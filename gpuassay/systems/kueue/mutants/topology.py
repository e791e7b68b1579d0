"""Broken systems for topology-aware scheduling."""

from __future__ import annotations

from collections.abc import Iterator

from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

_PREFIX = "kueue.x-k8s.io/podset-"


def _requests(obj: Manifest) -> Iterator[Manifest]:
    """Every place in which an object says where its pods want to be."""
    if obj["kind"] == "Workload":
        yield from (one for one in obj["spec"]["podSets"] if "topologyRequest" in one)
    else:
        yield dig(obj, "spec", "template", "metadata", "annotations", default={})


def _drop(obj: Manifest) -> None:
    for request in _requests(obj):
        for key in [key for key in request if key == "topologyRequest" or key.startswith(_PREFIX)]:
            del request[key]


@mutant("topology-lost", "pods land anywhere, whatever rack or block they ask for")
def _topology_lost(obj: Manifest) -> None:
    _drop(obj)


@mutant("topology-ignored", "quota is handed out without a look at the nodes")
def _topology_ignored(obj: Manifest) -> None:
    _drop(obj)
    if obj["kind"] == "ResourceFlavor":
        obj["spec"].pop("topologyName", None)


@mutant("topology-too-strict", "what may be spread, or would like to be close, has to fit into the narrowest domain")
def _topology_too_strict(obj: Manifest) -> None:
    if obj["kind"] == "Workload":
        for request in _requests(obj):
            wish = request["topologyRequest"]
            if "preferred" in wish or "unconstrained" in wish:
                request["topologyRequest"] = {"required": "kubernetes.io/hostname"}
