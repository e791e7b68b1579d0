"""What scenarios may need of a cluster, by name.

One that a cluster lacks makes a typed SKIP. One that nobody knows is an error (`gpuassay.session.names`): a misspelt
name would be a SKIP for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

CONTROL_PLANE = "control-plane"
FAKE_NODES = "fake-nodes"
AUDIT_LOG = "audit-log"
COMPONENT_LOGS = "component-logs"
RESTART_COMPONENTS = "restart-components"
CLUSTER_WIDE = "cluster-wide-configuration"
GPU_NODES = "gpu-nodes"
KUEUE = "kueue"
REAL_KUBELET = "real-kubelet"
GPU_OPERATOR = "gpu-operator"
MIG_NODE = "mig-node"
"""A node that its owner has marked with `MIG_TRIAL` may be cut anew."""
MIG_CUT = "mig-cut"
"""There is a node of which the GPU Operator's MIG manager says that it is cut as configured."""
GPU_LOAD = "gpu-load"
"""There is a PodTemplate, labelled `gpuassay.io/gpu-load`, of a pod that keeps a GPU busy."""

CORE = frozenset({
    AUDIT_LOG,
    CLUSTER_WIDE,
    COMPONENT_LOGS,
    CONTROL_PLANE,
    FAKE_NODES,
    GPU_LOAD,
    GPU_NODES,
    GPU_OPERATOR,
    KUEUE,
    MIG_CUT,
    MIG_NODE,
    REAL_KUBELET,
    RESTART_COMPONENTS,
})  # fmt: skip
"""What clusters themselves have. Systems add their own (`System.needs`, `System.offers`)."""

GATE = "gate:"
"""Prefix of a feature gate that the system under test has on; which gates there are is the system's to say."""
PROGRAM = "program:"
"""Prefix of a component whose programs are there."""


DENIED = "this identity may not "
"""Begins what is told of a right that the caller lacks."""


class Why(StrEnum):
    """Why a behaviour cannot be judged on a cluster that lacks a capability: a closed list."""

    ABSENT = "a component is not on the cluster"
    SWITCHED_OFF = "the installed component has a feature switched off"
    CONSENT = "it changes the cluster for others, which takes --allow-cluster-mutation"
    PROCESS = "it reads or changes what a kubeconfig does not give: a process, its log, its configuration"
    FAULTS = "it breaks nodes, GPUs or servers on purpose, which only ones of our own allow"
    MACHINES = "it needs more nodes than there are machines: fake ones"
    ON_REQUEST = "it runs on request alone, by an option"
    RIGHTS = "the run had no right to see or do it"
    MARKED = "the cluster's owner has to mark an object that may be used for it"


WHY: Mapping[str, Why] = {
    CONTROL_PLANE: Why.FAULTS,
    FAKE_NODES: Why.MACHINES,
    AUDIT_LOG: Why.PROCESS,
    COMPONENT_LOGS: Why.PROCESS,
    RESTART_COMPONENTS: Why.FAULTS,
    CLUSTER_WIDE: Why.CONSENT,
    GPU_NODES: Why.ABSENT,
    KUEUE: Why.ABSENT,
    REAL_KUBELET: Why.FAULTS,
    GPU_OPERATOR: Why.ABSENT,
    MIG_NODE: Why.MARKED,
    GPU_LOAD: Why.MARKED,
    MIG_CUT: Why.ABSENT,
}
"""The reason for each capability of `CORE`; systems give that of their own (`System.why`)."""


def why(capability: str, own: Mapping[str, Why]) -> Why | None:
    """The reason for one capability, None where nobody has said it; `own`: those of systems."""
    if capability.startswith(GATE):
        return Why.SWITCHED_OFF
    if capability.startswith(PROGRAM):
        return Why.ABSENT
    return {**WHY, **own}.get(capability)
