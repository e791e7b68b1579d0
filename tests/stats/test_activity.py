"""What GPUs did counts only as far as somebody has just looked."""

from __future__ import annotations

import pytest

from gpuassay.stats.activity import FIGURES, Key, activity

ONE: Key = (("gpu", "0"),)
TWO: Key = (("gpu", "1"),)
MOMENTS = [0.0, 15.0, 30.0, 45.0]


def test_fresh_samples_are_averaged_over_all_series() -> None:
    values = {ONE: [(at, 0.5) for at in MOMENTS], TWO: [(at, 0.1) for at in MOMENTS]}
    stamps = {key: [(at, at - 10) for at in MOMENTS] for key in values}
    found = activity(values, stamps, 4, 100.0)
    assert (found.series, found.fresh, found.oldest) == (2, 1.0, 10.0)
    assert found.mean == pytest.approx(30.0) and found.most == pytest.approx(50.0)


def test_a_sample_that_is_repeated_long_after_tells_nothing() -> None:
    """Red when the last word of an exporter that has fallen silent is taken for what the GPUs did."""
    values = {ONE: [(at, 0.9) for at in MOMENTS]}
    silent = {ONE: [(at, -50.0) for at in MOMENTS]}
    found = activity(values, silent, 4)
    assert (found.mean, found.most, found.fresh, found.oldest) == (None, None, 0.25, 95.0)
    assert activity(values, {}, 4).mean is None
    assert activity(values, {TWO: silent[ONE]}, 4).mean is None


def test_half_of_the_moments_are_enough_and_less_is_not() -> None:
    stamps = {ONE: [(at, at) for at in MOMENTS]}
    half, less = activity({ONE: [(0.0, 1.0), (15.0, 3.0)]}, stamps, 4), activity({ONE: [(0.0, 1.0)]}, stamps, 4)
    assert (half.mean, half.fresh) == (2.0, 0.5)
    assert (less.mean, less.fresh) == (None, 0.25)


def test_nothing_known_is_nothing_said() -> None:
    found = activity({}, {}, 4)
    assert (found.series, found.mean, found.fresh, found.oldest) == (0, None, 0.0, None)


def test_every_value_has_the_time_of_the_same_metric() -> None:
    for figure in FIGURES:
        metric = figure.stamp.split("timestamp(")[1].split(")")[0].split("{")[0]
        assert metric in figure.value
