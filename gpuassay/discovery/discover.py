"""Puts together what a cluster is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gpuassay.cluster.api import Api
from gpuassay.discovery.distribution import distribution
from gpuassay.discovery.facts import UNKNOWN, Discovered, GpuNodes, Limits, Nodes
from gpuassay.discovery.gpus import gpus
from gpuassay.discovery.limits import limits
from gpuassay.discovery.reading import Reading
from gpuassay.discovery.rights import rights
from gpuassay.discovery.serving import gateway_classes, prometheus
from gpuassay.manifest import Manifest, dig, is_true

if TYPE_CHECKING:
    from gpuassay.system import Rule


def discover(api: Api, rules: Iterable[Rule] = ()) -> Discovered:
    """What a cluster is, by reading alone; nothing is stored on it.

    Args:
        api: access to it.
        rules: permissions that the caller should have.

    Raises:
        ClusterError: the API server does not answer at all. What it refuses is noted as unknown instead.
    """
    reading = Reading(api)
    version = str(api.version["gitVersion"])
    nodes = reading.all("", "nodes")
    found: tuple[GpuNodes, ...] | None = None
    warnings: tuple[str, ...] = ()
    if nodes is not None:
        found, warnings = gpus(nodes, reading.all("resource.k8s.io", "resourceslices"))
    restrictions = limits(reading)
    may = rights(reading, rules)
    return Discovered(
        distribution=distribution(reading, version, nodes),
        kubernetes=version,
        nodes=None if nodes is None else _nodes(nodes),
        gpus=found,
        gateway_classes=gateway_classes(reading),
        prometheus=prometheus(reading),
        limits=restrictions,
        missing_rights=may.missing,
        unserved=may.unserved,
        warnings=(*warnings, *_of_limits(restrictions)),
        unreadable=reading.gaps(),
    )


def _nodes(nodes: Sequence[Manifest]) -> Nodes:
    def each(key: str) -> tuple[str, ...]:
        return tuple(sorted({str(dig(one, "status", "nodeInfo", key, default=UNKNOWN)) for one in nodes}))

    return Nodes(
        count=len(nodes), ready=sum(is_true(one, "Ready") for one in nodes), architectures=each("architecture"),
        kubelets=each("kubeletVersion"), runtimes=each("containerRuntimeVersion"),
    )  # fmt: skip


def _of_limits(found: Limits) -> tuple[str, ...]:
    """What will keep our namespaces or pods from being made."""
    said: list[str] = []
    if found.namespace:
        said.append(f"namespaces of ours would be refused: {found.namespace}")
    level = (found.pod_security or {}).get("enforce", "")
    if level == "restricted":
        said.append("namespaces of ours get Pod Security level restricted: pods that need more are refused")
    return tuple(said)
