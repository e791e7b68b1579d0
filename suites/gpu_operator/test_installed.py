"""An installed GPU Operator has done its work: policy, operands, labels, offers and metrics agree.

What is judged of nodes is judged of those at rest; a run in which every GPU node is being changed decides nothing.
"""

from __future__ import annotations

from gpuassay import MUST, SHOULD, Inconclusive, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.watch import note_operator
from gpuassay.systems.gpu_operator.judge import attribution, exporter, installed, moving, offers, operands, watch
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR, Seen, gpu_nodes, wants

DOCS = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/"
INSTALLED = f"{DOCS}getting-started.html"
UPGRADE = f"{DOCS}gpu-driver-upgrades.html"
MIG = f"{DOCS}gpu-operator-mig.html"
PLUGIN = "https://github.com/NVIDIA/k8s-device-plugin"
EXPORTER = "https://github.com/NVIDIA/dcgm-exporter"


@scenario(system="gpu-operator", timeout=700)
def found(lab: Lab) -> None:
    """The GPU Operator's objects are watched until they are at rest, and its metrics are read."""
    note_operator(lab)


def _at_rest(found: Recording) -> Seen:
    """What was seen; Inconclusive where every GPU node is being changed."""
    seen = found.note(OPERATOR)
    if gpu_nodes(seen) and not moving.settled(seen):
        raise Inconclusive(f"every GPU node is being changed: {'; '.join(moving.under_way(seen))}")
    return seen


@behaviour(
    "gpu-operator.policy-ready", level=MUST, spec=INSTALLED,
    red_when="there is neither one ClusterPolicy nor one GPUCluster, or it is not ready, or its conditions deny it",
    mutant="policy-not-ready",
)  # fmt: skip
def test_the_policy_is_ready(found: Recording) -> None:
    """There is one ClusterPolicy or one GPUCluster, and it and its NVIDIADrivers are ready by state and conditions."""
    assert installed.policy_findings(found.note(OPERATOR)) == []


@behaviour(
    "gpu-operator.operands-ready", level=MUST, spec=INSTALLED,
    red_when="an enabled operand has no ready pod on a GPU node that is labelled for it", mutant="operand-crashes",
)  # fmt: skip
def test_every_operand_stands_on_every_node(found: Recording) -> None:
    """Every enabled operand has a ready pod on each GPU node labelled for it, and mandatory ones have such a node."""
    assert operands.operand_findings(_at_rest(found)) == []


@behaviour(
    "gpu-operator.operands-current", level=MUST, spec=UPGRADE,
    red_when="an operand has pods of an old revision on nodes that nobody is changing", mutant="operand-outdated",
)  # fmt: skip
def test_every_operand_is_of_its_newest_revision(found: Recording) -> None:
    """Once a rollout is over, every pod of an operand is of its DaemonSet's newest revision."""
    seen = found.note(OPERATOR)
    assert operands.revision_findings(seen) == []
    if not operands.any_pod(seen):
        raise Inconclusive("no operand has a pod")


@behaviour(
    "gpu-operator.operands-steady", level=MUST, spec=INSTALLED,
    red_when="within the time of watching something that was ready is not, or a container starts anew",
    mutant="operand-restarts",
)  # fmt: skip
def test_what_is_ready_stays_ready(found: Recording) -> None:
    """For 20 s and more the policy and every operand's pod stay ready, and no container starts anew."""
    assert watch.unsteady_findings(found.note(watch.LOOKS)) == []


@behaviour(
    "gpu-operator.nodes-settled", level=MUST, spec=UPGRADE,
    red_when="a node's driver upgrade or MIG change has failed, hangs, or leaves operands paused",
    mutant="upgrade-failed",
)  # fmt: skip
def test_no_node_is_left_half_changed(found: Recording) -> None:
    """No GPU node stands in a failed or unfinished driver upgrade or MIG change, nor are operands kept away from it."""
    seen = found.note(OPERATOR)
    assert moving.stuck_findings(seen) == []
    if waiting := moving.under_way(seen):
        raise Inconclusive(f"changes are under way: {'; '.join(waiting)}")


@behaviour(
    "gpu-operator.nodes-labelled", level=MUST, spec=INSTALLED,
    red_when="no node is labelled as having a GPU, or one is not in which NFD has found one",
    mutant="gpu-nodes-unknown",
)  # fmt: skip
def test_there_are_gpu_nodes(found: Recording) -> None:
    """At least one node, and each with a GPU by NFD's labels, has the label `nvidia.com/gpu.present`."""
    assert installed.unlabelled_findings(found.note(OPERATOR)) == []


@behaviour(
    "gpu-operator.runtime-classes", level=MUST, spec=INSTALLED,
    red_when="the operator's RuntimeClass is missing, or names another handler", mutant="runtime-class-of-runc",
)  # fmt: skip
def test_the_runtime_classes_are_there(found: Recording) -> None:
    """The operator's RuntimeClass exists where one is needed, and NVIDIA's RuntimeClasses name their own handlers."""
    assert installed.runtime_class_findings(found.note(OPERATOR)) == []


@behaviour(
    "gpu-operator.versions-agree", level=MUST, spec=INSTALLED,
    red_when="a node's driver or CUDA version labels contradict each other or the driver that is asked for",
    mutant="driver-label-stale",
)  # fmt: skip
def test_driver_and_runtime_versions_agree(found: Recording) -> None:
    """Every GPU node's version labels agree with each other, and with ClusterPolicy's or NVIDIADriver's driver."""
    seen = _at_rest(found)
    if not installed.versions_told(seen) and not wants(seen, "gfd"):
        raise Inconclusive("GPU feature discovery is not asked for, and no node's labels tell versions")
    assert installed.version_findings(seen) == []
    if not installed.versions_told(seen):
        raise Inconclusive("no node's GPUs are for containers, and no node's labels tell versions")


@behaviour(
    "gpu-operator.capacity-as-labelled", level=MUST, spec=INSTALLED,
    red_when="a node's capacity of GPUs or MIG slices differs from what its labels count", mutant="capacity-lost",
)  # fmt: skip
def test_the_capacity_is_what_labels_count(found: Recording) -> None:
    """On every GPU node the capacity of each GPU or MIG resource equals its `.count` label times replicas.

    Where only some GPUs are cut, labels leave open how many are whole: between one and those without slices.
    """
    seen = _at_rest(found)
    assert offers.capacity_findings(seen) == []
    if not offers.countable(seen):
        raise Inconclusive("on no node a device plugin offers GPUs that labels count")


@behaviour(
    "gpu-operator.nothing-stale", level=MUST, spec=MIG,
    red_when="resources of slices that a new MIG configuration has taken away are offered still",
    mutant="slices-outlive-recut",
)  # fmt: skip
def test_nothing_outlives_a_recut(found: Recording) -> None:
    """No node offers a GPU or MIG resource that no label counts."""
    assert offers.stale_findings(_at_rest(found)) == []


@behaviour(
    "gpu-operator.devices-healthy", level=MUST, spec=PLUGIN,
    red_when="a node has fewer GPUs or slices allocatable than capacity", mutant="gpu-unhealthy",
)  # fmt: skip
def test_every_device_is_healthy(found: Recording) -> None:
    """Of every GPU and MIG resource as many are allocatable as there are."""
    assert offers.unhealthy_findings(_at_rest(found)) == []


@behaviour(
    "gpu-operator.offered-once", level=MUST, spec=INSTALLED,
    red_when="GPUs of a node are offered by device plugin, DRA and DAS at once, or by nobody with a GPUCluster",
    mutant="offered-twice",
)  # fmt: skip
def test_every_gpu_is_offered_once(found: Recording) -> None:
    """No node's GPUs are offered by two of device plugin, DRA and DAS; with a GPUCluster, DRA offers each node's."""
    seen = found.note(OPERATOR)
    assert [*offers.doubled_findings(seen), *offers.unoffered_findings(seen)] == []


@behaviour(
    "gpu-operator.metrics", level=SHOULD, spec=EXPORTER,
    red_when="DCGM exporter lacks one of NVIDIA's default fields, or its samples do not name the GPU",
    mutant="metrics-nameless",
)  # fmt: skip
def test_the_exporter_tells_of_gpus(found: Recording) -> None:
    """DCGM exporter reports memory, temperature, clock and (for whole GPUs) utilisation, labelled with the GPU."""
    assert exporter.metric_findings(_exporting(found)) == []


@behaviour(
    "gpu-operator.metrics-complete", level=SHOULD, spec=EXPORTER,
    red_when="DCGM exporter leaves out a GPU that is labelled, or a MIG slice", mutant="exporter-tells-one",
)  # fmt: skip
def test_the_exporter_tells_of_every_gpu_and_slice(found: Recording) -> None:
    """DCGM exporter reports as many GPUs as labels count, and every MIG slice by its profile."""
    assert exporter.coverage_findings(_exporting(found)) == []


@behaviour(
    "gpu-operator.metrics-attributed", level=SHOULD, spec=EXPORTER,
    red_when="DCGM exporter does not name a pod on the GPUs or slices that it holds, or names one that holds none",
    mutant="metrics-of-nobody",
)  # fmt: skip
def test_the_exporter_names_the_pods_that_hold_gpus(found: Recording) -> None:
    """Every pod that has held GPUs or slices for two minutes is named on as many of them, and nobody else is."""
    seen = _exporting(found)
    assert attribution.attribution_findings(seen) == []
    if not attribution.steady_holders(seen):
        raise Inconclusive("no pod has held a GPU for two minutes that is not shared and whose exporter answers")


def _exporting(found: Recording) -> Seen:
    """What was seen; Inconclusive where no exporter was asked for."""
    seen = _at_rest(found)
    if not exporter.wanted(seen):
        raise Inconclusive("the operator was told to run no DCGM exporter")
    if gpu_nodes(seen) and not exporter.exporting(seen):
        raise Inconclusive("DCGM exporter belongs on no node; whether it should is for operands-ready to say")
    return seen
