"""The highest rate that a routing policy carries: a staircase of rates, every step a Poisson process of its own.

A step is a fixed number of requests at one rate. What is asked when is drawn from a seed, so that a live run and the
model see the same arrivals, and what a step leaves unfinished meets the next one in both. The carried rate is that of
the last step before the first whose 95th percentile of TTFT is above a bound: the ceiling lies between the two, and
above them where steps are too short for a queue to grow, in the model as live.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gpuassay.stats.quantiles import quantile
from gpuassay.systems.llmd.model.montecarlo import Spread, spread
from gpuassay.systems.llmd.model.policies import Policy
from gpuassay.systems.llmd.model.simulation import Platform, Run, Traffic

T = TypeVar("T")


@dataclass(frozen=True)
class Staircase:
    """Steps of (requests/s, requests), the rates rising; `seed` is that of arrivals and prompts."""

    steps: tuple[tuple[float, int], ...]
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError without a step, for one without requests, or unless the rates are above 0 and rise."""
        rates = self.rates
        rising = all(a < b for a, b in zip((0.0, *rates), rates, strict=False))
        if not self.steps or not rising or any(count < 1 for _, count in self.steps):
            raise ValueError(f"a staircase has rising rates above 0 and requests at each, not {self.steps}")

    @property
    def rates(self) -> tuple[float, ...]:
        """Requests/s of the steps."""
        return tuple(rate for rate, _ in self.steps)

    @property
    def requests(self) -> int:
        """Of all steps."""
        return sum(count for _, count in self.steps)

    @property
    def due(self) -> list[float]:
        """When each request is due, s from the beginning."""
        source, now = random.Random(f"arrivals/{self.seed}"), 0.0
        found: list[float] = []
        for rate, count in self.steps:
            for _ in range(count):
                now += source.expovariate(rate)
                found.append(now)
        return found

    def order(self, prompts: int) -> list[int]:
        """Which prompt each request asks, by number: each as likely as any other, whatever came before."""
        source = random.Random(f"prompts/{self.seed}")
        return [source.randrange(prompts) for _ in range(self.requests)]

    def split(self, values: Sequence[T]) -> list[list[T]]:
        """Values of all requests, in order of asking, step by step. Raises ValueError for another number of them."""
        if len(values) != self.requests:
            raise ValueError(f"a staircase of {self.requests} requests has not {len(values)} values")
        remaining = iter(values)
        return [[next(remaining) for _ in range(count)] for _, count in self.steps]


@dataclass(frozen=True)
class Carried:
    """Rates in requests/s: of the last step within the bound (0: none), and of the first beyond it (None: none was)."""

    within: float
    beyond: float | None


def carried(rates: Sequence[float], p95: Sequence[float], bound: float) -> Carried:
    """The rate that is carried with 95th percentiles of TTFT, one a step in s, of at most `bound` s.

    Raises ValueError if there are no steps, or not one percentile for each.
    """
    within = 0.0
    if not rates:
        raise ValueError("no steps: no rate is carried")
    for rate, seen in zip(rates, p95, strict=True):
        if not seen <= bound:
            return Carried(within, rate)
        within = rate
    return Carried(within, None)


@dataclass(frozen=True)
class Prediction:
    """What simulations say: p95 of TTFT in s at every step, and the carried rate of every simulation."""

    rates: tuple[float, ...]
    p95: tuple[Spread, ...]
    each: tuple[Carried, ...]

    @property
    def within(self) -> Spread:
        """Mean of the carried rates in requests/s, and the least and the greatest but for 1 % at either end."""
        return spread([one.within for one in self.each])


def predict(
    traffic: Traffic,
    platform: Platform,
    policy: Policy,
    stairs: Staircase,
    bound: float,
    *,
    warm: Callable[[Run], None],
    runs: int,
    path: float = 0.0,
    seed: int = 0,
) -> Prediction:
    """Play the staircase in `runs` simulations: the same arrivals and prompts, other chances of the router.

    Args:
        traffic: the prompts; its passes are not played.
        platform: replicas, caches, latency.
        policy: how a replica is chosen.
        stairs: rates, requests, seed.
        bound: of p95 of TTFT, s.
        warm: brings the caches of a run to what they hold when the staircase begins.
        runs: simulations.
        path: s that gateway and picker add to every TTFT.
        seed: the same seed gives the same prediction.

    Raises:
        ValueError: no simulations, or the replicas have no room for a prompt.
    """
    if runs < 1:
        raise ValueError(f"a prediction needs at least one simulation, not {runs}")
    order, due = stairs.order(len(traffic.lengths)), stairs.due
    seen: list[list[float]] = []
    for number in range(runs):
        run = Run(traffic, platform, policy, seed * 1_000_003 + number)
        warm(run)
        played = sorted(run.play_open(order, due).done, key=lambda one: one.start)
        seen.append([quantile(step, 0.95) for step in stairs.split([one.ttft + path for one in played])])
    each = tuple(carried(stairs.rates, one, bound) for one in seen)
    return Prediction(stairs.rates, tuple(spread(step) for step in zip(*seen, strict=True)), each)
