"""The paper's 32 jobs on GPUs that are published as counters: the published order decides how many stand at once.

The real scheduler takes the first device that fits: ResourceSlices by name, devices in the order of their list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuassay import MUST, Lab, Measure, behaviour, scenario
from gpuassay.gpus import GpuModel, gpu_model
from gpuassay.systems.slices.acts import counters
from gpuassay.systems.slices.judge import counters as judged
from gpuassay.systems.slices.model.paper import GPU_MODEL, GPUS, LARGE, MEDIUM
from gpuassay.systems.slices.model.placement import Place, first_fit
from gpuassay.systems.slices.model.placement_fit import optimum
from gpuassay.systems.slices.readings import SlicesRecording

CLAIMS = "https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/"
A100 = gpu_model(GPU_MODEL)
FULL = "full"
MIX = [MEDIUM, LARGE] * 16
"""The paper's 32 jobs."""


def _in_turn(lab: Lab, model: GpuModel) -> None:
    """The paper's 32, medium and large in turn, each asked for once the one before has a node or was refused."""
    with counters.published(lab, [model] * GPUS) as site:
        for number, profile in enumerate(MIX):
            site.ask(f"p-{number}", profile)
            site.observe_decided(f"p-{number}")
        site.observe_settled(FULL)
        site.finish()


def _upper_first(model: GpuModel) -> GpuModel:
    """The GPU with places of the large profile listed from the last start to the first."""
    changed = [replace(one, starts=one.starts[::-1]) if one.name == LARGE else one for one in model.profiles]
    return replace(model, profiles=tuple(changed))


@scenario(needs=counters.NEEDS, timeout=80)
def papers_mix(lab: Lab) -> None:
    """The paper's 32 on 8 GPUs whose places are listed as NVIDIA's driver lists them: by start."""
    _in_turn(lab, A100)


@scenario(needs=counters.NEEDS, timeout=80)
def papers_mix_upper_first(lab: Lab) -> None:
    """The paper's 32 on 8 GPUs that list the upper place of the large profile before the lower one."""
    _in_turn(lab, _upper_first(A100))


def _placed(recording: SlicesRecording) -> dict[str, list[Place]]:
    return judged.held(recording, recording.mark(FULL))


def _expected(model: GpuModel) -> dict[str, list[Place]]:
    found = enumerate(first_fit(MIX, [model] * GPUS))
    return {f"p-{number}": [place] for number, place in found if place is not None}


@behaviour(
    "slices.counters.first-fit", level=MUST, spec=CLAIMS,
    red_when="other than 13 medium and 12 large of the paper's 32 are placed, or not where first fit predicts",
    mutant="places-reversed",
)  # fmt: skip
def test_the_papers_mix_is_placed_as_first_fit_does(papers_mix: SlicesRecording, measure: Measure) -> None:
    """The scheduler takes the first fitting device as published: 13 medium and 12 large of 32, placed by first fit."""
    placed = _placed(papers_mix)
    measure.value(placed=len(placed), optimum=optimum(Counter(MIX), [A100] * GPUS).total)
    assert judged.by_profile(placed) == {MEDIUM: 13, LARGE: 12}, papers_mix.timeline_text()
    assert placed == _expected(A100)
    assert judged.geometry_findings(papers_mix) == []


@behaviour(
    "slices.counters.published-order", level=MUST, spec=CLAIMS,
    red_when="the order in which a driver publishes devices does not decide which are allocated first",
    mutant="places-reversed",
)  # fmt: skip
def test_the_published_order_decides_how_many_fit(
    papers_mix_upper_first: SlicesRecording, papers_mix: SlicesRecording, measure: Measure
) -> None:
    """With the upper placement of 3g.20gb published first, 28 of the same 32 pods are placed at once, the optimum."""
    placed, best = _placed(papers_mix_upper_first), optimum(Counter(MIX), [A100] * GPUS).total
    measure.value(placed=len(placed), optimum=best)
    _exhibit(measure, {"by start": _placed(papers_mix), "3g.20gb at 4 before 0": placed})
    assert placed == _expected(_upper_first(A100)), papers_mix_upper_first.timeline_text()
    assert len(placed) == best


def _exhibit(measure: Measure, arms: Mapping[str, Mapping[str, Sequence[Place]]]) -> None:
    """What each published order gives."""
    rows: list[list[object]] = []
    for order, placed in arms.items():
        counts = judged.by_profile(placed)
        taken = sum(A100.profile(profile).size * count for profile, count in counts.items())
        rows.append([order, counts[MEDIUM], counts[LARGE], counts.total(), A100.memory_slices * GPUS - taken])
    measure.exhibit(
        "slices-counters-order",
        title="The paper's 32 jobs on 8 published A100-40GB, by the order in which places are listed",
        kind="table",
        columns=["places of a GPU are listed", MEDIUM, LARGE, "together", "memory slices left free"],
        rows=rows,
        notes=[
            "The scheduler is real and takes the first device that fits; GPUs are objects, pods are played by KWOK."
        ],
        section="Slices as counters of a GPU",
    )
