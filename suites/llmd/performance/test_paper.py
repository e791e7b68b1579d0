"""The paper's claims about routing, each decided by rounds: `pytest -m paper`."""

from __future__ import annotations

import pytest

from gpuassay import INFO, Measure, behaviour, scenario
from gpuassay.stats.rulings import settle
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.performance import paper_claims, paper_load
from suites.llmd.performance.paper_claims import GAIN, OVERHEAD

pytestmark = [pytest.mark.paper, pytest.mark.timeout(7200)]

FIGURE_5 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Figure 5"
FIGURES_67 = "paper on Kueue, DAS and llm-d (arXiv 2602.04900): Figures 6 and 7"


@scenario(system="routing", alone="machine", timeout=7200, keep=True)
def paper_ways(lab: RoutingLab) -> None:
    """One model server, requested directly (twice), through Envoy, and through Envoy with a picker, in five rounds."""
    paper_load.figure_5(lab)


@scenario(system="routing", alone="machine", timeout=7200, keep=True)
def paper_passes(lab: RoutingLab) -> None:
    """The paper's 32 prompts, 8 times each, under random (twice) and precise routing side by side, in five rounds."""
    paper_load.figures_6_and_7(lab)


@pytest.mark.parametrize("name", OVERHEAD)
@behaviour(
    "llmd.performance.paper-overhead", level=INFO, spec=FIGURE_5,
    red_when="a picker adds more than 11 ms or no more with more streams, or a gateway alone costs as much as a picker",
    mutant="picker-slow",
)  # fmt: skip
def test_the_papers_overhead(paper_ways: RoutingRecording, measure: Measure, name: str) -> None:
    """A picker adds at most 11 ms to the median TTFT, more with more streams; a gateway without one less than 3 ms."""
    ruling = paper_claims.overheads(paper_ways)[name]
    measure.claim("Figure 5", OVERHEAD[name], ruling, "ms")
    settle(OVERHEAD[name], ruling, "ms")


@pytest.mark.parametrize("name", GAIN)
@behaviour(
    "llmd.performance.paper-gain", level=INFO, spec=FIGURES_67,
    red_when="with warm caches, precise routing does not halve TTFT, or requests do not end earlier",
    mutant="picker-random",
)  # fmt: skip
def test_the_papers_gain(paper_passes: RoutingRecording, measure: Measure, name: str) -> None:
    """With warm caches, precise routing more than halves TTFT (mean, p99, spread) and requests end earlier."""
    ruling = paper_claims.gains(paper_passes)[name]
    claim = GAIN[name]
    unit = "s" if claim.kind == "difference" else ""
    measure.claim("Figure 6" if name.startswith("ttft") else "Figure 7", claim, ruling, unit)
    settle(claim, ruling, unit)
