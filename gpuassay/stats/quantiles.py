"""Quantiles: of samples, with an interval, and of Prometheus histograms, as the interval that they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile (0 <= q <= 1) by linear interpolation between order statistics at (n - 1) q.

    The one definition of this suite (Hyndman and Fan's type 7, the default of numpy and R). Raises ValueError if there
    are no values, one is not a number, or q lies outside [0, 1].
    """
    _check(values, q)
    ordered = sorted(values)
    place = (len(ordered) - 1) * q
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high, part = ordered[below], ordered[above], place - below
    return low if part == 0 or low == high else low * (1 - part) + high * part


def quantile_interval(values: Sequence[float], q: float, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Distribution-free interval of the q-quantile from order statistics; an end is None where n is too small for one.

    Each end errs with at most (1 - confidence) / 2 by the binomial distribution of how many values lie below the true
    quantile, so that 256 values give the 99th percentile no upper end at 95 %. Values must be independent.
    Raises ValueError as `quantile`, or if confidence lies outside (0, 1).
    """
    from scipy import stats  # takes a second, which a load pod or a report without intervals need not wait

    _check(values, q)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    ordered, n, tail = sorted(values), len(values), (1 - confidence) / 2
    # The value of rank r (from 1) is below the quantile unless fewer than r values are: P(Binomial(n, q) < r).
    low = high = None
    cumulative: list[float] = stats.binom.cdf(list(range(n)), n, q).tolist()  # pyright: ignore
    for rank, fewer in enumerate(cumulative, start=1):
        if fewer <= tail:
            low = ordered[rank - 1]
        if high is None and fewer >= 1 - tail:
            high = ordered[rank - 1]
    return low, high


@dataclass(frozen=True)
class BucketQuantile:
    """A quantile from a histogram: the truth lies in (lower, upper]; `interpolated` is PromQL's guess within.

    `upper` is infinite if the quantile falls into the last bucket (then `interpolated` is the last finite edge, as
    PromQL has it). `count` is the number of observations.
    """

    lower: float
    upper: float
    interpolated: float
    count: int


def bucket_quantile(buckets: Mapping[float, float], q: float) -> BucketQuantile:
    """The q-quantile of a Prometheus histogram from cumulative counts by upper edge (`le`, with infinity).

    The interval holds the smallest observation that at least a share q of all observations do not exceed. The lowest
    bucket is taken to begin at 0 when its edge is positive (at minus infinity otherwise), as `histogram_quantile` does.
    Raises ValueError without an infinite edge, without observations, or if counts fall as edges rise.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    edges = sorted(buckets)
    if not edges or edges[-1] != math.inf:
        raise ValueError("a histogram needs a bucket with le=+Inf")
    counts = [buckets[edge] for edge in edges]
    if any(later < earlier for earlier, later in zip([0.0, *counts], counts, strict=False)):
        raise ValueError("cumulative bucket counts fall: not a histogram, or a counter was reset between scrapes")
    total = counts[-1]
    if total <= 0:
        raise ValueError("the histogram has no observations")
    rank = q * total
    # A rank of 0 is the least observation, so empty buckets below it do not count.
    index = next(i for i, count in enumerate(counts) if count >= rank and count > 0)
    upper, before = edges[index], counts[index - 1] if index else 0.0
    lower = edges[index - 1] if index else (0.0 if upper > 0 else -math.inf)
    if math.isinf(upper) or math.isinf(lower):
        guess = lower if math.isinf(upper) else upper
    else:
        guess = lower + (upper - lower) * (rank - before) / (counts[index] - before)
    return BucketQuantile(lower, upper, guess, int(total))


def _check(values: Sequence[float], q: float) -> None:
    if not values:
        raise ValueError("no values: no quantile")
    if any(math.isnan(v) for v in values):
        raise ValueError("a value is not a number")
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
