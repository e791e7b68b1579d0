"""An installed GPU Operator has done its work: policy, operands, RuntimeClasses, labels, capacity and metrics agree."""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.read import note_operator
from gpuassay.systems.gpu_operator.judge import installed as gpu_operator

DOCS = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/"
INSTALLED = f"{DOCS}getting-started.html"


@scenario(system="gpu-operator", timeout=60)
def found(lab: Lab) -> None:
    """The GPU Operator's objects and metrics are read once."""
    note_operator(lab)


@behaviour(
    "gpu-operator.policy-ready", level=MUST, spec=INSTALLED,
    red_when="there is no ClusterPolicy, or it is not ready", mutant="policy-not-ready",
)  # fmt: skip
def test_the_policy_is_ready(found: Recording) -> None:
    """There is one ClusterPolicy, and its state is ready."""
    assert gpu_operator.policy_findings(found.note(gpu_operator.OPERATOR)) == []


@behaviour(
    "gpu-operator.operands-ready", level=MUST, spec=INSTALLED,
    red_when="an enabled operand has no ready pod on a GPU node that is labelled for it", mutant="operand-crashes",
)  # fmt: skip
def test_every_operand_stands_on_every_node(found: Recording) -> None:
    """Every enabled operand has a ready pod on each GPU node labelled for it, and mandatory ones have such a node."""
    assert gpu_operator.operand_findings(found.note(gpu_operator.OPERATOR)) == []


@behaviour(
    "gpu-operator.nodes-labelled", level=MUST, spec=INSTALLED,
    red_when="no node is labelled as having a GPU", mutant="gpu-nodes-unknown",
)  # fmt: skip
def test_there_are_gpu_nodes(found: Recording) -> None:
    """At least one node has the label `nvidia.com/gpu.present=true`."""
    assert gpu_operator.gpu_nodes(found.note(gpu_operator.OPERATOR))


@behaviour(
    "gpu-operator.runtime-classes", level=MUST, spec=INSTALLED,
    red_when="RuntimeClass nvidia is missing, or names another handler", mutant="runtime-class-of-runc",
)  # fmt: skip
def test_the_runtime_classes_are_there(found: Recording) -> None:
    """RuntimeClass `nvidia` exists, and NVIDIA's RuntimeClasses name their own handlers."""
    assert gpu_operator.runtime_class_findings(found.note(gpu_operator.OPERATOR)) == []


@behaviour(
    "gpu-operator.versions-agree", level=MUST, spec=INSTALLED,
    red_when="a node's driver or CUDA version labels contradict each other or ClusterPolicy",
    mutant="driver-label-stale",
)  # fmt: skip
def test_driver_and_runtime_versions_agree(found: Recording) -> None:
    """Every GPU node's version labels agree with each other, and with the driver that ClusterPolicy asks for."""
    assert gpu_operator.version_findings(found.note(gpu_operator.OPERATOR)) == []


@behaviour(
    "gpu-operator.capacity-as-labelled", level=MUST, spec=INSTALLED,
    red_when="a node's capacity of GPUs or MIG slices differs from what its labels count", mutant="capacity-lost",
)  # fmt: skip
def test_the_capacity_is_what_labels_count(found: Recording) -> None:
    """On every GPU node the capacity of each GPU or MIG resource equals its `.count` label times replicas."""
    assert gpu_operator.capacity_findings(found.note(gpu_operator.OPERATOR)) == []


@behaviour(
    "gpu-operator.metrics", level=SHOULD, spec="https://github.com/NVIDIA/dcgm-exporter",
    red_when="DCGM exporter lacks one of NVIDIA's default fields, or its samples do not name the GPU",
    mutant="metrics-nameless",
)  # fmt: skip
def test_the_exporter_tells_of_every_gpu(found: Recording) -> None:
    """DCGM exporter reports memory, temperature, clock and (for whole GPUs) utilisation, labelled with the GPU."""
    assert gpu_operator.metric_findings(found.note(gpu_operator.OPERATOR)) == []
