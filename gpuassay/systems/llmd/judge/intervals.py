"""Intervals of what routing changes: between rounds of arms that took turns, or over prompts in one round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from gpuassay.stats.ratios import Outcome, paired_ratio, three_valued

Basis = Literal["rounds", "prompts"]
"""What the interval generalises to: other rounds, or only other prompts in the one round that there was."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Effect:
    """A difference or a ratio of two arms with its interval (95 %); `n` is the number of rounds or of prompts.

    An interval over prompts says nothing about how another round would go: it does not hold drift of the machine, nor
    the chances of a random router.
    """

    value: float
    low: float
    high: float
    n: int
    basis: Basis

    def verdict(self, threshold: float, better: Literal["lower", "higher"]) -> Outcome:
        """Three-valued: the whole interval on one side of the threshold, or inconclusive."""
        return three_valued((self.low, self.high), threshold, better)

    def widened(self, times: float) -> Effect:
        """The same with ends so many times as far from the value."""
        low, high = (self.value + times * (end - self.value) for end in (self.low, self.high))
        return replace(self, low=low, high=high)

    def within(self, low: float, high: float) -> Outcome:
        """Pass if the whole interval lies in [low, high], fail if none of it does."""
        if low <= self.low and self.high <= high:
            return "pass"
        return "fail" if self.high < low or self.low > high else "inconclusive"

    def told(self, unit: str = "", factor: float = 1.0) -> str:
        """`5.2 ms [3.9, 6.4] (5 rounds)`, the values times `factor`."""
        low, high = f"{self.low * factor:.3g}", f"{self.high * factor:.3g}"
        return f"{self.value * factor:.3g}{unit and ' ' + unit} [{low}, {high}] ({self.n} {self.basis})"


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Effect:
    """Mean of a - b over rounds, with Student's t interval. Units are those of the values.

    Raises ValueError if the arms differ in length, hold fewer than 2 rounds or a value that is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"pairs need arms of one length, not {len(a)} and {len(b)}")
    if len(a) < 2:
        raise ValueError(f"an interval needs at least 2 rounds, not {len(a)}")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    if not all(map(math.isfinite, differences)):
        raise ValueError("a difference needs finite values")
    centre = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    half = error * float(stats.t.ppf((1 + confidence) / 2, len(differences) - 1))  # pyright: ignore
    return Effect(centre, centre - half, centre + half, len(differences), "rounds")


def ratio_of_rounds(a: Sequence[float], b: Sequence[float]) -> Effect:
    """Ratio a/b over rounds: `gpuassay.stats.ratios.paired_ratio`, and its errors."""
    found = paired_ratio(a, b)
    return Effect(found.ratio, found.low, found.high, found.n, "rounds")


Array = np.ndarray[Any, np.dtype[np.float64]]

Measure = Callable[[Array], Array]
"""A figure over the last axis of an array: of many values, or of many draws at once."""

ByPrompt = Mapping[str, Sequence[float]]
"""Values of one round by label of the prompt."""


def over_prompts(
    a: ByPrompt,
    b: ByPrompt,
    measure: Measure,
    combine: Callable[[Array, Array], Array],
    confidence: float = 0.95,
) -> Effect:
    """An effect within one round: `combine(measure(a), measure(b))`, with a bootstrap over prompts (percentiles).

    Prompts, not requests, are drawn: requests for one prompt hit or miss together. Both arms get the same draw. Seeded,
    so the same rows give the same interval.

    Raises ValueError if the arms have different prompts, or fewer than 2.
    """
    if set(a) != set(b) or len(a) < 2:
        raise ValueError(f"arms need the same prompts, at least 2: they have {len(a)} and {len(b)}")
    labels, source = sorted(a), np.random.default_rng(20261121)
    draws = source.integers(0, len(labels), (RESAMPLES, len(labels)))
    drawn = combine(*(_drawn(arm, labels, draws, measure) for arm in (a, b)))
    whole = combine(*(measure(np.array([value for label in labels for value in arm[label]])) for arm in (a, b)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Effect(float(whole), float(low), float(high), len(labels), "prompts")


def _drawn(arm: ByPrompt, labels: Sequence[str], draws: np.ndarray[Any, np.dtype[np.int64]], measure: Measure) -> Array:
    """The measure of each draw (a row of places in `labels`)."""
    values = [np.array(list(arm[label]), dtype=np.float64) for label in labels]
    if len({len(one) for one in values}) == 1:
        return measure(np.array(values)[draws].reshape(len(draws), -1))
    # Requests failed, so prompts have different numbers of values, and draws different lengths.
    rows: list[list[int]] = draws.tolist()
    return np.array([measure(np.concatenate([values[place] for place in row])) for row in rows])


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Fail if any failed, else inconclusive if any was, else pass. ValueError if there are none."""
    if not outcomes:
        raise ValueError("no outcomes: no verdict")
    return "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"
