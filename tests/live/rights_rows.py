"""What a run under lesser rights came to, and whether that is as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuassay.verdict import State


@dataclass
class Row:
    """One run.

    Attributes:
        system: of the sample.
        right: that was taken away, as `VERB RESOURCE.GROUP`; "" where the account had the whole role.
        code: exit code; None where it hung.
        seconds: how long it took.
        said: the last lines that it printed.
        states: of each behaviour.
        reasons: of the verdicts, each once.
        told: rights that the run said at its start to lack.
        left: what it left on the cluster.
    """

    system: str
    right: str
    code: int | None
    seconds: float
    said: list[str] = field(default_factory=list[str])
    states: dict[str, str] = field(default_factory=dict[str, str])
    reasons: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])

    @property
    def named(self) -> bool:
        """Whether a reason, or what was printed, names verb and resource of the right."""
        verb, _, thing = self.right.partition(" ")
        resource, _, group = thing.partition(".")
        spellings = (f"{verb} {thing}", f'cannot {verb} resource "{resource}" in API group "{group}"')
        return any(one in line for one in spellings for line in [*self.reasons, *self.said])

    @property
    def counts(self) -> Counter[str]:
        """How many behaviours ended how."""
        return Counter(self.states.values())

    @property
    def green(self) -> bool:
        """Whether every behaviour was judged, and held or is known to fail."""
        return bool(self.states) and set(self.states.values()) <= {State.PASS, State.KNOWN_DEFECT}

    @property
    def problem(self) -> str:
        """What is not as it must be, or ""."""
        if self.code is None:
            return "hangs"
        if self.counts[State.FAIL]:
            return "a sound system is refuted"
        if not self.right:
            return "" if self.counts[State.PASS] and not self.counts[State.ERROR] else "the whole role does not suffice"
        if self.left and self.code == 0:
            return "what is left is not told"
        if self.green:  # the right was not used; the run has said all the same that it is lacking
            return "" if self.told else "green, and nothing is told of the right"
        return "" if self.named else "verb and resource are not named"

    @property
    def summary(self) -> str:
        """In a few words."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.counts.items()))
        found = counts or f"no verdict, exit code {self.code}"
        left = f"; left: {len(self.left)}" if self.left else ""
        return found + left + (f": {self.problem}" if self.problem else "")


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| right taken away | what came of it |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{one.right or 'none'}` | {one.summary} |" for one in rows)])
