"""What belongs to a GPU Operator among the objects of a cluster: its configuration, operands, their pods and GPU nodes.

Driver DaemonSets have many names: one per RHCOS version with OpenShift's Driver Toolkit, one per kernel with
precompiled drivers, one per node pool with NVIDIADriver resources. So an operand is told by the node label that its
DaemonSet selects, then by its component, and only then by the label `app`. Source: github.com/NVIDIA/gpu-operator
(assets/, manifests/, controllers/state_manager.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuassay.manifest import Manifest, dig
from gpuassay.record.notes import Note

PREFIX = "nvidia.com/"
PRESENT = f"{PREFIX}gpu.present"
GPU = f"{PREFIX}gpu"
DEPLOY = f"{PREFIX}gpu.deploy."
COMPONENT = "app.kubernetes.io/component"
DRIVER_COMPONENT = "nvidia-driver"
WORKLOAD = f"{PREFIX}gpu.workload.config"
"""Label of a node: `container` (also where it is missing), or a kind of virtual machine."""
FOUND_BY_NFD = tuple(
    f"feature.node.kubernetes.io/pci-{device}.present" for device in ("10de", "0302_10de", "0300_10de")
)
"""Labels by which the operator itself knows a node with GPUs."""
OWNERS = frozenset({"ClusterPolicy", "NVIDIADriver", "GPUCluster"})
"""Kinds of which an operand's DaemonSet is a child."""

Seen = Mapping[str, Sequence[Manifest]]
"""Objects by kind, as a scenario has read them."""

OPERATOR = Note("operator", dict[str, list[Manifest]], "objects by kind, and as `Metrics` what DCGM exporters answer")


@dataclass(frozen=True)
class Operand:
    """A DaemonSet of the GPU Operator.

    Attributes:
        app: value of the label `app` of its DaemonSet and pods, by default.
        key: field of its configuration's spec that says whether it is wanted, "" where it always is.
        deploy: it belongs on nodes with the label `nvidia.com/gpu.deploy.<deploy>=true`.
        everywhere: whether there must be such a node; drivers may be on the hosts, and not every GPU can be cut.
        unsaid: whether it is wanted where the configuration does not say.
        also: a label that a node must have besides, with the value `true`.
    """

    app: str
    key: str
    deploy: str
    everywhere: bool = True
    unsaid: bool = True
    also: str = ""


DRIVER = Operand("nvidia-driver-daemonset", "driver", "driver", everywhere=False)
OPERANDS = (
    DRIVER,
    Operand("nvidia-container-toolkit-daemonset", "toolkit", "container-toolkit", everywhere=False),
    Operand("nvidia-device-plugin-daemonset", "devicePlugin", "device-plugin"),
    Operand("gpu-feature-discovery", "gfd", "gpu-feature-discovery"),
    Operand("nvidia-dcgm-exporter", "dcgmExporter", "dcgm-exporter"),
    Operand("nvidia-operator-validator", "", "operator-validator"),
    Operand("nvidia-mig-manager", "migManager", "mig-manager", everywhere=False),
)
"""What ClusterPolicy wants by default on nodes that run containers."""
RARER = (
    Operand("nvidia-dcgm", "dcgm", "dcgm", everywhere=False),
    Operand("nvidia-node-status-exporter", "nodeStatusExporter", "node-status-exporter", False, False),
    Operand(
        "nvidia-device-plugin-mps-control-daemon", "devicePlugin", "device-plugin", everywhere=False,
        also=f"{PREFIX}mps.capable",
    ),
    Operand("nvidia-sandbox-device-plugin-daemonset", "sandboxDevicePlugin", "sandbox-device-plugin", False, False),
    Operand("nvidia-sandbox-validator", "sandboxWorkloads", "sandbox-validator", False, False),
    Operand("nvidia-vfio-manager", "vfioManager", "vfio-manager", False, False),
    Operand("nvidia-vgpu-manager-daemonset", "vgpuManager", "vgpu-manager", False, False),
    Operand("nvidia-vgpu-device-manager", "vgpuDeviceManager", "vgpu-device-manager", False, False),
    Operand("nvidia-cc-manager", "ccManager", "cc-manager", False, False),
)  # fmt: skip
"""What it wants where it is told to: DCGM apart, MPS, nodes of virtual machines."""
OF_GPU_CLUSTER = (
    DRIVER,
    Operand("nvidia-dra-driver-kubelet-plugin", "", "dra-driver"),
    Operand("nvidia-dra-validator", "", "dra-validator"),
    Operand("nvidia-dcgm-exporter-dra", "dcgmExporter", "dcgm-exporter-dra"),
    Operand("nvidia-dcgm-dra", "dcgm", "dcgm-dra", everywhere=False, unsaid=False),
)
"""What a GPUCluster wants, which offers GPUs by DRA in the place of the device plugin."""
EVERY = (*OPERANDS, *RARER, *(one for one in OF_GPU_CLUSTER if one is not DRIVER))


def facts(seen: Seen, kind: str) -> list[Manifest]:
    """The objects of a kind among what was read."""
    return list(seen.get(kind, ()))


def labels_of(obj: Manifest) -> dict[str, str]:
    """An object's labels."""
    return dig(obj, "metadata", "labels", default={})


def name_of(obj: Manifest) -> str:
    """An object's name."""
    return str(dig(obj, "metadata", "name", default=""))


def gpu_nodes(seen: Seen) -> list[Manifest]:
    """The nodes that are labelled as having GPUs."""
    return [one for one in facts(seen, "Node") if labels_of(one).get(PRESENT) == "true"]


def for_containers(node: Manifest) -> bool:
    """Whether a node's GPUs are for containers, not for virtual machines."""
    return labels_of(node).get(WORKLOAD, "container") == "container"


def policies(seen: Seen) -> list[Manifest]:
    """ClusterPolicies that count: the operator ignores all but the first."""
    return [one for one in facts(seen, "ClusterPolicy") if dig(one, "status", "state") != "ignored"]


def by_dra(seen: Seen) -> bool:
    """Whether the operator is told by a GPUCluster to offer GPUs by DRA."""
    return bool(facts(seen, "GPUCluster")) and not policies(seen)


def wanted(seen: Seen) -> list[Operand]:
    """The operands that the configuration wants, in the order of the tables above."""
    if by_dra(seen):
        spec: Manifest = dig(facts(seen, "GPUCluster")[0], "spec", default={})
        drivers = bool(facts(seen, "NVIDIADriver"))  # without any the hosts bring theirs, whatever nodes' labels say
        return [one for one in OF_GPU_CLUSTER if (drivers if one is DRIVER else _is_on(spec, one))]
    there = policies(seen)
    spec = dig(there[0], "spec", default={}) if there else {}
    return [one for one in (*OPERANDS, *RARER) if _is_on(spec, one)]


def wants(seen: Seen, key: str) -> bool:
    """Whether the operand under this field of the configuration is wanted."""
    return any(one.key == key for one in wanted(seen))


def _is_on(spec: Manifest, operand: Operand) -> bool:
    return not operand.key or dig(spec, operand.key, "enabled", default=operand.unsaid) is not False


def by_plugin(seen: Seen, node: Manifest) -> bool:
    """Whether the operator's device plugin offers a node's GPUs."""
    return (
        not by_dra(seen) and wants(seen, "devicePlugin") and (labels_of(node).get(f"{DEPLOY}device-plugin") == "true")
    )


def belongs(operand: Operand, node: Manifest) -> bool:
    """Whether an operand belongs on a node, by the node's labels."""
    labels = labels_of(node)
    return labels.get(f"{DEPLOY}{operand.deploy}") == "true" and (
        not operand.also or labels.get(operand.also) == "true"
    )


def operand_of(daemonset: Manifest) -> Operand | None:
    """The operand that a DaemonSet is of, None for others'."""
    labels = labels_of(daemonset)
    app = labels.get("app", "")
    named = next((one for one in EVERY if one.app == app), None)
    if named is not None:
        return named
    if labels.get(COMPONENT) == DRIVER_COMPONENT:
        return DRIVER
    if any(one.get("kind") in OWNERS for one in dig(daemonset, "metadata", "ownerReferences", default=[])):
        return next((one for one in EVERY if f"{DEPLOY}{one.deploy}" in selector(daemonset) and not one.also), None)
    return None


def selector(daemonset: Manifest) -> dict[str, str]:
    """Labels of the nodes on which its pods belong."""
    return dig(daemonset, "spec", "template", "spec", "nodeSelector", default={})


def sets_of(seen: Seen, operand: Operand) -> list[Manifest]:
    """An operand's DaemonSets."""
    return [one for one in facts(seen, "DaemonSet") if operand_of(one) is operand]


def pods_of(seen: Seen, daemonset: Manifest) -> list[Manifest]:
    """Pods that a DaemonSet owns, those that are being deleted left out."""
    return [one for one in facts(seen, "Pod") if _owns(daemonset, one) and not deleted(one)]


def deleted(obj: Manifest) -> bool:
    """Whether an object is being deleted."""
    return bool(dig(obj, "metadata", "deletionTimestamp"))


def _owns(daemonset: Manifest, pod: Manifest) -> bool:
    owners: list[dict[str, Any]] = dig(pod, "metadata", "ownerReferences", default=[])
    return dig(daemonset, "metadata", "namespace") == dig(pod, "metadata", "namespace") and any(
        one.get("kind") == "DaemonSet" and one.get("name") == name_of(daemonset) for one in owners
    )


def node_of(pod: Manifest) -> str:
    """The name of the node on which a pod is, or for which a DaemonSet made it; "" where that is not known yet."""
    if at := dig(pod, "spec", "nodeName", default=""):
        return str(at)
    terms: list[dict[str, list[Manifest]]] = dig(
        pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms",
        default=[],
    )  # fmt: skip
    for field in (field for term in terms for field in term.get("matchFields") or []):
        if field.get("key") == "metadata.name" and field.get("values"):
            return str(field["values"][0])
    return ""
