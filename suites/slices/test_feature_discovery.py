"""GPU feature discovery on fake GPUs: every label is what can be computed from the GPUs and their slices."""

from __future__ import annotations

from dataclasses import dataclass

from gpuassay import MUST, Lab, Note, behaviour, scenario
from gpuassay.gpus import gpu_model
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import operator_node as gpu_operator
from gpuassay.systems.slices.judge import gpu_labels
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.slicers import PLUGIN

NEEDS = ("program:nvidia-device-plugin",)
LABELS = f"{PLUGIN}/tree/main/docs/gpu-feature-discovery"


@dataclass(frozen=True)
class Case:
    """GPUs of one model and the MIG strategy under which they are labelled; `slices` None: MIG mode is off."""

    model: str
    strategy: gpu_labels.Strategy
    slices: tuple[tuple[str, ...], ...] | None
    count: int = 2

    @property
    def gpus(self) -> gpu_labels.Gpus:
        """What the oracle takes."""
        return gpu_labels.Gpus(gpu_model(self.model), self.count, self.slices)


CASES = {
    "whole-a100-40": Case("a100-40gb", "none", None),
    "whole-a100-80": Case("a100-80gb", "mixed", None, count=1),
    "whole-h100-80": Case("h100-80gb", "single", None, count=4),
    "none-a100-40": Case("a100-40gb", "none", (("1g.5gb", "3g.20gb"), ("2g.10gb",))),
    "single-a100-40": Case("a100-40gb", "single", (("2g.10gb",) * 3, ("2g.10gb",) * 2)),
    "single-h100-80": Case("h100-80gb", "single", (("1g.10gb",) * 7, ("1g.10gb",) * 7)),
    "unequal-a100-80": Case("a100-80gb", "single", (("1g.10gb", "2g.20gb"), ("1g.10gb",))),
    "empty-a100-40": Case("a100-40gb", "single", (("1g.5gb",), ())),
    "mixed-a100-40": Case("a100-40gb", "mixed", (("1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"), ("4g.20gb", "1g.5gb+me"))),
    "mixed-a100-80": Case("a100-80gb", "mixed", (("1g.20gb", "3g.40gb"), ("7g.80gb",))),
    "mixed-h100-80": Case("h100-80gb", "mixed", (("4g.40gb", "1g.10gb", "1g.20gb"), ("2g.20gb", "1g.10gb+me"))),
}  # fmt: skip

NOTED = Note("cases", dict[str, Case], "the sets of GPUs, for readers of the recording")


@scenario(system="slices", needs=NEEDS, timeout=90)
def labelled(lab: Lab) -> None:
    """GPU feature discovery runs on each set of fake GPUs; its labels are set on the node and read back."""
    strategies = ("none", "single", "mixed")
    configs = {name: gpu_operator.mig_config(name) for name in strategies}
    with gpu_operator.operated(lab, gpus=("a100-40gb",), configs=configs) as node:
        for name, case in CASES.items():
            geometry = dict(enumerate(case.slices or ()))
            mig = case.slices is not None
            node.discover_others(name, [case.model] * case.count, geometry, case.strategy, mig=mig)
        lab.note(NOTED, CASES)


def _findings(recording: SlicesRecording, *chosen: str, parts: tuple[str, ...] = ("",)) -> list[str]:
    """Differences of the cases whose names begin as one of `chosen`; every case must have been labelled."""
    found: list[str] = []
    for name, case in CASES.items():
        if name.startswith(chosen):
            seen: dict[str, str] = recording.note(notes.FEATURES).get(name, {})
            expected = gpu_labels.gpu_labels(case.gpus, case.strategy) | gpu_labels.version_labels(
                recording.note(notes.DRIVER), recording.note(notes.CUDA)
            )
            found += [f"{name}: {one}" for one in gpu_labels.label_findings(seen, expected, parts=parts)]
    return found


@behaviour(
    "slices.labels.gpu", level=MUST, spec=LABELS,
    red_when="product, memory, count, family or compute capability of a GPU is labelled wrongly",
    mutant="labels-of-another-gpu",
)  # fmt: skip
def test_whole_gpus_are_labelled_as_what_they_are(labelled: SlicesRecording) -> None:
    """Without MIG mode every label of an A100-40, A100-80 and H100-80 is that of its model; none speaks of slices."""
    assert _findings(labelled, "whole") == [], labelled.timeline_text()


@behaviour(
    "slices.labels.versions", level=MUST, spec=LABELS,
    red_when="the version of the driver or of CUDA is labelled wrongly", mutant="labels-of-another-driver",
)  # fmt: skip
def test_driver_and_cuda_are_labelled(labelled: SlicesRecording) -> None:
    """Driver and CUDA versions, whole and in parts, are those that the driver reports."""
    assert _findings(labelled, "whole", "mixed", parts=("cuda.",)) == [], labelled.timeline_text()


@behaviour(
    "slices.labels.strategy-none", level=MUST, spec=LABELS,
    red_when="slices are labelled although the MIG strategy is none", mutant="mig-strategy-always-mixed",
)  # fmt: skip
def test_the_strategy_none_labels_no_slices(labelled: SlicesRecording) -> None:
    """Under MIG strategy `none` GPUs in MIG mode are labelled as whole GPUs."""
    assert _findings(labelled, "none") == [], labelled.timeline_text()


@behaviour(
    "slices.labels.strategy-single", level=MUST, spec=LABELS,
    red_when="equal slices are not labelled as GPUs of their size under MIG strategy single",
    mutant="mig-strategy-lost",
)  # fmt: skip
def test_the_strategy_single_labels_slices_as_gpus(labelled: SlicesRecording) -> None:
    """Under MIG strategy `single` equal slices are labelled `gpu`: product, count, memory, multiprocessors, engines."""
    assert _findings(labelled, "single") == [], labelled.timeline_text()


@behaviour(
    "slices.labels.single-invalid", level=MUST, spec=LABELS,
    red_when="unequal slices, or a GPU without any, are labelled as usable under MIG strategy single",
    mutant="mig-strategy-always-mixed",
)  # fmt: skip
def test_unequal_slices_are_labelled_invalid(labelled: SlicesRecording) -> None:
    """Under MIG strategy `single` unequal slices, or a GPU without slices, give `MIG-INVALID` and no GPUs."""
    assert _findings(labelled, "unequal", "empty") == [], labelled.timeline_text()


@behaviour(
    "slices.labels.strategy-mixed", level=MUST, spec=LABELS,
    red_when="count, size, multiprocessors or engines of a profile are labelled wrongly",
    mutant="labels-of-half-the-memory",
)  # fmt: skip
def test_the_strategy_mixed_labels_each_profile(labelled: SlicesRecording) -> None:
    """Under MIG strategy `mixed` each profile, including those with media extensions, has its labels."""
    assert _findings(labelled, "mixed") == [], labelled.timeline_text()


@behaviour(
    "slices.labels.replaced", level=MUST, spec=LABELS,
    red_when="labels of GPUs or slices that no longer exist stay on the node", mutant="labels-stay",
)  # fmt: skip
def test_no_label_outlives_what_it_speaks_of(labelled: SlicesRecording) -> None:
    """When the GPUs or slices of a node change, no label of the former MIG profiles stays on the node."""
    assert _findings(labelled, "", parts=("mig-", "gpu.slices", "gpu.engines")) == [], labelled.timeline_text()
