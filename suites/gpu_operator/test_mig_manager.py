"""The MIG manager's nodes are cut as it says; it cuts a node anew, where its owner has marked one for that."""

from __future__ import annotations

from gpuassay import MUST, Inconclusive, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.mig_manager import recut
from gpuassay.systems.gpu_operator.acts.probe import probe
from gpuassay.systems.gpu_operator.acts.watch import note_operator
from gpuassay.systems.gpu_operator.judge import mig_config, mig_manager, probes
from gpuassay.systems.gpu_operator.judge.objects import OPERATOR

DOCS = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-mig.html"


@scenario(system="gpu-operator", needs=("mig-cut",), timeout=900)
def cut_nodes(lab: Lab) -> None:
    """Nodes that the MIG manager has cut are read, and a pod of ours on each kind of slice lists what it was given."""
    note_operator(lab, window=0, quiet=0, deadline=0)
    probe(lab)


@behaviour(
    "gpu-operator.mig-as-configured", level=MUST, spec=DOCS,
    red_when="the MIG manager reports success, and labels or allocatable slices are not those of the configuration",
    mutant="mig-success-without-slices",
)  # fmt: skip
def test_a_node_is_cut_as_its_configuration_says(cut_nodes: Recording) -> None:
    """On a node whose MIG configuration is applied, configuration, labels and allocatable tell the same slices."""
    seen = cut_nodes.note(OPERATOR)
    assert mig_config.applied_findings(seen) == []
    if not mig_config.cut_nodes(seen):
        raise Inconclusive("slices of no node that is cut are offered by a device plugin with a strategy for them")


@behaviour(
    "gpu-operator.mig-in-a-pod", level=MUST, spec=DOCS,
    red_when="`nvidia-smi -L` in a pod that was given one slice lists another profile, several devices, or none",
    mutant="slice-of-another-profile",
)  # fmt: skip
def test_a_pod_is_given_the_slice_that_it_asked_for(cut_nodes: Recording) -> None:
    """A pod that asks for one slice of a node's configuration sees that slice, and nothing else."""
    told = cut_nodes.note(probes.PROBES)
    assert probes.given_findings(told) == []
    if waiting := probes.undecided(told):
        raise Inconclusive(waiting)


@scenario(system="gpu-operator", needs=("mig-node",), timeout=2300)
def marked_node(lab: Lab) -> None:
    """A marked node gets the MIG configuration that its label names, and then its former one again."""
    recut(lab)


@behaviour(
    "gpu-operator.mig-manager", level=MUST, spec=DOCS,
    red_when="a MIG configuration is not applied, fails, leaves operands paused, or the slices of the one before",
    mutant="mig-config-lost",
)  # fmt: skip
def test_the_mig_manager_cuts_a_node_and_back(marked_node: Recording) -> None:
    """After a change of MIG configuration, and one back, the state goes from pending to success, operands return."""
    assert mig_manager.recut_findings(marked_node.note(mig_manager.RECUT)) == []
