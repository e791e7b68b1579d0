"""Figures 5 to 7 on rounds whose truth is known."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from gpuassay.systems.llmd.judge.intervals import over_prompts, paired_difference, worst
from gpuassay.systems.llmd.judge.performance import (
    GainBars,
    bound_verdict,
    gain,
    gain_verdicts,
    growth_verdict,
    mean,
    overhead,
    paper_band_verdict,
    worst_of,
)
from gpuassay.systems.llmd.model.policies import PRECISE, RANDOM, Policy
from gpuassay.systems.llmd.model.prefix_cache import CacheShape
from gpuassay.systems.llmd.model.simulation import LatencyLaw, Platform, distinct_traffic, simulate
from gpuassay.systems.llmd.objects.prompts import paper_prompts, shuffled_order
from gpuassay.systems.llmd.rows import RequestRow
from tests.judge.routes import failed, rows_of, with_ttft

WARM = GainBars(mean_ratio=4.0, p99_ratio=5.0, mean_e2e=0.0)
COLD = GainBars(mean_ratio=2.5)


def rounds(level: float, added: float, seed: int, n: int = 5, drift: float = 0.5) -> list[list[RequestRow]]:
    """Rounds of 40 requests: TTFT of `level` + `added` ms, with a drift over rounds that all arms share."""
    noise = random.Random(seed)
    return [with_ttft([level + added + drift * i + abs(noise.gauss(0, 0.3)) for _ in range(40)]) for i in range(n)]


def passes(policy: Policy, seeds: range, concurrency: int = 8) -> dict[str, list[list[RequestRow]]]:
    """Cold and warm rounds as the model has them at the scaled load."""
    law = LatencyLaw(0.060, 0.00092, 0.010, output_tokens=16, max_num_seqs=32, time_factor_under_load=2.0)
    lengths = [prompt.tokens for prompt in paper_prompts(1, 0.1)]
    found: dict[str, list[list[RequestRow]]] = {"cold": [], "warm": []}
    for seed in seeds:
        traffic = distinct_traffic(lengths, [shuffled_order(32, 8, 2 * seed + i) for i in range(2)], 16)
        run = simulate(traffic, Platform(8, CacheShape(896, 16), law), policy, concurrency=concurrency, seed=seed)
        for phase, one in zip(("cold", "warm"), run, strict=True):
            found[phase].append(rows_of(one))
    return found


# --- Figure 5 --------------------------------------------------------------------------------------------------------


def test_overhead_is_the_difference_of_round_medians() -> None:
    """Red when drift, which all arms share, is taken for overhead, or rows that failed or warmed up count."""
    base, arm = rounds(2, 0, 1, drift=3), rounds(2, 5, 2, drift=3)
    arm[0] += [failed(99), replace(with_ttft([900])[0], warm_up=True)]
    found = overhead(8, arm, base)
    assert found.added.value == pytest.approx(0.005, abs=0.0002)
    assert found.added.high - found.added.low < 0.001
    assert found.added.told("ms", 1e3).endswith("(5 rounds)")


@pytest.mark.parametrize(
    ("added", "band", "bound"),
    [(5, "pass", "pass"), (0.5, "fail", "pass"), (20, "fail", "fail"), (14.95, "fail", None)],
)
def test_the_papers_band_and_a_bound(added: float, band: str, bound: str | None) -> None:
    """Red when an overhead outside of +3..+11 ms reproduces the paper, or one above the bound passes."""
    found = overhead(8, rounds(2, added, 1), rounds(2, 0, 2))
    assert paper_band_verdict([found]).outcome == band
    assert "the paper adds 3 to 11 ms; here 8 streams +" in paper_band_verdict([found]).reason
    if bound:
        assert bound_verdict(found, 0.015).outcome == bound
    assert "at most 15 ms" in bound_verdict(found, 0.015).reason


def test_noise_as_large_as_the_effect_is_inconclusive() -> None:
    """Red when two rounds that disagree give a pass or a fail."""
    arm = [with_ttft([6] * 20), with_ttft([16] * 20)]
    found = overhead(8, arm, [with_ttft([2] * 20)] * 2)
    assert paper_band_verdict([found]).outcome == "inconclusive"
    assert bound_verdict(found, 0.015).outcome == "inconclusive"


def test_a_failure_that_a_crowded_machine_does_not_explain() -> None:
    """Red when a picker that is as slow as its surroundings is certainly slow, or one that is far slower is not."""
    sluggish = bound_verdict(overhead(1, rounds(10, 50, 1), rounds(10, 0, 2)), 0.015)
    assert (sluggish.outcome, sluggish.certain) == ("fail", False)
    slow = bound_verdict(overhead(1, rounds(1, 50, 1, drift=0), rounds(1, 0, 2, drift=0)), 0.015)
    assert (slow.outcome, slow.certain) == ("fail", True)
    scattered = [with_ttft([level] * 20) for level in (42, 51, 60)]
    wide = bound_verdict(overhead(1, scattered, [with_ttft([1] * 20)] * 3), 0.015)
    assert (wide.outcome, wide.certain) == ("fail", False)
    assert not bound_verdict(overhead(1, rounds(1, 5, 1), rounds(1, 0, 2)), 0.015).certain
    both = worst_of([sluggish, slow])
    assert (both.outcome, both.certain, both.reason.count("; ")) == ("fail", True, 1)


@pytest.mark.parametrize(
    ("busy", "outcome"), [(None, "fail"), (0.5, "fail"), (0.97, "inconclusive")], ids=["unknown", "idle", "saturated"]
)
def test_streams_that_outrun_the_machine_say_nothing_of_the_picker(busy: float | None, outcome: str) -> None:
    """Red when waiting for a CPU is laid at the picker's door, or idle CPUs excuse it."""
    found = bound_verdict(overhead(32, rounds(10, 30, 1), rounds(10, 0, 2)), 0.011, busy)
    assert found.outcome == outcome
    assert ("97% busy" in found.reason) == (busy == 0.97)


def test_certain_slowness_is_no_matter_of_the_machine() -> None:
    """Red when a picker many times slower than the way without it is excused by busy CPUs."""
    assert bound_verdict(overhead(1, rounds(1, 50, 1, drift=0), rounds(1, 0, 2, drift=0)), 0.015, 0.97).certain


def test_one_concurrency_outside_the_band_fails_the_claim() -> None:
    """Red when the mean over concurrencies hides one that is outside."""
    inside, outside = overhead(1, rounds(2, 5, 1), rounds(2, 0, 2)), overhead(8, rounds(2, 40, 3), rounds(2, 0, 4))
    assert paper_band_verdict([inside, outside]).outcome == "fail"
    with pytest.raises(ValueError, match="no outcomes"):
        paper_band_verdict([])


def test_growth() -> None:
    """Red when an overhead that falls, or stays, counts as growing."""
    few, many = overhead(1, rounds(2, 4, 1), rounds(2, 0, 2)), overhead(32, rounds(9, 10, 3), rounds(9, 0, 4))
    assert growth_verdict([many, few]).outcome == "pass"
    falling = overhead(32, rounds(9, 1, 3), rounds(9, 0, 4))
    assert growth_verdict([few, falling]).outcome == "fail"
    same = overhead(32, rounds(2, 4, 5), rounds(2, 0, 6))
    assert growth_verdict([few, same]).outcome == "fail"
    unsteady = overhead(32, [with_ttft([level] * 20) for level in (1, 9, 4)], [with_ttft([1] * 20)] * 3)
    unknown = growth_verdict([overhead(1, rounds(2, 1, 1, n=3), rounds(2, 0, 2, n=3)), unsteady])
    assert (unknown.outcome, unknown.certain) == ("inconclusive", False)
    with pytest.raises(ValueError, match="at least two concurrencies"):
        growth_verdict([few])


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ([with_ttft([1])], "arms of one length"),
        ([[failed(0)], [failed(0)]], "without a single answered request"),
    ],
)
def test_rounds_that_cannot_be_compared_are_refused(arm: list[list[RequestRow]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        overhead(1, arm, [with_ttft([1])] * 2)


# --- Figures 6 and 7 -------------------------------------------------------------------------------------------------


def test_figures_6_and_7_of_the_model() -> None:
    """Red when the model's own runs miss the bars, or a cold pass is said to improve p99."""
    blind, knowing = passes(RANDOM, range(4)), passes(PRECISE, range(4))
    warm = gain("warm", 8, knowing["warm"], blind["warm"])
    verdicts = gain_verdicts(warm, WARM)
    assert {name: one.outcome for name, one in verdicts.items()} == {
        "mean_ratio": "pass",
        "p99_ratio": "pass",
        "mean_e2e": "pass",
    }
    assert 4 < warm.mean_ratio.value < 9
    assert warm.hit_rates[1] > 0.98 > 0.6 > warm.hit_rates[0]
    assert verdicts["mean_ratio"].reason.startswith("warm, 8 streams, hit rate 0.991 after 0.")
    cold = gain("cold", 8, knowing["cold"], blind["cold"])
    assert gain_verdicts(cold, COLD)["mean_ratio"].outcome == "pass"
    assert cold.p99_ratio.value < 1.4
    assert gain_verdicts(cold, GainBars(p99_ratio=5.0))["p99_ratio"].outcome == "fail"


def test_one_round_has_an_interval_over_its_prompts() -> None:
    """Red when a single round gives no interval, or one that claims to speak for other rounds."""
    blind, knowing = passes(RANDOM, range(1)), passes(PRECISE, range(1))
    found = gain("warm", 8, knowing["warm"], blind["warm"])
    assert (found.mean_ratio.basis, found.mean_ratio.n) == ("prompts", 32)
    assert found.mean_ratio.low < found.mean_ratio.value < found.mean_ratio.high
    assert gain_verdicts(found, WARM)["mean_ratio"].outcome == "pass"
    assert found == gain("warm", 8, knowing["warm"], blind["warm"])


def test_a_router_that_knows_nothing_gains_nothing() -> None:
    """Red when random against random passes as a gain: the A/A control."""
    one, other = passes(RANDOM, range(4)), passes(RANDOM, range(10, 14))
    found = gain("warm", 8, one["warm"], other["warm"])
    assert gain_verdicts(found, WARM)["mean_ratio"].outcome == "fail"
    assert gain_verdicts(found, WARM)["p99_ratio"].outcome == "fail"
    assert found.mean_ratio.low < 1 < found.mean_ratio.high


def test_a_gain_that_a_crowded_machine_does_not_hide() -> None:
    """Red when a gain that is too small is certainly none, or arms that changed places may be the machine's."""
    quick, slow = ([with_ttft([level + i % 3 for i in range(40)]) for _ in range(4)] for level in (100, 200))
    lost = gain_verdicts(gain("cold", 8, slow, quick), COLD)["mean_ratio"]
    assert (lost.outcome, lost.certain) == ("fail", True)
    small = gain_verdicts(gain("cold", 8, quick, slow), COLD)["mean_ratio"]
    assert (small.outcome, small.certain) == ("fail", False)


def test_only_what_is_asked_is_judged() -> None:
    knowing = passes(PRECISE, range(2))
    assert gain_verdicts(gain("warm", 8, knowing["warm"], knowing["warm"]), GainBars()) == {}
    judged = gain_verdicts(gain("warm", 8, knowing["warm"], knowing["warm"]), GainBars(p99_e2e=-1.0))
    assert judged["p99_e2e"].outcome == "fail"
    assert "E2E p99 differs by 0 s" in judged["p99_e2e"].reason


def test_arms_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of rounds"):
        gain("warm", 1, [with_ttft([1])], [with_ttft([1])] * 2)
    with pytest.raises(ValueError, match="same prompts"):
        gain("warm", 1, [with_ttft([1, 2])], [with_ttft([1, 2, 3])])


# --- intervals -------------------------------------------------------------------------------------------------------


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Red when 95 % is not 95 %: for differences over rounds, and for a ratio over prompts."""
    source, held = random.Random(1), 0
    for _ in range(600):
        base = [source.gauss(10, 3) for _ in range(5)]
        found = paired_difference([one + 4 + source.gauss(0, 1) for one in base], base)
        held += found.low <= 4 <= found.high
    assert 0.92 <= held / 600 <= 0.98


def test_prompts_are_drawn_not_requests() -> None:
    """Red when 8 equal requests per prompt make the interval narrower than one does."""
    source = random.Random(2)
    once = {f"p{i}": [source.uniform(1, 9)] for i in range(30)}
    often = {label: values * 8 for label, values in once.items()}
    other = {label: [1.0] for label in once}
    narrow = over_prompts(often, {label: [1.0] * 8 for label in once}, mean, lambda a, b: a / b)
    assert narrow.low == pytest.approx(over_prompts(once, other, mean, lambda a, b: a / b).low)


def test_prompts_may_have_lost_requests() -> None:
    """Red when a request that failed, so that a prompt has fewer values, changes more than itself or stops all."""
    source = random.Random(4)
    a = {f"p{i}": [source.uniform(1, 9) for _ in range(8)] for i in range(20)}
    b = {label: [value / 2 for value in values] for label, values in a.items()}
    whole = over_prompts(a, b, mean, lambda x, y: x / y)
    assert whole.value == pytest.approx(2)
    assert whole.low == pytest.approx(2)
    a["p3"] = a["p3"][:-1]
    less = over_prompts(a, b, mean, lambda x, y: x / y)
    assert less.value == pytest.approx(2, abs=0.05)
    assert less.low < less.value < less.high


def test_effects_of_nonsense_are_refused() -> None:
    for a, b in (([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, float("inf")], [1.0, 1.0])):
        with pytest.raises(ValueError, match=r"at least 2 rounds|one length|finite"):
            paired_difference(a, b)
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["inconclusive", "fail"]) == "fail"
