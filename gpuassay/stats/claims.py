"""Claims that are decided by a rule fixed before the run: when to look, how sure to be, when to stop.

A claim says that a figure is smaller, larger or the same, by at least so much as is worth calling an effect. After some
numbers of rounds (the looks of a `Plan`) its family is judged; the error that the plan allows is split over the looks,
and within a look over the claims of the family by Holm's method. What a look has decided stays decided. Fewer rounds
than the first look decide nothing.

Of the two hypotheses about a claim (it holds, it does not) one is true, so each is tested on one side. The rate of
false verdicts is measured in tests/stats/test_claims.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy import special

from gpuassay.stats.evidence import Estimate, Evidence, Kind

Direction = Literal["lower", "higher", "equal"]
Outcome = Literal["holds", "refuted", "undecided", "hopeless"]
"""Hopeless: undecided, and the rounds that the plan still allows would hardly change that."""

LEAST_ROUNDS, MOST_ROUNDS = 3, 10
POWERS = (0.8, 0.9)
"""Chances with which a detectable effect is found, where it is told."""
HOPELESS = 0.1
"""Chance of a decision by the plan's last look below which further rounds are not worth their time."""


@dataclass(frozen=True)
class Plan:
    """When a family of claims is judged, and how large the error may be.

    Attributes:
        looks: numbers of rounds after which it is judged, rising, from 3 to 10.
        shares: of the error, for each look.
        alpha: chance of any false verdict in a family, over all looks.
    """

    looks: tuple[int, ...] = (3, 5, 7, 10)
    shares: tuple[float, ...] = (0.1, 0.5, 0.2, 0.2)
    alpha: float = 0.01

    def __post_init__(self) -> None:
        rising = list(self.looks) == sorted(set(self.looks))
        if not self.looks or not rising or self.looks[0] < LEAST_ROUNDS or self.looks[-1] > MOST_ROUNDS:
            raise ValueError(f"looks rise from {LEAST_ROUNDS} to at most {MOST_ROUNDS} rounds, not {self.looks}")
        if len(self.shares) != len(self.looks) or min(self.shares) <= 0 or sum(self.shares) > 1 + 1e-9:
            raise ValueError(f"each look has a share of the error, at most 1 in all, not {self.shares}")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha lies between 0 and 0.5, not at {self.alpha}")

    def level(self, look: int) -> float:
        """The error that a look may make. ValueError if `look` is none."""
        return self.alpha * self.shares[self.looks.index(look)]

    def done(self, rounds: int) -> list[int]:
        """The looks that so many rounds allow."""
        return [look for look in self.looks if look <= rounds]


@dataclass(frozen=True)
class Claim:
    """A sentence about one effect.

    Attributes:
        name: unique in its family.
        family: claims that are judged from the same rounds; the error is shared among them.
        direction: of the effect; "equal": it stays within `least` either way.
        least: least effect worth calling one: relative for ratios (0.02 is 2 %), in their unit for differences.
        reference: with what the figure is compared: 1 for ratios, 0 for differences, or a bound.
        kind: whether the figure is a ratio or a difference.
        paper: its value as published, if it is.
    """

    name: str
    family: str
    direction: Direction
    least: float
    reference: float = 1.0
    kind: Kind = "ratio"
    paper: float | None = None

    def __post_init__(self) -> None:
        if self.least < 0 or (self.direction == "equal" and self.least == 0):
            raise ValueError(f"{self.name}: the least effect is positive, not {self.least}")
        if self.kind == "ratio" and self.reference <= 0:
            raise ValueError(f"{self.name}: a ratio is compared with a positive number, not {self.reference}")

    @property
    def bars(self) -> tuple[float, float]:
        """Where the effect begins downwards and upwards, in the unit of estimates (logarithms of ratios)."""
        if self.kind == "ratio":
            centre, step = math.log(self.reference), math.log1p(self.least)
        else:
            centre, step = self.reference, self.least
        return centre - step, centre + step

    def errors(self, found: Estimate) -> tuple[float, float]:
        """How likely so clear a figure is by chance: if the claim does not hold, and if it does."""
        low, high = self.bars
        if self.direction == "lower":
            return _below(found, low), _above(found, low)
        if self.direction == "higher":
            return _above(found, high), _below(found, high)
        holds = max(_above(found, low), _below(found, high))
        return holds, min(1.0, 2 * min(_below(found, low), _above(found, high)))

    def distance(self, found: Estimate) -> float:
        """How far the figure lies from the bar that decides."""
        low, high = self.bars
        near = {"lower": [low], "higher": [high], "equal": [low, high]}[self.direction]
        return min(abs(found.centre - bar) for bar in near)


@dataclass(frozen=True)
class Ruling:
    """How a claim stands.

    Attributes:
        outcome: see `Outcome`.
        value, low, high: the effect with the interval by which it was judged: it excludes the bar where one is decided.
        confidence: of that interval.
        rounds: behind it.
        reason: one sentence.
        detectable: least effect beyond the bar that these rounds find in 80 of 100 cases, relative or in its unit; None
            without a spread.
        estimate: what it rests on; None of a single round.
    """

    outcome: Outcome
    value: float
    low: float
    high: float
    confidence: float
    rounds: int
    reason: str
    detectable: float | None = None
    estimate: Estimate | None = None


def judge(family: Mapping[str, tuple[Claim, Evidence]], plan: Plan, *, refused: str = "") -> dict[str, Ruling]:
    """How the claims of a family stand after the rounds that were played, by name.

    Args:
        family: claims with what was measured, all in the same rounds.
        plan: fixed beforehand.
        refused: why nothing may be decided (a control that failed, a crowded machine); "" where it may.

    Raises:
        ValueError: claims of several families, or with different numbers of rounds.
    """
    if len({claim.family for claim, _ in family.values()}) > 1 or len({one.rounds for _, one in family.values()}) > 1:
        raise ValueError("a family is judged as a whole: one name, one number of rounds")
    rounds = next((one.rounds for _, one in family.values()), 0)
    looks = plan.done(rounds)
    decided: dict[str, Ruling] = {}
    if not refused:
        for look in looks:
            for name, ruling in _holm(family, plan, look).items():
                decided.setdefault(name, ruling)
    return {
        name: decided.get(name) or _open(claim, found, plan, len(family), refused)
        for name, (claim, found) in family.items()
    }


def settled(rulings: Mapping[str, Ruling]) -> bool:
    """Whether further rounds would change nothing, or hardly."""
    return all(one.outcome != "undecided" for one in rulings.values())


def _holm(family: Mapping[str, tuple[Claim, Evidence]], plan: Plan, look: int) -> dict[str, Ruling]:
    """What one look decides: the clearest claim at a level for all, the next at one for those that are left."""
    estimates = {name: found.after(look) for name, (_, found) in family.items()}
    errors = {name: family[name][0].errors(one) for name, one in estimates.items()}
    decided: dict[str, Ruling] = {}
    for place, name in enumerate(sorted(errors, key=lambda name: min(errors[name]))):
        level = plan.level(look) / (len(errors) - place)
        if min(errors[name]) > level:
            break
        found = family[name][1]
        outcome: Outcome = "holds" if errors[name][0] <= errors[name][1] else "refuted"
        decided[name] = _ruling(outcome, found, estimates[name], level, f"decided after {look} rounds")
    return decided


def _open(claim: Claim, found: Evidence, plan: Plan, size: int, refused: str) -> Ruling:
    looks = plan.done(found.rounds)
    if not looks:
        first = plan.looks[0]
        told = f"{found.rounds} of at least {first} rounds: fewer decide nothing"
        if found.rounds < 2:
            value = found.told(_single(found))
            return Ruling("undecided", value, -math.inf, math.inf, 0.0, found.rounds, refused or told)
        return _ruling("undecided", found, found.after(), plan.level(first) / size, refused or told)
    estimate, level = found.after(looks[-1]), plan.level(looks[-1]) / size
    if refused:
        return _ruling("undecided", found, estimate, level, refused)
    last = plan.looks[-1]
    if looks[-1] == last:
        return _ruling("undecided", found, estimate, level, f"not decided after {last} rounds, the most of the plan")
    further = estimate.at(last)
    # as if the effect were one standard error clearer than it looks
    chance = power(claim.distance(estimate) + estimate.error, further, plan.level(last) / size)
    if chance < HOPELESS:
        told = f"{last} rounds would decide in {chance:.0%} of cases: not worth their time"
        return _ruling("hopeless", found, estimate, level, told)
    return _ruling("undecided", found, estimate, level, f"not decided after {looks[-1]} rounds")


def _single(found: Evidence) -> float:
    ours, base = (next(iter(side), ()) for side in (found.ours, found.base))
    if not ours or not base:
        return math.nan
    if found.kind == "ratio":
        return math.log(ours[0]) - sum(map(math.log, base)) / len(base)
    return ours[0] - sum(base) / len(base)


def _ruling(outcome: Outcome, found: Evidence, estimate: Estimate, level: float, reason: str) -> Ruling:
    half = estimate.error * _critical(level, estimate.freedom)
    return Ruling(
        outcome, found.told(estimate.centre), found.told(estimate.centre - half), found.told(estimate.centre + half),
        1 - 2 * level, estimate.n, reason, detectable(estimate, level, found.kind), estimate,
    )  # fmt: skip


def power(effect: float, found: Estimate, level: float) -> float:
    """Chance that rounds of this spread decide, at a one-sided level, for an effect so far beyond its bar."""
    if not found.error:
        return 1.0 if effect > 0 else 0.0
    # over what the spread may turn out to be: scipy's noncentral t is unstable where an effect is many errors large
    wanted = _critical(level, found.freedom) * _spreads(round(found.freedom, 3))
    return float(np.mean(special.ndtr(effect / found.error - wanted)))  # pyright: ignore


@cache
def _spreads(freedom: float) -> Any:
    """Measured spread over the true one, at 400 evenly likely places."""
    return np.sqrt(2 * special.gammaincinv(freedom / 2, (np.arange(400) + 0.5) / 400) / freedom)


def detectable(found: Estimate, level: float, kind: Kind, chance: float = 0.8) -> float | None:
    """Least effect beyond the bar that rounds of this spread find with `chance`; relative for ratios.

    None without a spread: equal values do not tell how small an effect could be seen.
    """
    if not found.error:
        return None
    low, high = 0.0, found.error
    while power(high, found, level) < chance:
        high *= 2
        if high > 1e6 * found.error:
            return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, found, level) >= chance else (middle, high)
    return math.expm1(min(high, 700.0)) if kind == "ratio" else high


def _critical(level: float, freedom: float) -> float:
    """Student's t that chance exceeds with probability `level`."""
    return -float(special.stdtrit(freedom, level))


def _below(found: Estimate, bar: float) -> float:
    """Chance of so low a figure if the truth were the bar."""
    if not found.error:
        return 0.0 if found.centre < bar else 1.0
    return float(special.stdtr(found.freedom, (found.centre - bar) / found.error))


def _above(found: Estimate, bar: float) -> float:
    """Chance of so high a figure if the truth were the bar."""
    if not found.error:
        return 0.0 if found.centre > bar else 1.0
    return float(special.stdtr(found.freedom, (bar - found.centre) / found.error))
