"""Tables 5 and 6: what slices gain where jobs queue for GPUs, and cost where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay import MUST, SHOULD, Arms, Inconclusive, Lab, Measure, behaviour, scenario
from gpuassay.stats import thresholds
from gpuassay.systems.slices.judge import at_rest as slices_rest
from gpuassay.systems.slices.judge import performance as judged
from gpuassay.systems.slices.judge.times import bias
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.performance import exhibits, figures, tables
from suites.slices.slicers import MIG

pytestmark = [pytest.mark.perf, pytest.mark.timeout(7200)]

PAPER = "paper on Kueue, DAS and llm-d: Tables 5 and 6"
LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))
SLICED = ("dynamic", "best", "balanced")


@scenario(system="slices", alone="machine", needs={"program:nvidia-dra", "program:nvidia-device-plugin"}, timeout=7200)
def tables_5_and_6(lab: Lab) -> None:
    """The paper's jobs run in two configurations at a time, each on 8 fake GPUs of its own; run times are modelled."""
    tables.act(lab)


@behaviour(
    "slices.performance.tables", level=MUST, spec=MIG,
    red_when="a job never completes, has no slice or GPU, or has memory slices of another job", mutant="request-lost",
)  # fmt: skip
def test_every_job_completes_on_slots_of_its_own(tables_5_and_6: SlicesRecording, arms: Arms, measure: Measure) -> None:
    """In every configuration each job completes on a legal placement and shares no memory slice with another."""
    found = arms(tables_5_and_6)
    if not any(figures.lacking_findings(arm) for arm in found.values()):
        exhibits.show(found, measure)
    for name, arm in found.items():
        assert figures.lacking_findings(arm) == [], name
        assert judged.overlap_findings(judged.stays(arm), judged.models(arm)) == [], name
        assert figures.slice_findings(arm) == [], name
        assert slices_rest.left_findings(arm) == [], name
    measure.value(arms=len(found), cpu_stall_share=max(figures.stall(arm) for arm in found.values()))


@pytest.mark.parametrize("way", tables.WAYS)
@behaviour(
    "slices.performance.twin", level=SHOULD, spec=PAPER,
    red_when="completion times differ from what placement and measured latencies explain",
    mutant="another-profile",
)  # fmt: skip
def test_net_completion_times_are_those_of_the_twin(
    tables_5_and_6: SlicesRecording, arms: Arms, measure: Measure, way: str
) -> None:
    """Net of Kubernetes' latencies, mean completion time and makespan lie within the simulation's interval."""
    margin = LIMITS.limit("twin_margin")
    for arm in figures.complete(arms(tables_5_and_6), "t6", way):
        seen, twin = figures.net_of(arm), figures.expected_of(arm)
        low, high = twin.interval(lambda one: one.completion.mean, margin)
        last, longest = twin.interval(lambda one: one.makespan, margin)
        measure.value(
            net_mean_s=seen.completion.mean, net_makespan_s=seen.makespan, twin_makespan_s=(last + longest) / 2
        )
        measure.interval(low, high)
        measure.threshold(f"{low:.2f} to {high:.2f} s")
        LIMITS.refuse_noise(arm)
        assert low <= seen.completion.mean <= high, (
            f"net mean {seen.completion.mean:.2f} s, twin {low:.2f} to {high:.2f}"
        )
        assert last <= seen.makespan <= longest, f"net makespan {seen.makespan:.2f} s, twin {last:.2f} to {longest:.2f}"


@pytest.mark.parametrize("way", SLICED)
@behaviour(
    "slices.performance.gain", level=SHOULD, spec=PAPER,
    red_when="slices shorten the mean completion time less than placement and run times predict",
    mutant="another-profile",
)  # fmt: skip
def test_slices_gain_what_the_twin_predicts(
    tables_5_and_6: SlicesRecording, arms: Arms, measure: Measure, way: str
) -> None:
    """For 32 jobs slices shorten the net mean completion time against whole GPUs as much as the simulation predicts."""
    found = arms(tables_5_and_6)
    mine, whole = figures.complete(found, "t6", way), figures.complete(found, "t6", "whole")
    shares: list[float] = []
    for one, base in zip(mine, whole, strict=True):
        ratio = figures.net_of(one).completion.mean / figures.net_of(base).completion.mean
        low, high = figures.ratio_interval(one, base, lambda times: times.completion.mean)
        gross = tuple(figures.gross_of(arm).completion.mean for arm in (one, base))
        clean = tuple(figures.net_of(arm).completion.mean for arm in (one, base))
        shares.append(bias((gross[0], gross[1]), (clean[0], clean[1])))
        measure.value(ratio=ratio, gross_ratio=gross[0] / gross[1], paper=18 / 28, latency_share=shares[-1])
        measure.interval(low, high)
        limit = min(1.0, high * (1 + LIMITS.limit("twin_margin")))
        measure.threshold(limit)
        LIMITS.refuse_noise(one)
        LIMITS.refuse_noise(base)
        assert ratio <= limit, f"net ratio {ratio:.3f} of means, the twin's is {low:.3f} to {high:.3f}"
    if max(shares) > LIMITS.limit("overhead_share"):
        raise Inconclusive(
            f"Kubernetes' own latencies, which do not shrink with run times, add {max(shares):.0%} of the effect, limit"
            f" {LIMITS.limit('overhead_share'):.0%}: --full has longer run times"
        )


@behaviour(
    "slices.performance.few-jobs", level=SHOULD, spec=PAPER,
    red_when="8 jobs on 8 GPUs wait for each other, or slices do not slow them down as modelled", mutant="request-lost",
)  # fmt: skip
def test_with_a_gpu_for_every_job_slices_only_slow_them_down(
    tables_5_and_6: SlicesRecording, arms: Arms, measure: Measure
) -> None:
    """Table 5: 8 jobs run at once on whole GPUs and on slices, so slices cost exactly their modelled slowdown."""
    found = arms(tables_5_and_6)
    for one, base in zip(figures.complete(found, "t5", "dynamic"), figures.complete(found, "t5", "whole"), strict=True):
        sliced, whole = figures.net_of(one), figures.net_of(base)
        low, high = figures.ratio_interval(one, base, lambda times: times.completion.mean)
        measure.value(ratio=sliced.completion.mean / whole.completion.mean, paper=17 / 14, sliced=sliced.peak)
        measure.interval(low, high)
        assert (sliced.peak, whole.peak) == (8, 8)
        assert low * 0.999 <= sliced.completion.mean / whole.completion.mean <= high * 1.001
