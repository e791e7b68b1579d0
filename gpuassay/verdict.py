"""What a test can end in, and what a behaviour is.

A behaviour is a sentence about the system under test that a test can refute. Every declared behaviour ends in
exactly one state; the declared set is the denominator of every account.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The ends of a behaviour: six where the system ran, three where only recordings of it were judged."""

    PASS = "PASS"
    FAIL = "FAIL"
    ERROR = "ERROR"
    """The suite or its environment broke: says nothing about the system under test."""
    SKIP = "SKIP"
    """The cluster lacks a capability; the reason names it."""
    KNOWN_DEFECT = "KNOWN-DEFECT"
    """Fails as an upstream issue says it does (strict: an unexpected pass is a FAIL)."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Noise is larger than the effect, or the machine was too busy to measure."""
    PASS_RECORDED = "PASS, RECORDED"
    """Nothing ran here: it holds on a recording that comes with the library; the reason says which."""
    FAIL_RECORDED = "FAIL, RECORDED"
    """Likewise, and the recording refutes it."""
    KNOWN_DEFECT_RECORDED = "KNOWN-DEFECT, RECORDED"
    """Likewise, as an upstream issue says."""

    @property
    def recorded(self) -> State:
        """The state of a judgement that was reached on such a recording; what says nothing stays what it is."""
        return _RECORDED.get(self, self)


_RECORDED = {
    State.PASS: State.PASS_RECORDED,
    State.FAIL: State.FAIL_RECORDED,
    State.KNOWN_DEFECT: State.KNOWN_DEFECT_RECORDED,
}
ON_RECORDINGS = frozenset(_RECORDED.values())
"""States that say nothing of the platform at hand."""


class Level(StrEnum):
    """How binding a behaviour is (RFC 2119 words; INFO only reports)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    INFO = "INFO"


MUST, SHOULD, MAY, INFO = Level.MUST, Level.SHOULD, Level.MAY, Level.INFO
"""How binding a behaviour is, in the words of RFC 2119; INFO is a figure without a bound.

Example:
    @behaviour("mine.queue.turn", level=MUST, spec="our handbook", red_when="a job that waits is forgotten")
"""


class Inconclusive(Exception):  # noqa: N818 - a verdict, not an error
    """Raised by a test whose measurement cannot tell: ends as INCONCLUSIVE, never as pass or fail.

    Example:
        raise Inconclusive("one round has no interval: --full has five")
    """


@dataclass(frozen=True)
class Behaviour:
    """What a test declares about the system under test.

    Attributes:
        id: dotted, stable name, such as `kueue.order.same-second-burst`.
        level: how binding it is.
        spec: where the rule is written (a URL or `project: section`).
        red_when: the broken system that turns the test red, in words.
        mutant: name of the mutant that must turn it red, or "" while none is written.
        timed: its judgement hangs on a clock (a duration, a deadline, an order of moments that lie close together), so
            on a machine that others use as well a sound system may look broken: a refutation is then INCONCLUSIVE.
    """

    id: str
    level: Level
    spec: str
    red_when: str
    mutant: str = ""
    timed: bool = False

    @property
    def suite(self) -> str:
        """First part of the id: the suite."""
        return self.id.split(".", 1)[0]

    @property
    def feature(self) -> str:
        """Second part of the id: the feature within the suite."""
        return self.id.split(".")[1] if "." in self.id else self.id


@dataclass
class Verdict:
    """One line of `verdicts.jsonl`. Holds no times, so that a replay can be compared byte for byte."""

    behaviour: str
    test: str
    suite: str
    feature: str
    title: str
    level: str
    spec: str
    red_when: str
    mutant: str
    state: str
    reason: str = ""
    measured: dict[str, Any] = field(default_factory=dict[str, Any])
    interval: list[float] | None = None
    threshold: float | str | None = None
    recordings: list[str] = field(default_factory=list[str])
    link: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The line as a dict, keys in declaration order."""
        return asdict(self)
