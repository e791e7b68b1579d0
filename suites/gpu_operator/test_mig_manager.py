"""The MIG manager cuts a node anew; only on a node that its owner has marked for it (`gpuassay.io/mig-trial`)."""

from __future__ import annotations

from gpuassay import MUST, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.mig_manager import recut
from gpuassay.systems.gpu_operator.judge import mig_manager

DOCS = "https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-mig.html"


@scenario(system="gpu-operator", needs=("mig-node",), timeout=1900)
def marked_node(lab: Lab) -> None:
    """A marked node gets the MIG configuration that its label names, and then its former one again."""
    recut(lab)


@behaviour(
    "gpu-operator.mig-manager", level=MUST, spec=DOCS,
    red_when="a MIG configuration is not applied, fails, or leaves operands paused", mutant="mig-config-lost",
)  # fmt: skip
def test_the_mig_manager_cuts_a_node_and_back(marked_node: Recording) -> None:
    """To a new MIG configuration and back, the state goes from pending to success and operands are deployed again."""
    assert mig_manager.recut_findings(marked_node.note(mig_manager.RECUT)) == []
