"""A Kubernetes API to test, whoever runs it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from gpuassay.capabilities import AUDIT_LOG as AUDIT_LOG
from gpuassay.capabilities import CLUSTER_WIDE as CLUSTER_WIDE
from gpuassay.capabilities import COMPONENT_LOGS as COMPONENT_LOGS
from gpuassay.capabilities import CONTROL_PLANE as CONTROL_PLANE
from gpuassay.capabilities import FAKE_NODES as FAKE_NODES
from gpuassay.capabilities import GPU_LOAD as GPU_LOAD
from gpuassay.capabilities import GPU_NODES as GPU_NODES
from gpuassay.capabilities import GPU_OPERATOR as GPU_OPERATOR
from gpuassay.capabilities import KUEUE as KUEUE
from gpuassay.capabilities import MIG_CUT as MIG_CUT
from gpuassay.capabilities import MIG_NODE as MIG_NODE
from gpuassay.capabilities import REAL_KUBELET as REAL_KUBELET
from gpuassay.capabilities import RESTART_COMPONENTS as RESTART_COMPONENTS
from gpuassay.cluster import nodes
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ClusterError, ComponentDied
from gpuassay.cluster.process import Process, Supervisor
from gpuassay.toolchain import Assets, Programs

if TYPE_CHECKING:
    from gpuassay.cluster.node.real import Node

MIG_TRIAL = "gpuassay.io/mig-trial"
"""Label of such a node; its value is the MIG configuration that is tried."""
GPU_LOAD_TEMPLATE = "gpuassay.io/gpu-load"
"""Label of such a PodTemplate; its value does not matter."""
BROUGHT = {
    MIG_CUT: "a node with the label nvidia.com/mig.config.state=success, from the GPU Operator's MIG manager",
    MIG_NODE: f"a node with the label {MIG_TRIAL}=CONFIGURATION, and --allow-cluster-mutation",
    "epp-target": "--epp-target HOST:PORT with --cluster existing: an endpoint picker to be asked",
    GPU_LOAD: f"a PodTemplate with the label {GPU_LOAD_TEMPLATE}=true, of a pod that keeps one GPU busy",
}
"""By what a cluster's owner gives it a capability."""


@dataclass(frozen=True)
class Component:
    """One upstream program or project that runs in the cluster.

    Attributes:
        name: such as `kueue`.
        version: such as `v0.19.2`.
        source: how it was obtained.
        sha256: digest of the program, "" where it is not ours.
    """

    name: str
    version: str
    source: str
    sha256: str = ""

    @classmethod
    def of(cls, programs: Programs, name: str) -> Component:
        """One program of our toolchain."""
        source = f"{programs.source}; {programs.altered}" if programs.altered else programs.source
        return cls(name, programs.version, source, programs.sha256[name])


class Emulated(TypedDict):
    """Something that is not real: what, what stands in for it, and what a reader must conclude from that."""

    what: str
    by: str
    means: str


@dataclass
class Cluster:
    """A cluster that can be used now.

    Attributes:
        name: for people.
        provider: `embedded` or `existing`.
        kubeconfig: path of a kubeconfig with all rights we have.
        context: its context, None: the current one.
        api: access with that kubeconfig.
        directory: a folder of ours for logs and files.
        capabilities: what tests may ask for (constants of this module).
        components: programs and their versions, for reports.
        emulated: what is not real.
        audit_log: the API server's audit log, None when there is none to read.
        assets: folders with programs that are taken instead of built ones, by component.
        supervisor: owner of our child processes.
        identities: kubeconfig files by identity (`kubeconfig_for`).
        real_nodes: nodes with a real kubelet, by name (`gpuassay.cluster.node.real`).
        stop_actions: what `before_stop` was given.
    """

    name: str
    provider: str
    kubeconfig: Path
    api: Api
    directory: Path
    capabilities: frozenset[str]
    context: str | None = None
    components: list[Component] = field(default_factory=list[Component])
    emulated: list[Emulated] = field(default_factory=list[Emulated])
    audit_log: Path | None = None
    assets: Assets | None = None
    supervisor: Supervisor = field(default_factory=Supervisor)
    identities: Mapping[str, Path] = field(default_factory=dict[str, Path])
    real_nodes: dict[str, Node] = field(default_factory=dict[str, "Node"])
    stop_actions: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def description(self) -> str:
        """One line for reports."""
        return f"{self.provider} cluster {self.name}, Kubernetes {self.api.version['gitVersion']}"

    def tell(self, components: Iterable[Component] = (), emulated: Iterable[Emulated] = ()) -> None:
        """Add to what reports say of the cluster, once each."""
        self.components += [one for one in components if one not in self.components]
        self.emulated += [one for one in emulated if one not in self.emulated]

    def apart(self) -> Cluster:
        """The same cluster with an `Api` of its own, which is told apart by what it was denied."""
        return replace(self, api=self.api.apart())

    @property
    def processes(self) -> Mapping[str, Process]:
        """Our child processes by name; empty for a cluster that is not ours."""
        return self.supervisor.processes

    def component_died(self) -> ComponentDied | None:
        """The first of our processes that died on its own, or None."""
        return self.supervisor.death()

    def has(self, *capabilities: str) -> bool:
        """Whether it offers all of `capabilities`."""
        return self.capabilities.issuperset(capabilities)

    def kubeconfig_for(self, identity: str) -> Path:
        """Kubeconfig of one identity (`admin`, `kueue`, `recorder`, ...).

        Raises:
            ClusterError: this cluster has no such identity.
        """
        if identity not in self.identities:
            raise ClusterError(f"{self.description} has no identity {identity!r}; known: {', '.join(self.identities)}")
        return self.identities[identity]

    def add_nodes(
        self,
        count: int,
        *,
        gpus: int = 8,
        labels: Mapping[str, str] | None = None,
        allocatable: Mapping[str, str] | None = None,
        prefix: str = "gpu-node",
        timeout: float = 60,
    ) -> list[str]:
        """Add fake nodes and wait until the scheduler may use them; returns their names.

        Args:
            count: how many.
            gpus: GPUs of each.
            labels: further labels of each.
            allocatable: further resources of each.
            prefix: of their names; a running number follows.
            timeout: seconds until all must be usable.

        Raises:
            ClusterError: this cluster has no fake nodes, or its nodes are not ours to change.
        """
        if not self.has(FAKE_NODES, CLUSTER_WIDE):
            raise ClusterError(f"{self.description}: no fake nodes may be added")
        names = [f"{prefix}-{next(self._numbers)}" for _ in range(count)]
        wanted = [nodes.fake_node(name, gpus=gpus, labels=labels, allocatable=allocatable) for name in names]
        nodes.create_nodes(self.api, wanted)
        nodes.wait_usable(self.api, names, timeout)
        return names

    def remove_nodes(self, names: list[str]) -> None:
        """Delete nodes."""
        for name in names:
            self.api.delete("Node", name)

    def before_stop(self, action: Callable[[], None]) -> None:
        """Have `action` called before the control plane is stopped; the last one given is called first."""
        self.stop_actions.append(action)
