"""Figures 5, 6 and 7: what asking an endpoint picker costs, and what asking one that knows the caches gains.

Input are rows of requests, one list per round; rounds of two arms with the same place in their lists were interleaved.
Rows that the load declared as warm-up are left out. Times are seconds; TTFT and E2E are defined in docs/load.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from gpuassay.stats.ratios import Outcome
from gpuassay.systems.llmd.judge.intervals import (
    Array,
    Effect,
    Measure,
    over_prompts,
    paired_difference,
    ratio_of_rounds,
    worst,
)
from gpuassay.systems.llmd.judge.routing import cached_hit_rate
from gpuassay.systems.llmd.model.paper import FIGURE_5
from gpuassay.systems.llmd.rows import RequestRow

Rounds = Sequence[Sequence[RequestRow]]
"""The rounds of one arm at one concurrency."""


def ttft(row: RequestRow) -> float:
    """Time to first token, s (`Row.ttft_ns`). ValueError for a request that has none."""
    return _seconds(row.ttft_ns)


def e2e(row: RequestRow) -> float:
    """End-to-end latency, s (`Row.e2e_ns`). ValueError for a request without a complete answer."""
    return _seconds(row.e2e_ns)


def _seconds(time_ns: int | None) -> float:
    if time_ns is None:
        raise ValueError("a request without an answer has no latency")
    return time_ns / 1e9


def timed(rows: Iterable[RequestRow]) -> list[RequestRow]:
    """The rows with both times that are no warm-up; a request that failed has none."""
    return [row for row in rows if row.ttft_ns is not None and not row.warm_up]


def _values(rows: Iterable[RequestRow], measure: Callable[[RequestRow], float]) -> list[float]:
    found = [measure(row) for row in timed(rows)]
    if not found:
        raise ValueError("a round without a single answered request: nothing to measure")
    return found


def _by_prompt(rows: Iterable[RequestRow], measure: Callable[[RequestRow], float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in timed(rows):
        found.setdefault(row.label, []).append(measure(row))
    return found


def mean(values: Array) -> Array:
    """The mean over the last axis."""
    return np.asarray(np.mean(values, axis=-1))


def p50(values: Array) -> Array:
    """The median over the last axis."""
    return np.asarray(np.quantile(values, 0.5, axis=-1))


def p99(values: Array) -> Array:
    """The 99th percentile over the last axis, interpolated as `gpuassay.stats.quantiles.quantile` does."""
    return np.asarray(np.quantile(values, 0.99, axis=-1))


# --- Figure 5: overhead ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overhead:
    """What an arm adds to the TTFT of another one at one concurrency.

    `base` and `arm` are medians of the rounds' medians in s; `added` is the mean over rounds of the difference of their
    medians in s.
    """

    concurrency: int
    base: float
    arm: float
    added: Effect
    rounds: tuple[float, ...]


def overhead(concurrency: int, arm: Rounds, base: Rounds) -> Overhead:
    """The paired difference of round medians. ValueError for fewer than 2 rounds, or a round without an answer."""
    mine = [median(_values(rows, ttft)) for rows in arm]
    theirs = [median(_values(rows, ttft)) for rows in base]
    added = paired_difference(mine, theirs)
    return Overhead(
        concurrency, median(theirs), median(mine), added, tuple(a - b for a, b in zip(mine, theirs, strict=True))
    )


@dataclass(frozen=True)
class Judged:
    """A three-valued judgement and the sentence that explains it."""

    outcome: Outcome
    reason: str
    certain: bool = False
    """A failure by so much that a machine on which everything waits for a CPU does not explain it."""


CROWDED_WIDER = 3.0
"""How many times wider the interval of a failure must fit beyond its bar to be certain on a crowded machine."""
CROWDED_BASE = 20.0
"""A picker that adds more than so many times the TTFT without it is slow on any machine: both wait for the same CPUs.

One that is sound added 2 to 6 times as much, with work waiting for a CPU for 14 to 99.6 % of the time."""
SATURATED = 0.85
"""Share of all CPUs' time from which on what waits, waits for a CPU: the rest is idle for want of parallel work."""
CROWDED_GAIN = 0.1
"""A ratio that is above 1 by less than this share of what it should be: waiting for a CPU adds time to both arms and so
brings a ratio towards 1, but for this much it would have to add nine times what the arm itself takes."""


def bound_verdict(found: Overhead, at_most: float, busy: float | None = None) -> Judged:
    """Whether the added TTFT is at most so many seconds.

    Closed-loop streams that use up all CPUs wait for a CPU and not for the picker, so a failure is then inconclusive:
    `busy` is the share (0..1) of all CPUs' time that was used, None if it is not known.
    """
    outcome = found.added.verdict(at_most, "lower")
    least = found.added.widened(CROWDED_WIDER).low
    certain = outcome == "fail" and least > max(at_most, CROWDED_BASE * found.base)
    reason = (
        f"{found.concurrency} streams: adds {found.added.told('ms', 1e3)} to a TTFT of {found.base * 1e3:.3g} ms,"
        f" at most {at_most * 1e3:g} ms are allowed"
    )
    if outcome == "fail" and not certain and busy is not None and busy > SATURATED:
        return Judged("inconclusive", f"{reason}; all CPUs of the machine were {busy:.0%} busy, its streams outrun it")
    return Judged(outcome, reason, certain)


def worst_of(each: Sequence[Judged]) -> Judged:
    """All of them as one: fail if any failed, certain if one that failed is. ValueError if there are none."""
    return Judged(
        worst([one.outcome for one in each]),
        "; ".join(one.reason for one in each),
        certain=any(one.certain for one in each),
    )


def paper_band_verdict(found: Sequence[Overhead]) -> Judged:
    """Whether every concurrency lies in the paper's +3 to +11 ms. ValueError if there is none."""
    low, high = FIGURE_5.least_ms / 1e3, FIGURE_5.most_ms / 1e3
    told = "; ".join(f"{one.concurrency} streams +{one.added.told('ms', 1e3)}" for one in found)
    return Judged(
        worst([one.added.within(low, high) for one in found]),
        f"the paper adds {FIGURE_5.least_ms:g} to {FIGURE_5.most_ms:g} ms; here {told}",
    )


GROWTH_MS = 1.0
"""Growth of an overhead that is worth the name, ms: an eighth of the paper's."""


def growth_verdict(found: Sequence[Overhead]) -> Judged:
    """Whether the overhead grows with concurrency: the most streams add more than the fewest, over the same rounds.

    It fails where the interval leaves no room for `GROWTH_MS`. That is certain: waiting for a CPU makes overheads grow.

    Raises ValueError for fewer than two concurrencies, or if they have different numbers of rounds.
    """
    ordered = sorted(found, key=lambda one: one.concurrency)
    if len(ordered) < 2:
        raise ValueError("growth needs at least two concurrencies")
    fewest, most = ordered[0], ordered[-1]
    growth = paired_difference(most.rounds, fewest.rounds)
    outcome = "pass" if growth.low > 0 else "fail" if growth.high < GROWTH_MS / 1e3 else "inconclusive"
    return Judged(
        outcome,
        f"from {fewest.concurrency} to {most.concurrency} streams the overhead grows by {growth.told('ms', 1e3)}",
        certain=outcome == "fail",
    )


# --- Figures 6 and 7: gain -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """What an arm that knows the caches gains over one that does not, in one pass at one concurrency.

    Attributes:
        phase: "cold" or "warm"; the two are never mixed, for a cold pass cannot improve p99.
        concurrency: streams.
        hit_rates: of the baseline and of the arm, by the answers' own count.
        mean_ratio: mean TTFT of the baseline over that of the arm; above 1 is a gain.
        p99_ratio: the same of 99th percentiles.
        mean_e2e: mean E2E of the arm less that of the baseline in s; below 0 is a gain.
        p99_e2e: the same of 99th percentiles.
    """

    phase: str
    concurrency: int
    hit_rates: tuple[float, float]
    mean_ratio: Effect
    p99_ratio: Effect
    mean_e2e: Effect
    p99_e2e: Effect


def gain(phase: str, concurrency: int, arm: Rounds, base: Rounds) -> Gain:
    """Compare an arm with a baseline, round by round; of a single round, with an interval over its prompts only.

    Raises ValueError if there are no rounds, different numbers of them, a round without an answer, or if the prompts of
    the two arms of a single round differ.
    """
    if not arm or len(arm) != len(base):
        raise ValueError(f"arms need the same number of rounds, at least one: they have {len(arm)} and {len(base)}")

    def ratio(measure: Measure) -> Effect:
        if len(arm) > 1:
            return ratio_of_rounds(_measured(base, ttft, measure), _measured(arm, ttft, measure))
        return over_prompts(_by_prompt(base[0], ttft), _by_prompt(arm[0], ttft), measure, lambda a, b: a / b)

    def difference(measure: Measure) -> Effect:
        if len(arm) > 1:
            return paired_difference(_measured(arm, e2e, measure), _measured(base, e2e, measure))
        return over_prompts(_by_prompt(arm[0], e2e), _by_prompt(base[0], e2e), measure, lambda a, b: a - b)

    return Gain(
        phase,
        concurrency,
        (_hit_rate(base), _hit_rate(arm)),
        ratio(mean),
        ratio(p99),
        difference(mean),
        difference(p99),
    )


def _measured(rounds: Rounds, of: Callable[[RequestRow], float], measure: Measure) -> list[float]:
    return [float(measure(np.array(_values(rows, of)))) for rows in rounds]


def _hit_rate(rounds: Rounds) -> float:
    return fmean(cached_hit_rate(timed(rows)) for rows in rounds)


@dataclass(frozen=True)
class GainBars:
    """How large a gain must be: ratios at least, E2E differences in s at most; None where nothing is asked."""

    mean_ratio: float | None = None
    p99_ratio: float | None = None
    mean_e2e: float | None = None
    p99_e2e: float | None = None


def gain_verdicts(found: Gain, bars: GainBars) -> dict[str, Judged]:
    """One three-valued verdict for every bar that is set, by its name."""
    before, after = found.hit_rates
    where = f"{found.phase}, {found.concurrency} streams, hit rate {after:.3f} after {before:.3f}"
    verdicts: dict[str, Judged] = {}
    for name, bar, effect in (
        ("mean_ratio", bars.mean_ratio, found.mean_ratio),
        ("p99_ratio", bars.p99_ratio, found.p99_ratio),
    ):
        if bar is not None:
            told = f"{where}: TTFT {name.removesuffix('_ratio')} is {effect.told()} times smaller, {bar:g} wanted"
            outcome = effect.verdict(bar, "higher")
            certain = outcome == "fail" and effect.widened(CROWDED_WIDER).high < 1 + CROWDED_GAIN * (bar - 1)
            verdicts[name] = Judged(outcome, told, certain)
    for name, bar, effect in (
        ("mean_e2e", bars.mean_e2e, found.mean_e2e),
        ("p99_e2e", bars.p99_e2e, found.p99_e2e),
    ):
        if bar is not None:
            told = f"{where}: E2E {name.removesuffix('_e2e')} differs by {effect.told('s')}, at most {bar:g} s wanted"
            verdicts[name] = Judged(effect.verdict(bar, "lower"), told)
    return verdicts
