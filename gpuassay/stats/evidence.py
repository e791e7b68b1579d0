"""What rounds of two arms tell of an effect: a centre, its standard error, and how sure that error is.

An effect is a log-ratio (times travel between machines as ratios) or a difference in the unit of the values. Rounds are
pairs where both arms have one value a round; an arm may also be played several times a round, then Welch's t is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["ratio", "difference"]

LEAST_SPREAD = 0.005
"""Spread of ratios from round to round that is believed at the least: three rounds can agree more closely by luck, and
then any difference would look certain."""


@dataclass(frozen=True)
class Estimate:
    """An effect after `n` rounds.

    Attributes:
        n: rounds.
        centre: mean log-ratio, or mean difference.
        error: its standard error, in the same unit.
        freedom: degrees of freedom of the error.
    """

    n: int
    centre: float
    error: float
    freedom: float

    def at(self, n: int) -> Estimate:
        """What `n` rounds of the same spread would tell: the same centre, its error scaled. ValueError for n < 2."""
        if n < 2:
            raise ValueError(f"a spread needs at least 2 rounds, not {n}")
        return Estimate(n, self.centre, self.error * math.sqrt(self.n / n), self.freedom * (n - 1) / (self.n - 1))


@dataclass(frozen=True)
class Evidence:
    """Values of two arms, round by round; make it by `pairs`, `differences` or `several`.

    Attributes:
        kind: what an effect is.
        ours, base: values of each round.
        paired: whether a round is a pair, so that what disturbs both arms cancels.
        floor: least spread from round to round that is believed, in the unit of estimates.
    """

    kind: Kind
    ours: tuple[tuple[float, ...], ...]
    base: tuple[tuple[float, ...], ...]
    paired: bool
    floor: float = 0.0

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return len(self.ours)

    def after(self, n: int | None = None) -> Estimate:
        """The effect after the first `n` rounds, or all. ValueError for fewer than 2: one round has no spread."""
        count = self.rounds if n is None else n
        if not 2 <= count <= self.rounds:
            raise ValueError(f"an estimate needs 2 to {self.rounds} of the rounds, not {count}")
        ours, base = self.ours[:count], self.base[:count]
        if self.paired:
            values = [self._of(a[0]) - self._of(b[0]) for a, b in zip(ours, base, strict=True)]
            return Estimate(count, float(np.mean(values)), self._spread(values) / math.sqrt(count), count - 1)
        x, y = ([self._of(value) for one in side for value in one] for side in (ours, base))
        parts = [(self._spread(side) ** 2 / len(side), len(side) - 1) for side in (x, y)]
        variance = sum(part for part, _ in parts)
        freedom = variance**2 / sum(part**2 / df for part, df in parts) if variance else len(x) + len(y) - 2
        return Estimate(count, float(np.mean(x) - np.mean(y)), math.sqrt(variance), float(freedom))

    def told(self, centre: float) -> float:
        """An effect as people read it: a ratio, or the difference."""
        return math.exp(min(centre, 700.0)) if self.kind == "ratio" else centre

    def _of(self, value: float) -> float:
        return math.log(value) if self.kind == "ratio" else value

    def _spread(self, values: Sequence[float]) -> float:
        return max(self.floor, float(np.std(values, ddof=1)))


def pairs(ours: Sequence[float], base: Sequence[float]) -> Evidence:
    """Ratios ours / base of rounds in which both arms were played once.

    Raises ValueError if the arms differ in length or hold a value that is not finite and positive.
    """
    return _made("ratio", [[one] for one in ours], [[one] for one in base], paired=True)


def differences(ours: Sequence[float], base: Sequence[float]) -> Evidence:
    """Differences ours - base of rounds in which both arms were played once; errors as `pairs`, but for the sign."""
    return _made("difference", [[one] for one in ours], [[one] for one in base], paired=True)


def several(ours: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> Evidence:
    """Ratios of arms of which one or both were played more than once a round; errors as `pairs`.

    Use it where the baseline scatters so much by itself that pairs would be lost in it.
    """
    return _made("ratio", ours, base, paired=False)


def _made(kind: Kind, ours: Sequence[Sequence[float]], base: Sequence[Sequence[float]], *, paired: bool) -> Evidence:
    if len(ours) != len(base):
        raise ValueError(f"both arms need the same rounds, not {len(ours)} and {len(base)}")
    for value in (value for side in (ours, base) for one in side for value in one):
        if not math.isfinite(value) or (kind == "ratio" and value <= 0):
            raise ValueError(f"a {kind} needs finite{', positive' if kind == 'ratio' else ''} values, not {value}")
    if not all(one for side in (ours, base) for one in side):
        raise ValueError("a round without a value tells nothing")
    floor = LEAST_SPREAD if kind == "ratio" else 0.0
    return Evidence(kind, tuple(map(tuple, ours)), tuple(map(tuple, base)), paired, floor)
