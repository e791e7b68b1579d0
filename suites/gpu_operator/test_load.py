"""What DCGM exporter tells of a GPU moves with a load; only where the cluster's owner has brought one.

The owner brings a PodTemplate with the label `gpuassay.io/gpu-load`, of a pod that keeps one GPU busy.
"""

from __future__ import annotations

from gpuassay import SHOULD, Lab, Recording, behaviour, scenario
from gpuassay.systems.gpu_operator.acts.gpu_load import keep_busy
from gpuassay.systems.gpu_operator.judge import load as gpu_load


@scenario(system="gpu-operator", needs=("gpu-load",), timeout=900)
def loaded(lab: Lab) -> None:
    """The owner's load pod runs on a GPU until the exporter reports the GPU as busy, and is then deleted."""
    keep_busy(lab)


@behaviour(
    "gpu-operator.utilisation-moves", level=SHOULD, spec="https://github.com/NVIDIA/dcgm-exporter",
    red_when="a GPU under load is reported idle or without its pod, or a GPU without load is reported busy",
    mutant="utilisation-lost",
)  # fmt: skip
def test_utilisation_moves_with_a_load(loaded: Recording) -> None:
    """A GPU is reported idle before a load, busy under the load pod's name, and idle after it."""
    assert gpu_load.load_findings(loaded.note(gpu_load.LOAD)) == []
