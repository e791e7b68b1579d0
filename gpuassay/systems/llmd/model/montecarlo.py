"""What a live run of a routing policy may show: the model simulated many times, as intervals to judge against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuassay.stats.quantiles import quantile
from gpuassay.systems.llmd.model.policies import Policy
from gpuassay.systems.llmd.model.simulation import Pass, Platform, Traffic, simulate

RUNS = 200
"""Simulations that put two values beyond either end of an interval from the 1st to the 99th percentile."""


@dataclass(frozen=True)
class Spread:
    """Mean of a figure over simulations, and the interval between two of its percentiles."""

    mean: float
    low: float
    high: float

    def holds(self, value: float, slack: float = 0.0) -> bool:
        """Whether a value lies in the interval, widened by `slack` on both sides.

        Where the model leaves nothing to chance the interval is a point, and only rounding is forgiven.
        """
        slack += 1e-9
        return self.low - slack <= value <= self.high + slack

    def __str__(self) -> str:
        """`0.304 [0.262, 0.349]`."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Expected:
    """Figures of one pass: rates are shares, times seconds, on a path that takes no time itself."""

    hit_rate: Spread
    mean_ttft: Spread
    p99_ttft: Spread
    mean_e2e: Spread
    p99_e2e: Spread
    replicas_per_prompt: Spread
    runs: int


def spread(values: Sequence[float], tail: float = 0.01) -> Spread:
    """Mean and the quantiles `tail` and 1 - `tail`. Raises ValueError as `gpuassay.stats.quantiles.quantile`."""
    return Spread(sum(values) / len(values), quantile(values, tail), quantile(values, 1 - tail))


def expected(
    traffic: Traffic | Callable[[int], Traffic],
    platform: Platform,
    policy: Policy,
    *,
    concurrency: int = 1,
    runs: int = RUNS,
    seed: int = 0,
    tail: float = 0.01,
) -> tuple[Expected, ...]:
    """The figures of every pass over `runs` simulations.

    Args:
        traffic: what is asked, the same in every simulation: then only chance in the router varies, which is what a
            live run with known prompts and order is judged against. Or a function of the simulation's number.
        platform: replicas, caches, latency.
        policy: how a replica is chosen.
        concurrency: clients of the closed loop.
        runs: simulations.
        seed: the same seed gives the same figures.
        tail: share of simulations left outside at either end; 0.01 is the interval from the 1st to the 99th percentile.

    Raises:
        ValueError: no simulations, a tail outside (0, 0.5), or as `simulate`.
    """
    if runs < 1 or not 0 < tail < 0.5:
        raise ValueError(f"needs at least one simulation and a tail in (0, 0.5), not {runs} and {tail}")
    played = [
        simulate(
            traffic(number) if callable(traffic) else traffic,
            platform,
            policy,
            concurrency=concurrency,
            seed=seed * 1_000_003 + number,
        )
        for number in range(runs)
    ]
    return tuple(_expected(passes, tail) for passes in zip(*played, strict=True))


def _expected(passes: Sequence[Pass], tail: float) -> Expected:
    return Expected(
        hit_rate=spread([one.hit_rate for one in passes], tail),
        mean_ttft=spread([one.mean_ttft for one in passes], tail),
        p99_ttft=spread([one.ttft(0.99) for one in passes], tail),
        mean_e2e=spread([one.mean_e2e for one in passes], tail),
        p99_e2e=spread([one.e2e(0.99) for one in passes], tail),
        replicas_per_prompt=spread([one.replicas_per_prompt for one in passes], tail),
        runs=len(passes),
    )
