"""Quantiles of samples and of histograms."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuassay.stats.quantiles import bucket_quantile, quantile, quantile_interval

QUIET = settings(derandomize=True, deadline=None, max_examples=150)
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)


@QUIET
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0, 1))
def test_there_is_one_definition(values: list[float], q: float) -> None:
    """Red when our quantile is not numpy's default, or leaves the range of the values."""
    found = quantile(values, q)
    assert found == pytest.approx(float(np.quantile(values, q)), rel=1e-9, abs=1e-6)
    assert min(values) <= found <= max(values)


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0, math.nan], 0.5), ([1.0], 1.1), ([1.0], math.nan)])
def test_there_is_no_quantile_of_nothing(values: list[float], q: float) -> None:
    """Red when an empty class of jobs has a median, or 95 is taken for 0.95."""
    with pytest.raises(ValueError, match=r"value|quantile"):
        quantile(values, q)
    with pytest.raises(ValueError, match=r"value|quantile"):
        quantile_interval(values, q)


def test_too_few_values_bound_no_far_percentile() -> None:
    """Red when 256 requests are said to bound the 99th percentile from above."""
    few = [float(i) for i in range(256)]
    low, high = quantile_interval(few, 0.99)
    assert low is not None and high is None
    assert quantile_interval([float(i) for i in range(1000)], 0.99)[1] is not None
    assert quantile_interval([1.0, 2.0, 3.0], 0.5) == (None, None)


def test_the_interval_of_a_percentile_covers() -> None:
    """Red when the interval holds the true percentile less often than it says."""
    source, held = random.Random(3), 0
    for _ in range(400):
        low, high = quantile_interval([source.expovariate(1.0) for _ in range(80)], 0.9)
        held += (low is None or low <= math.log(10)) and (high is None or math.log(10) <= high)
    assert held / 400 >= 0.94


@QUIET
@given(
    st.lists(st.floats(0, 12) | st.sampled_from(EDGES[:-1]), min_size=1, max_size=60),
    st.floats(0.001, 1) | st.sampled_from([0.5, 0.95, 0.99]),
)
def test_the_bucket_holds_the_true_quantile(values: list[float], q: float) -> None:
    """Red when the reported interval does not contain the observation that is the quantile."""
    buckets = {edge: float(sum(v <= edge for v in values)) for edge in EDGES}
    found = bucket_quantile(buckets, q)
    rank = next(k for k in range(1, len(values) + 1) if k >= q * len(values))
    truth = sorted(values)[rank - 1]
    assert found.lower < truth <= found.upper or truth == found.lower == 0
    assert found.lower <= found.interpolated <= found.upper
    assert found.count == len(values)


def test_a_histogram_cannot_tell_below_its_first_edge() -> None:
    """Red when a median from the first bucket is given as a number without its interval."""
    found = bucket_quantile({0.005: 30, 0.01: 31, math.inf: 32}, 0.5)
    assert (found.lower, found.upper) == (0.0, 0.005)
    assert found.interpolated == pytest.approx(0.005 * 16 / 30)


def test_beyond_the_last_edge_there_is_no_upper_end() -> None:
    """Red when a tail beyond the buckets looks bounded."""
    found = bucket_quantile({1.0: 5, math.inf: 10}, 0.99)
    assert (found.lower, found.upper, found.interpolated) == (1.0, math.inf, 1.0)


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ({}, "le=.Inf"),
        ({1.0: 3.0}, "le=.Inf"),
        ({1.0: 3.0, math.inf: 2.0}, "fall"),
        ({1.0: -1.0, math.inf: 2.0}, "fall"),
        ({1.0: 0.0, math.inf: 0.0}, "no observations"),
    ],
)
def test_a_broken_histogram_is_refused(buckets: dict[float, float], message: str) -> None:
    """Red when a reset counter, a lost bucket or no data gives a latency."""
    with pytest.raises(ValueError, match=message):
        bucket_quantile(buckets, 0.5)
