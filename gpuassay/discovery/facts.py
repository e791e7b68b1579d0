"""What is known of a cluster, as data that goes into `run.json`. `None` stands for what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from gpuassay.manifest import Manifest

UNKNOWN = "unknown"
"""What a table says of things that could not be read."""


@dataclass(frozen=True)
class Distribution:
    """Whose Kubernetes it is.

    Attributes:
        name: such as `OpenShift`, `EKS`, `kind`; `unknown` where nothing says it.
        version: of the distribution where it has one of its own, else "".
        evidence: by what it was told.
    """

    name: str
    version: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class Nodes:
    """The nodes as a whole; each list sorted, without repetition."""

    count: int
    ready: int
    architectures: tuple[str, ...] = ()
    kubelets: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GpuNodes:
    """Nodes that are alike in their GPUs.

    Attributes:
        model: as GFD or the DRA driver calls it; `unknown` where neither runs.
        per_node: GPUs of each; None where nothing says it.
        memory_mib: of each GPU, in MiB; None where nothing says it.
        nodes: their names.
        offered_by: `device plugin`, `DRA`, `DAS`; empty: the GPUs are there and nobody offers them.
        allocatable: GPU resources of one node, as the kubelet counts them.
        devices: devices of one node in ResourceSlices, by type (`gpu`, `mig`).
        mig: what is known of MIG, in words; `unknown` where nothing says it.
    """

    model: str
    per_node: int | None
    memory_mib: int | None
    nodes: tuple[str, ...]
    offered_by: tuple[str, ...]
    allocatable: tuple[tuple[str, str], ...] = ()
    devices: tuple[tuple[str, int], ...] = ()
    mig: str = UNKNOWN


@dataclass(frozen=True)
class GatewayClass:
    """A class of Gateways, and whether its controller has accepted it."""

    name: str
    controller: str
    accepted: bool


@dataclass(frozen=True)
class Limits:
    """What may keep our pods out of namespaces that we make.

    Attributes:
        namespace: what came of making a namespace on trial: "" where it may be made, else the server's refusal.
        pod_security: labels that such a namespace gets for Pod Security; {} where it gets none.
        scc: SecurityContextConstraints, on OpenShift.
        quotas: ResourceQuotas of others, and ClusterResourceQuotas, which may hold for ours as well.
        limit_ranges: LimitRanges of others.
        policies: admission policies that deny pods or Jobs under some condition, `KIND NAME`.
    """

    namespace: str | None = None
    pod_security: dict[str, str] | None = None
    scc: tuple[str, ...] | None = None
    quotas: tuple[str, ...] | None = None
    limit_ranges: tuple[str, ...] | None = None
    policies: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Discovered:
    """A cluster.

    Attributes:
        distribution: whose Kubernetes it is.
        kubernetes: the API server's version.
        nodes: None where they may not be listed.
        gpus: nodes with GPUs, the like ones together; None where nodes may not be listed.
        gateway_classes: None where they may not be listed; empty where there are none, or no Gateway API.
        prometheus: kinds of Prometheus, in words; None where it cannot be told.
        limits: what may keep our pods out.
        missing_rights: `GROUP: RESOURCES: VERBS` that the caller lacks; None where that cannot be asked.
        unserved: API groups of which rights were not asked, as the cluster does not serve them.
        warnings: what will go wrong, a line each.
        unreadable: what could not be read, and why.
    """

    distribution: Distribution
    kubernetes: str
    nodes: Nodes | None = None
    gpus: tuple[GpuNodes, ...] | None = None
    gateway_classes: tuple[GatewayClass, ...] | None = None
    prometheus: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    missing_rights: tuple[str, ...] | None = None
    unserved: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def as_json(self) -> Manifest:
        """For `run.json`."""
        return msgspec.to_builtins(self)
