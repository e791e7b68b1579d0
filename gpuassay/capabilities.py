"""What scenarios may need of a cluster, by name.

One that a cluster lacks makes a typed SKIP. One that nobody knows is an error (`gpuassay.session.names`): a misspelt
name would be a SKIP for ever.
"""

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
    MIG_NODE,
    REAL_KUBELET,
    RESTART_COMPONENTS,
})  # fmt: skip
"""What clusters themselves have. Systems add their own (`System.needs`, `System.offers`)."""

GATE = "gate:"
"""Prefix of a feature gate that the system under test has on; which gates there are is the system's to say."""
PROGRAM = "program:"
"""Prefix of a component whose programs are there."""
