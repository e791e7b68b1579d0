"""An installed GPU Operator has done its work: policy, operands, RuntimeClasses, labels, capacity and metrics agree."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.read import note_operator
from gpuassay.systems.gpu_operator.judge import installed as gpu_operator

DOCS = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/"
INSTALLED = f"{DOCS}getting-started.html"


@scenario(system="gpu-operator", timeout=60)
def found(lab: Lab) -> None:
    """What the API tells of the GPU Operator is read once."""
    note_operator(lab)


@behaviour(
    "gpu-operator.policy-ready", level=MUST, spec=INSTALLED,
    red_when="there is no ClusterPolicy, or it is not ready", mutant="policy-not-ready",
)  # fmt: skip
def test_the_policy_is_ready(found: Recording) -> None:
    """There is one ClusterPolicy, and its state is ready."""
    assert gpu_operator.policy_findings(found.notes["operator"]) == []


@behaviour(
    "gpu-operator.operands-ready", level=MUST, spec=INSTALLED,
    red_when="an operand that is wanted has no ready pod on a GPU node", mutant="operand-crashes",
)  # fmt: skip
def test_every_operand_stands_on_every_node(found: Recording) -> None:
    """Every operand has a ready pod on each node on which it belongs; none of them has none at all."""
    assert gpu_operator.operand_findings(found.notes["operator"]) == []


@behaviour(
    "gpu-operator.nodes-labelled", level=MUST, spec=INSTALLED,
    red_when="no node is known to have a GPU, and everything is fine of none", mutant="gpu-nodes-unknown",
)  # fmt: skip
def test_there_are_gpu_nodes(found: Recording) -> None:
    """At least one node is labelled as having a GPU: without one, nothing else here would say anything."""
    assert gpu_operator.gpu_nodes(found.notes["operator"])


@behaviour(
    "gpu-operator.runtime-classes", level=MUST, spec=INSTALLED,
    red_when="RuntimeClass nvidia is missing, or names another handler", mutant="runtime-class-of-runc",
)  # fmt: skip
def test_the_runtime_classes_are_there(found: Recording) -> None:
    """RuntimeClass `nvidia` exists, and NVIDIA's RuntimeClasses name their own handlers."""
    assert gpu_operator.runtime_class_findings(found.notes["operator"]) == []


@behaviour(
    "gpu-operator.versions-agree", level=MUST, spec=INSTALLED,
    red_when="a node's labels of driver or CUDA contradict each other or ClusterPolicy",
    mutant="driver-label-stale",
)  # fmt: skip
def test_driver_and_runtime_versions_agree(found: Recording) -> None:
    """Every GPU node's version labels agree with each other, and with the driver that ClusterPolicy asks for."""
    assert gpu_operator.version_findings(found.notes["operator"]) == []


@behaviour(
    "gpu-operator.capacity-as-labelled", level=MUST, spec=INSTALLED,
    red_when="a node has capacity for other GPUs or slices than its labels count", mutant="capacity-lost",
)  # fmt: skip
def test_the_capacity_is_what_labels_count(found: Recording) -> None:
    """GPU feature discovery and device plugin agree on every node: count times replicas is the node's capacity."""
    assert gpu_operator.capacity_findings(found.notes["operator"]) == []


@behaviour(
    "gpu-operator.metrics", level=SHOULD, spec="https://github.com/NVIDIA/dcgm-exporter",
    red_when="DCGM exporter lacks NVIDIA's fields, or does not say of which GPU", mutant="metrics-nameless",
)  # fmt: skip
def test_the_exporter_tells_of_every_gpu(found: Recording) -> None:
    """Every DCGM exporter tells memory, temperature, clock, and utilisation where GPUs are whole, of each GPU."""
    assert gpu_operator.metric_findings(found.notes["operator"]) == []
