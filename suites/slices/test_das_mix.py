"""The paper's 32 jobs on DAS, as in the paper: 25 at once, where first fit puts them; and whose slice is whose."""

from __future__ import annotations

from collections import Counter
from typing import cast

from gpuassay import INFO, MUST, Lab, Measure, behaviour, scenario
from gpuassay.systems.slices import notes
from gpuassay.systems.slices.acts import node as slicing
from gpuassay.systems.slices.acts.das import DasSite
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import observed as slices_seen
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.model.paper import GPU_MODEL, GPUS, LARGE, MEDIUM, TABLE_6
from gpuassay.systems.slices.model.placement import first_fit
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.das_known import DAS, DAS_PROGRAM

PAPER = "paper on Kueue, DAS and llm-d: Table 6"
MIX = [MEDIUM, LARGE] * 16
NAMES = [f"{number:02d}-{profile[:2]}" for number, profile in enumerate(MIX)]


@scenario(system="slices", needs=(DAS_PROGRAM,), timeout=150)
def das_mix(lab: Lab) -> None:
    """32 pods, medium and large in turn, on eight GPUs; each is created once the one before is bound or refused."""
    with slicing.opened(lab, "das", gpus=(GPU_MODEL,) * GPUS) as opened:
        site = cast("DasSite", opened)
        for name, profile in zip(NAMES, MIX, strict=True):
            site.pod(name, profile)
            lab.until(lambda name=name: site.decided(name), f"{name} is bound or refused")
        bound = [name for name in NAMES if site.bound(name)]
        lab.observe(lambda: site.runs(*bound), "all bound pods run", timeout=120)
        site.identify(*(one for one in NAMES if site.runs(one)))
        site.note_rest("full")
        lab.mark("placed")
        site.delete(*(name for name in NAMES if name not in bound))  # nothing is placed while slices are being freed
        site.finish()


@behaviour(
    "slices.das.peak", level=MUST, spec=PAPER,
    red_when="other than 13 medium and 12 large of the paper's 32 jobs run at once on 8 GPUs",
    mutant="another-profile",
)  # fmt: skip
def test_das_runs_twenty_five_of_the_papers_jobs_at_once(das_mix: SlicesRecording, measure: Measure) -> None:
    """25 pods run at once, 13 medium and 12 large, as in the paper, and seven wait."""
    ran = slices_seen.ran(das_mix)
    measure.value(peak=len(ran), paper=TABLE_6[1].peak)
    measure.threshold(TABLE_6[1].peak)
    kinds = Counter(profile for name, profile in zip(NAMES, MIX, strict=True) if name in ran)
    assert kinds == {MEDIUM: 13, LARGE: 12}, das_mix.timeline_text()[:6000]
    assert len(das_mix.note(notes.REST)["full"].slices) == TABLE_6[1].peak


@behaviour(
    "slices.das.layout", level=MUST, spec=PAPER,
    red_when="a slice is placed elsewhere than first fit in the order of creation predicts", mutant="another-profile",
)  # fmt: skip
def test_das_places_by_first_fit(das_mix: SlicesRecording) -> None:
    """The slices on the fake GPUs are exactly where first fit predicts them."""
    oracle = [one for one in first_fit(MIX, judged.models(das_mix)) if one is not None]
    there = judged.standing_places(das_mix, das_mix.mark("placed"))
    assert sorted(there) == sorted(oracle), das_mix.timeline_text()[:6000]


@behaviour(
    "slices.das.identity-rate", level=INFO, spec=DAS,
    red_when="not all 25 containers report what they were given, or two report the same slice",
    mutant="one-name-for-all",
)  # fmt: skip
def test_das_identity_errors_are_counted(das_mix: SlicesRecording, measure: Measure) -> None:
    """No two of 25 pods share a slice; how many have the slice of another pod's claim (a race) is only counted."""
    runs = slices_seen.runs(das_mix)
    wrong = slices_rest.mixed_up_findings(das_mix, "full")
    measure.value(identity_errors=len(wrong), containers=len(runs), by_hand=3)
    assert sorted(one.pod for one in runs) == sorted(slices_seen.ran(das_mix))
    assert slices_seen.findings(das_mix) == [], das_mix.timeline_text()[:6000]


@behaviour(
    "slices.das.mix-freed", level=MUST, spec=DAS,
    red_when="one of 25 slices or CDI devices is left after all pods are deleted", mutant="slice-never-freed",
)  # fmt: skip
def test_das_frees_the_whole_mix(das_mix: SlicesRecording, measure: Measure) -> None:
    """When all 32 pods are deleted, no slice or CDI device is left; claims that a race leaks are only counted."""
    rest = das_mix.note(notes.REST)["end"]
    measure.value(leaked_claims=len(rest.allocated or ()))
    assert (rest.slices, rest.cdi, rest.pods) == ([], [], []), das_mix.timeline_text()[:6000]
