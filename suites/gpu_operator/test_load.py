"""What DCGM exporter tells of a GPU moves with a load; only where the cluster's owner has brought one.

The owner brings a PodTemplate with the label `gpuassay.io/gpu-load`, of a pod that keeps one GPU busy.
"""

from __future__ import annotations

from gpuassay import SHOULD, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.gpu_load import keep_busy
from gpuassay.systems.gpu_operator.judge import load as gpu_load


@scenario(system="gpu-operator", needs=("gpu-load",), timeout=900)
def loaded(lab: Lab) -> None:
    """The owner's load runs on a GPU until that is told, and is ended."""
    keep_busy(lab)


@behaviour(
    "gpu-operator.utilisation-moves", level=SHOULD, spec="https://github.com/NVIDIA/dcgm-exporter",
    red_when="a GPU under load is told to be idle, or not to be the pod's, or one without load to be busy",
    mutant="utilisation-lost",
)  # fmt: skip
def test_utilisation_moves_with_a_load(loaded: Recording) -> None:
    """The GPU of a pod that keeps it busy is idle before, busy meanwhile under the pod's name, and idle afterwards."""
    assert gpu_load.load_findings(loaded.notes["load"]) == []
