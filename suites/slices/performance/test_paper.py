"""The paper's claims about slices, decided by rounds: `pytest -m paper`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gpuassay import INFO, Arms, Inconclusive, Lab, Measure, behaviour, scenario
from gpuassay.stats import thresholds
from gpuassay.stats.claims import Claim, Ruling, judge
from gpuassay.stats.evidence import pairs
from gpuassay.stats.rulings import settle
from gpuassay.systems.slices.readings import SlicesRecording
from suites.slices.performance import figures, paper_rounds
from suites.slices.performance.paper_rounds import PLAN

pytestmark = [pytest.mark.paper, pytest.mark.timeout(7200)]

TABLE_5 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Table 5"
TABLE_6 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Table 6"
LIMITS = thresholds.load(Path(__file__).with_name("thresholds.json"))

LEAST = 0.05
"""Least change of completion times worth calling one: the paper rounds its own to a minute in 28."""
CLAIMS = {
    "mean": Claim("mean", "completion", "lower", LEAST, paper=18 / 28),
    "median": Claim("median", "completion", "lower", LEAST, paper=16 / 28),
    "p95": Claim("p95", "completion", "lower", LEAST, paper=36 / 51),
    "deviation": Claim("deviation", "completion", "lower", LEAST, paper=9 / 14),
    "peak": Claim("peak", "completion", "higher", 1.0, paper=25 / 8),
}
"""Dynamic slices over whole GPUs: completion times are shorter, and more than twice as many jobs run at once."""

UNTESTABLE: dict[str, tuple[str, float | None, str, str]] = {
    "table-5-mean": ("Table 5", 17 / 14, "a job's slowdown on a slice is an input here, fitted to this very table", ""),
    "table-5-p95": ("Table 5", 40 / 36, "a job's slowdown on a slice is an input here, fitted to this very table", ""),
    "gpu-utilisation": ("Table 6", None, "fake GPUs do no work: utilisation needs real ones and DCGM", "%"),
    "tensor-activity": ("Table 6", 3.0, "fake GPUs do no work: tensor cores' activity needs real ones and DCGM", "%"),
    "dram-activity": ("Table 6", 38.0, "fake GPUs do no work: memory activity needs real ones and DCGM", "%"),
    "worker-cpu": ("Table 6", 37.0, "jobs sleep instead of transcribing: the node's CPUs have nothing to do", "%"),
}
"""Where the claim stands, its value, why it cannot be tested without GPUs, its unit."""


@scenario(
    system="slices", alone="machine", needs={"program:nvidia-dra", "program:nvidia-device-plugin"}, timeout=7200,
    keep=True,
)  # fmt: skip
def paper(lab: Lab) -> None:
    """The paper's 32 jobs on slices cut on demand and on whole GPUs side by side, in rounds; run times are modelled."""
    paper_rounds.act(lab)


def rulings(found: Mapping[str, SlicesRecording]) -> dict[str, Ruling]:
    """How the claims of Table 6 stand, by net times; AssertionError where a job did not complete."""
    mine, whole = ([figures.net_of(arm) for arm in figures.complete(found, "t6", way)] for way in ("dynamic", "whole"))
    family = {
        name: (claim, pairs(*([_figure(one, name) for one in side] for side in (mine, whole))))
        for name, claim in CLAIMS.items()
    }
    return judge(family, PLAN, refused=refused(found))


def refused(found: Mapping[str, SlicesRecording]) -> str:
    """Why nothing may be decided from these rounds: a crowded machine; "" if it may."""
    for arm in found.values():
        try:
            LIMITS.refuse_noise(arm)
        except Inconclusive as crowded:
            return str(crowded)
    return ""


def _figure(times: figures.Times, name: str) -> float:
    return float(times.peak) if name == "peak" else float(getattr(times.completion, name))


@pytest.mark.parametrize("figure", CLAIMS)
@behaviour(
    "slices.performance.paper-claim", level=INFO, spec=TABLE_6,
    red_when="dynamic slices do not shorten the completion times of 32 jobs", mutant="",
)  # fmt: skip
def test_the_papers_claim_about_completion_times(
    paper: SlicesRecording, arms: Arms, measure: Measure, figure: str
) -> None:
    """Dynamic slices shorten completion of 32 jobs against whole GPUs (paper: mean 36 %, 95th percentile 29 %)."""
    ruling = rulings(arms(paper))[figure]
    measure.claim("Table 6", CLAIMS[figure], ruling)
    settle(CLAIMS[figure], ruling)


@pytest.mark.parametrize("name", UNTESTABLE)
@behaviour(
    "slices.performance.paper-needs-gpus", level=INFO, spec=TABLE_5,
    red_when="on real GPUs, the figure differs from the paper's", mutant="",
)  # fmt: skip
def test_the_papers_figures_of_silicon(measure: Measure, name: str) -> None:
    """Slowdown on slices, and how busy GPUs and CPUs are, are as the paper says."""
    where, value, why, unit = UNTESTABLE[name]
    measure.untestable(where, value, why, unit)
