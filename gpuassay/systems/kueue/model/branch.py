"""Which of several schedules a live run took, where Kueue's rules leave it open.

Who finds the quota that a release or a requeue batch frees hangs on milliseconds: a job that is created just before the
release is parked and waits for the batch, one that is created just after it starts at once. Either is right, and from
there on the schedules part ways by whole run times. So the twin is told in which order, and when, the live run
admitted, and takes that order wherever events that lie closer together than `slack`, told in another order, give it;
nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Departure:
    """At `at` (s) the rules give quota to `admitted`, and no order of nearby events gives it to `expected` first."""

    at: float
    admitted: str
    expected: str


@dataclass
class Branch:
    """The order in which a live run admitted.

    Attributes:
        admissions: name of a job and time (s); one that was preempted appears again.
        slack: s by which the time of an event may be off between the live run and the twin.
        departures: where the rules did not allow to follow it.
    """

    admissions: Sequence[tuple[str, float]]
    slack: float
    departures: list[Departure] = field(default_factory=list[Departure])
    _left: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    _held: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._left = list(self.admissions)

    @property
    def expected(self) -> str:
        """Who is admitted next, "" at the end."""
        return self._left[0][0] if self._left else ""

    def soon(self, times: Iterable[float], now: float) -> bool:
        """Whether one of `times` is about to come, and is the one at which the live run admitted who is expected."""
        live = self._left[0][1] if self._left else float("inf")
        return any(now < one <= now + self.slack and abs(live - one) <= self.slack for one in times)

    def later(self, name: str, now: float) -> bool:
        """Whether the live run admitted `name` clearly later than `now`, and not before."""
        live = next((at for left, at in self._left if left == name), None)
        return live is not None and live > now + self.slack

    def may_hold(self, name: str, now: float) -> bool:
        """Whether `name`, which could be admitted at `now`, may be held back for an event that is about to come."""
        return now - self._held.setdefault(name, now) < self.slack

    def admitted(self, name: str, now: float) -> None:
        """The twin admits `name`."""
        self._held.pop(name, None)
        place = next((index for index, (left, _) in enumerate(self._left) if left == name), None)
        if place is None:
            return
        if place:
            self.departures.append(Departure(now, name, self.expected))
        del self._left[place]
