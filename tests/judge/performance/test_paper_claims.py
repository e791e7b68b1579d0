"""The paper's claims on made-up rounds: reproduced, refuted, refused; and what the run times of its files predict."""

from __future__ import annotations

from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gpuassay import Inconclusive
from gpuassay.stats.claims import Claim, Plan, judge
from gpuassay.stats.evidence import pairs
from gpuassay.stats.rulings import sentence, settle
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.predict import predict
from gpuassay.systems.kueue.readings import KueueRecording
from gpuassay.workloads.run_times import LARGE_AUDIO, MEDIUM_AUDIO, PAPERS_FILES, runtimes
from suites.kueue.performance import paper_claims as kueue
from suites.kueue.performance import tables, test_table3
from suites.kueue.performance.paper_rounds import PLAN
from suites.llmd.performance import paper_claims as llmd
from suites.slices.performance import test_paper as slices

SPANS = {"fifo": 170.0, "fifo-again": 170.5, "priority": 158.0, "preemption": 152.0, "two-queues": 159.0}
"""Net makespans in s of arms that do as the twin says, plain Jobs at 172 s on average."""


class Made:
    """What the rule reads of an arm's recording."""

    def __init__(self, name: str, number: int, span: float, stall: float = 0.3, inversions: int = 0) -> None:
        self.name = f"{name}-{number}"
        self.number = number
        self.meta = SimpleNamespace(pressure={"cpu_stall_share": stall, "others_cpu_share": 0.0})
        self.figures = SimpleNamespace(makespan=span, net_makespan=span, start_inversions=inversions)

    def note(self, note: object) -> int:
        del note
        return self.number


@pytest.fixture(autouse=True)
def figures_of_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def figures_of(one: Made) -> object:
        return one.figures

    for module in (kueue, tables):
        monkeypatch.setattr(module, "figures_of", figures_of)


def nothing(*given: object, **named: object) -> str:
    """In the place of a gate that lets all pass."""
    del given, named
    return ""


def played(rounds: int, *, stall: float = 0.3, inversions: int = 0, **spans: float) -> dict[str, KueueRecording]:
    """Rounds of all arms: plain Jobs scatter by 5 %, the others by 0.5 %."""
    source = np.random.default_rng(20261130)
    made: dict[str, Any] = {}
    for number in range(1, rounds + 1):
        for name in kueue.ARMS:
            plain = name in kueue.PLAIN
            middle = 172.0 if plain else spans.get(name.replace("-", "_"), SPANS.get(name, 0.0))
            span = middle * float(np.exp(source.normal(0, 0.05 if plain else 0.005)))
            made[f"{name}-{number}"] = Made(name, number, span, stall, 9 if plain else inversions)
    return cast("dict[str, KueueRecording]", made)


def test_rounds_like_the_twins_reproduce_the_papers_makespans() -> None:
    found = kueue.makespans(played(7), PLAN)
    assert {name: one.outcome for name, one in found.items()} == dict.fromkeys(kueue.MAKESPAN, "holds")


def test_a_configuration_that_gains_nothing_is_not_reproduced() -> None:
    found = kueue.makespans(played(7, preemption=185.0, fifo=210.0, fifo_again=210.0), PLAN)
    assert found["preemption"].outcome == found["fifo"].outcome == "refuted"
    assert found["priority"].outcome == "holds"


@pytest.mark.parametrize(
    ("rounds", "told"),
    [
        (played(7, fifo_again=180.0), "control is"),
        (played(7, stall=0.9), "work waited for a CPU 90%"),
    ],
    ids=["control", "crowded"],
)
def test_nothing_is_decided_where_the_control_fails_or_the_machine_is_crowded(
    rounds: dict[str, KueueRecording], told: str
) -> None:
    for found in (kueue.makespans(rounds, PLAN), {"order": kueue.order(rounds, PLAN)}):
        assert {one.outcome for one in found.values()} == {"undecided"}
        assert all(told in one.reason for one in found.values())


def test_one_round_decides_no_claim() -> None:
    assert {one.outcome for one in kueue.makespans(played(1), PLAN).values()} == {"undecided"}


def test_the_order_of_starts_is_kueues_or_chances() -> None:
    assert kueue.order(played(5), PLAN).outcome == "holds"
    assert kueue.order(played(5, inversions=9), PLAN).outcome == "refuted"


def test_the_control_gates_its_neighbours() -> None:
    assert test_table3.control_off(played(1)) == ""
    assert "control is" in test_table3.control_off(played(1, fifo_again=180.0))
    assert "control is" in test_table3.control_off(played(5, fifo_again=180.0))
    assert test_table3.control_off(played(5)) == ""


def test_the_run_times_are_those_of_the_papers_files() -> None:
    """Table 2 prints medians of 3,287 s and 3,120 s; Table 3 execution medians of 6.6 and 17.2 minutes."""
    assert median(MEDIUM_AUDIO) == 3287
    assert median(LARGE_AUDIO) == pytest.approx(3120, rel=0.002)
    medium, large = runtimes(PAPERS_FILES)
    assert (median(medium), median(large)) == pytest.approx((6.6 * 60, 17.2 * 60))
    assert runtimes(PAPERS_FILES, 0.05)[0] == pytest.approx([0.05 * one for one in medium])
    assert len(runtimes(PAPERS_FILES, each=4)[1]) == 4
    with pytest.raises(ValueError, match="16 files"):
        runtimes(PAPERS_FILES, each=17)


def test_the_twin_on_the_papers_files_comes_near_its_table_3() -> None:
    """Plain Jobs 60.5 min; priority 0.904, preemption 0.845, two queues 0.909: the same order, within 6 %."""
    spans = {
        name: figures.makespan(predict(name, PAPERS_FILES).runs)
        for name in ("pure", "fifo", "priority", "preemption", "two-queues-large-borrows")
    }
    assert spans["pure"] / 60 == pytest.approx(60.5, rel=0.07)
    for name, paper in (
        ("fifo", 1.033), ("priority", 0.904), ("preemption", 0.845), ("two-queues-large-borrows", 0.909),
    ):  # fmt: skip
        assert spans[name] / spans["pure"] == pytest.approx(paper, rel=0.06)


def completed(mean: float, peak: int) -> Any:
    return SimpleNamespace(
        peak=peak, completion=SimpleNamespace(mean=mean, median=mean * 0.9, p95=mean * 1.9, deviation=mean / 2)
    )


@pytest.mark.parametrize(("sliced", "outcome"), [(18.0, "holds"), (28.0, "refuted")])
def test_table_6_on_made_up_rounds(monkeypatch: pytest.MonkeyPatch, sliced: float, outcome: str) -> None:
    arms: dict[str, Any] = {
        f"t6-{way}-{number}": SimpleNamespace(
            name=way, meta=SimpleNamespace(pressure={"cpu_stall_share": 0.2, "others_cpu_share": 0.0}), number=number
        )
        for way in ("dynamic", "whole")
        for number in (1, 2, 3)
    }

    def complete(found: dict[str, Any], table: str, way: str) -> list[Any]:
        del table
        return [one for one in found.values() if one.name == way]

    def net_of(arm: Any) -> Any:
        mean, peak = (sliced, 25 if sliced < 28 else 8) if arm.name == "dynamic" else (28.0, 8)
        return completed(mean + 0.1 * arm.number, peak)

    monkeypatch.setattr(slices.figures, "complete", complete)
    monkeypatch.setattr(slices.figures, "net_of", net_of)
    assert {one.outcome for one in slices.rulings(arms).values()} == {outcome}
    arms["t6-whole-1"].meta.pressure["others_cpu_share"] = 0.5
    assert {one.outcome for one in slices.rulings(arms).values()} == {"undecided"}


MS = {("picker-random", "gateway"): (6.0, 9.0), ("gateway", "direct"): (0.5, 0.9)}


@pytest.mark.parametrize(
    ("changed", "refuted"),
    [
        ({}, set[str]()),
        ({("picker-random", "gateway"): (6.0, 30.0)}, {"picker-8"}),
        ({("picker-random", "gateway"): (6.0, 5.9)}, {"growth"}),
        ({("gateway", "direct"): (5.0, 5.0)}, {"gateway-1", "gateway-8"}),
    ],
)
def test_figure_5_on_made_up_rounds(
    monkeypatch: pytest.MonkeyPatch, changed: dict[tuple[str, str], tuple[float, float]], refuted: set[str]
) -> None:
    def less(recording: object, arm: str, base: str, streams: int) -> list[float]:
        del recording
        middle = (MS | changed)[arm, base][llmd.STREAMS_5.index(streams)]
        return [middle + noise for noise in (-0.1, 0.0, 0.1, 0.05, -0.05)]

    monkeypatch.setattr(llmd, "_less", less)
    monkeypatch.setattr(llmd, "refused_5", nothing)
    found = llmd.overheads(cast("Any", None))
    assert {name for name, one in found.items() if one.outcome == "refuted"} == refuted
    assert {one.outcome for name, one in found.items() if name not in refuted} == {"holds"}

    def machine(recording: object) -> str:
        del recording
        return "the machine"

    monkeypatch.setattr(llmd, "refused_5", machine)
    assert {one.outcome for one in llmd.overheads(cast("Any", None)).values()} == {"undecided"}


@pytest.mark.parametrize(("gain", "outcome"), [(6.0, "holds"), (1.0, "refuted")])
def test_figures_6_and_7_on_made_up_rounds(monkeypatch: pytest.MonkeyPatch, gain: float, outcome: str) -> None:
    def values(recording: object, arm: str, of: object, figure: object) -> list[float]:
        del recording, of, figure
        base = 0.5 if arm.startswith("random") else 0.5 / gain + (0.05 if gain == 1 else 0.0)
        return [base * one for one in (0.97, 1.0, 1.03, 1.01, 0.99)]

    monkeypatch.setattr(llmd, "_values", values)
    monkeypatch.setattr(llmd, "refused_67", nothing)
    assert {one.outcome for one in llmd.gains(cast("Any", None)).values()} == {outcome}


@pytest.mark.parametrize(("again", "told"), [(1.0, ""), (2.0, "control: random routing differs from itself by +100")])
def test_random_routing_beside_itself_is_the_control(monkeypatch: pytest.MonkeyPatch, again: float, told: str) -> None:
    def values(recording: object, arm: str, of: object, figure: object) -> list[float]:
        del recording, of, figure
        return [(0.5 * again if arm == llmd.RANDOM_AGAIN else 0.5) * one for one in (1, 1.02, 0.98)]

    def note(asked: object) -> dict[int, None]:
        del asked
        return {llmd.STREAMS_67: None}

    monkeypatch.setattr(llmd.LIMITS.__class__, "refuse_noise", nothing)
    monkeypatch.setattr(llmd, "require_valid", nothing)
    monkeypatch.setattr(llmd, "_values", values)
    recording: Any = SimpleNamespace(note=note)
    assert llmd.refused_67(recording).startswith(told)
    assert bool(llmd.refused_67(recording)) is bool(told)


def test_a_ruling_as_a_verdict() -> None:
    claim = Claim("a", "f", "lower", 0.02, paper=0.904)
    clear = [0.84, 0.85, 0.86, 0.85, 0.845]
    settle(claim, judge({"a": (claim, pairs(clear, [1.0] * 5))}, Plan())["a"])
    with pytest.raises(AssertionError, match=r"not reproduced: 1.18 .* paper 0.904"):
        settle(claim, judge({"a": (claim, pairs([1.0] * 5, clear))}, Plan())["a"])
    undecided = judge({"a": (claim, pairs(clear[:2], [1.0] * 2))}, Plan())["a"]
    with pytest.raises(Inconclusive, match="2 of at least 3 rounds"):
        settle(claim, undecided)
    single = judge({"a": (claim, pairs([0.9], [1.0]))}, Plan())["a"]
    assert sentence(claim, single) == "0.9 (1 round), paper 0.904: 1 of at least 3 rounds: fewer decide nothing"
