"""Ratios and their verdicts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.stats.ratios import (
    Outcome,
    RatioInterval,
    equivalent,
    paired_ratio,
    three_valued,
    welch_ratio,
)

QUIET = settings(derandomize=True, deadline=None, max_examples=80)
TIMES = st.floats(0.1, 1000)


def coverage(
    estimate: Callable[[Sequence[float], Sequence[float]], RatioInterval], n: int, drift: float, trials: int = 600
) -> float:
    """Share of simulated experiments, true ratio 0.9 and 3 % noise per run, whose interval holds the truth."""
    source, held = random.Random(20261121 + n), 0
    for _ in range(trials):
        level, a, b = 0.0, list[float](), list[float]()
        for _ in range(n):
            level += source.gauss(0, drift)
            a.append(90 * math.exp(level + source.gauss(0, 0.03)))
            b.append(100 * math.exp(level + source.gauss(0, 0.03)))
        found = estimate(a, b)
        held += found.low <= 0.9 <= found.high
    return held / trials


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(n: int) -> None:
    """Red when 95 % is not 95 %: bootstrap intervals of three runs hold it 79 to 89 % of the time."""
    assert 0.92 <= coverage(paired_ratio, n, 0.0) <= 0.98
    assert 0.92 <= coverage(welch_ratio, n, 0.0) <= 0.99


def test_pairs_survive_drift() -> None:
    """Red when a machine that slows down during the experiment makes the arms look different."""
    assert 0.92 <= coverage(paired_ratio, 5, 0.05) <= 0.98


@QUIET
@given(st.lists(st.tuples(TIMES, TIMES), min_size=2, max_size=8))
def test_swapping_the_arms_inverts_the_ratio(pairs: list[tuple[float, float]]) -> None:
    """Red when the interval is not symmetric in the arms, as one on plain differences would be."""
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    for estimate in (paired_ratio, welch_ratio):
        there, back = estimate(a, b), estimate(b, a)
        assert there.low <= there.ratio <= there.high
        assert there.ratio == pytest.approx(1 / back.ratio)
        assert (there.low, there.high) == (pytest.approx(1 / back.high), pytest.approx(1 / back.low))


@QUIET
@given(st.lists(st.tuples(TIMES, TIMES), min_size=2, max_size=8), st.floats(0.01, 100))
def test_the_unit_does_not_matter(pairs: list[tuple[float, float]], factor: float) -> None:
    """Red when seconds and minutes give other ratios."""
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    here, there = paired_ratio(a, b), paired_ratio([x * factor for x in a], [x * factor for x in b])
    assert (here.ratio, here.low, here.high) == (
        pytest.approx(there.ratio),
        pytest.approx(there.low),
        pytest.approx(there.high),
    )


def test_equal_arms_have_ratio_one_and_no_width() -> None:
    """Red when an A/A arm of a deterministic system does not give exactly 1."""
    found = paired_ratio([3.0, 5.0, 7.0], [3.0, 5.0, 7.0])
    assert (found.ratio, found.low, found.high, found.n) == (1, 1, 1, 3)
    assert welch_ratio([3.0, 3.0], [3.0, 3.0]).high == 1


def test_two_wild_runs_know_nothing_but_do_not_crash() -> None:
    """Red when an interval too wide for a float is an error instead of an inconclusive verdict."""
    found = paired_ratio([1.0, 1e9], [1e9, 1.0], confidence=0.999)
    assert (found.low, found.high) == (0.0, math.inf)
    assert three_valued(found, 1.0) == "inconclusive"


@pytest.mark.parametrize("bad", [[1.0], [1.0, 0.0], [1.0, -2.0], [1.0, math.nan], [1.0, math.inf]])
def test_bad_arms_are_refused(bad: list[float]) -> None:
    """Red when one run, a zero, a negative or a missing time gives an interval."""
    for estimate in (paired_ratio, welch_ratio):
        with pytest.raises(ValueError, match="needs"):
            estimate(bad, [1.0] * len(bad))
    with pytest.raises(ValueError, match="one length, not 2 and 3"):
        paired_ratio([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="confidence"):
        paired_ratio([1.0, 2.0], [1.0, 2.0], confidence=95)


@pytest.mark.parametrize(
    ("low", "high", "lower", "higher"),
    [
        (0.8, 0.9, "pass", "fail"),
        (0.8, 1.0, "pass", "inconclusive"),
        (0.9, 1.1, "inconclusive", "inconclusive"),
        (1.0, 1.1, "inconclusive", "pass"),
        (1.1, 1.2, "fail", "pass"),
        (1.0, 1.0, "pass", "pass"),
        (-math.inf, math.inf, "inconclusive", "inconclusive"),
    ],
)
def test_three_values(low: float, high: float, lower: Outcome, higher: Outcome) -> None:
    """Red when an interval that straddles the threshold is a pass or a fail."""
    assert three_valued((low, high), 1.0) == lower
    assert three_valued((low, high), 1.0, better="higher") == higher
    assert three_valued(RatioInterval(1.0, low, high, 3), 1.0) == lower


@pytest.mark.parametrize("ends", [(math.nan, 1.0), (0.5, math.nan), (2.0, 1.0)])
def test_no_verdict_on_nonsense(ends: tuple[float, float]) -> None:
    """Red when a NaN compares false into a pass."""
    with pytest.raises(ValueError, match="no verdict"):
        three_valued(ends, 1.0)
    with pytest.raises(ValueError, match="no verdict"):
        three_valued((0.5, 1.0), math.nan)


def test_equivalence_needs_proof() -> None:
    """Red when "not shown to differ" passes for "shown to be equal"."""
    base = [100.0, 101.0, 99.0, 100.5, 99.5]
    assert equivalent([x * 1.001 for x in base], base, 0.02) == "pass"
    assert equivalent([x * 1.1 for x in base], base, 0.02) == "fail"
    assert equivalent([x / 1.1 for x in base], base, 0.02) == "fail"
    assert equivalent([90.0, 112.0, 95.0, 108.0, 99.0], base, 0.02) == "inconclusive"
    spread = [math.exp(x) for x in (-0.01, 0.0, 0.01)]  # within 2 % at 90 %, beyond it at 95 %: TOST takes 1 - 2 alpha
    assert equivalent(spread, [1.0, 1.0, 1.0], 0.02) == "pass"
    assert equivalent(spread, [1.0, 1.0, 1.0], 0.02, alpha=0.025) == "inconclusive"
    with pytest.raises(ValueError, match="margin"):
        equivalent(base, base, 0)
