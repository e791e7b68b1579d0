"""Several pools behind one gateway: which pool served a request, and whose picker was asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scipy import stats

from gpuassay.load.headers import NAMESPACE
from gpuassay.record.metrics import Samples, delta
from gpuassay.systems.llmd.judge.metrics import PICKER
from gpuassay.systems.llmd.judge.routing import answered
from gpuassay.systems.llmd.rows import RequestRow


def pools_served(rows: Sequence[RequestRow], pools: Mapping[str, str]) -> Counter[str]:
    """Answers by pool (`pools`: name of the pool by namespace of its Pods); those of no pool are "neither"."""
    return Counter(pools.get(str(row.headers.get(NAMESPACE)), "neither") for row in answered(rows))


def picker_counted(before: Samples, after: Samples) -> int:
    """Requests that a picker counted between two scrapes; it exports no counter before its first request.

    Raises:
        ValueError: it restarted in between.
    """
    name = next((name for name in PICKER["requests"] if after.select(name)), None)
    return round(delta(before, after, name, {})) if name else 0


def asked_of_findings(wave: str, served: Mapping[str, int], counted: Mapping[str, int]) -> list[str]:
    """Pools whose picker counted another number of requests than the pool served; or that nothing was served."""
    if not sum(served.values()):
        return [f"{wave}: nothing was served"]
    return [
        f"{wave}: pool {pool!r} served {served.get(pool, 0)} requests, its picker was asked for {counted.get(pool, 0)}"
        for pool in sorted(set(served) | set(counted))
        if served.get(pool, 0) != counted.get(pool, 0)
    ]


def weight_bounds(asks: int, weight: float, false_alarm: float = 1e-4) -> tuple[int, int]:
    """How many of `asks` a share `weight` may get: outside with probability `false_alarm` at most (binomial)."""
    low, high = stats.binom.interval(1 - false_alarm, asks, weight)  # pyright: ignore
    return int(low), int(high)  # pyright: ignore
