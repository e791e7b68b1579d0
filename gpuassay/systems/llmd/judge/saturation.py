"""Which rate a policy carries, from the rows of a staircase, and how many times that of another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.stats.quantiles import quantile
from gpuassay.stats.ratios import three_valued
from gpuassay.systems.llmd.judge.performance import Judged, timed, ttft
from gpuassay.systems.llmd.judge.routing import shown
from gpuassay.systems.llmd.model.saturation import Carried, Prediction, Staircase, carried
from gpuassay.systems.llmd.rows import RequestRow
from gpuassay.verdict import Inconclusive


@dataclass(frozen=True)
class Step:
    """One step as it was: requests/s wanted and sent, requests asked and answered, TTFT in s (p50, p95)."""

    rate: float
    sent: float
    asked: int
    answered: int
    p50: float
    p95: float


def steps(rows: Sequence[RequestRow], stairs: Staircase) -> list[Step]:
    """The steps of a climb; a request without an answer counts as one that takes for ever.

    Raises ValueError unless there is a row for each request.
    """
    found: list[Step] = []
    split = stairs.split(sorted(rows, key=lambda row: row.index))
    for rate, mine in zip(stairs.rates, split, strict=True):
        good = timed(mine)
        times = [ttft(row) for row in good] + [math.inf] * (len(mine) - len(good))
        found.append(Step(rate, _sent(mine, rate), len(mine), len(good), quantile(times, 0.5), quantile(times, 0.95)))
    return found


def _sent(rows: Sequence[RequestRow], rate: float) -> float:
    """Requests/s as sent: the wanted rate times the time that they were to take over the time that they took."""
    first, last = rows[0].due_ns, rows[-1].due_ns
    if first is None or last is None:
        raise ValueError("requests of a closed loop have no rate: none was due at a time")
    wanted = last - first
    took = rows[-1].start_ns - rows[0].start_ns
    return rate * wanted / took if took > 0 and wanted > 0 else rate


def require_sent(found: Sequence[Step], least: float) -> None:
    """Raise Inconclusive if a step was sent at less than this share of its rate: then the generator is judged."""
    for step in found:
        if step.sent < least * step.rate:
            raise Inconclusive(
                f"{step.sent:.1f} of {step.rate:g} requests/s were sent, less than {least:.0%}: the load"
                " generator is at its limit, not the system"
            )


def carried_by(found: Sequence[Step], bound: float) -> Carried:
    """The rate that was carried with p95 of TTFT within `bound` s. Raises ValueError if there are no steps."""
    return carried([step.rate for step in found], [step.p95 for step in found], bound)


@dataclass(frozen=True)
class Times:
    """How many times the rate of another one is carried: at least and at most, as the ladders leave open."""

    low: float
    high: float

    def told(self) -> str:
        """`2.7 to 6.0 times`, `at least 2.7 times`."""
        return f"at least {self.low:.2g} times" if math.isinf(self.high) else f"{self.low:.2g} to {self.high:.2g} times"


def times(arm: Carried, base: Carried) -> Times:
    """The carried rate of `arm` over that of `base`: what either ladder did not reach widens it to 0 or to infinity."""
    low = arm.within / base.beyond if base.beyond is not None else 0.0
    high = arm.beyond / base.within if arm.beyond is not None and base.within else math.inf
    return Times(low, high)


def times_verdict(found: Times, at_least: float) -> Judged:
    """Whether a policy carries at least so many times the rate of another."""
    told = f"precise carries {found.told()} the rate of random, {at_least:g} wanted"
    outcome = three_valued((found.low, min(found.high, 1e9)), at_least, "higher")
    return Judged(outcome, told, certain=outcome == "fail" and found.high < 1)  # waiting for CPUs swaps no two arms


def not_the_machine(
    found: Sequence[Step], bound: float, model: Prediction, beside: Sequence[Sequence[Step]] = ()
) -> bool:
    """Whether waiting for a CPU cannot explain that a carried rate is not the model's.

    It explains less, but never more; nor that a rate is too much which an arm carried `beside` it, at the same time.
    """
    seen = carried_by(found, bound)
    elsewhere = max((carried_by(one, bound).within for one in beside), default=0.0)
    return seen.within > model.within.high or (seen.beyond is not None and seen.beyond <= elsewhere)


def prediction_findings(found: Sequence[Step], bound: float, model: Prediction) -> list[str]:
    """Whether a carried rate lies where the model has it; one step less is forgiven, since the way takes time too."""
    rates = (0.0, *model.rates)
    seen, expected = carried_by(found, bound).within, model.within
    low = max((rate for rate in rates if rate < expected.low), default=0.0)
    if low <= seen <= expected.high:
        return []
    p95 = ", ".join(f"{step.rate:g}/s {step.p95:.2f} s" for step in found)
    return [
        f"carried {seen:g} requests/s with p95 TTFT within {bound:g} s; the model has {expected.low:g} to"
        f" {expected.high:g}, and one step of the ladder less is forgiven; p95 by rate: {p95}"
    ]


def answered_findings(rows: Sequence[RequestRow]) -> list[str]:
    """Requests of a climb that have no complete answer: late is allowed, lost is not."""
    good = {id(row) for row in timed(rows)}
    lost = [row for row in rows if id(row) not in good]
    return [f"expected an answer to each of {len(rows)} requests, {len(lost)} have none: {shown(lost)}"] if lost else []
