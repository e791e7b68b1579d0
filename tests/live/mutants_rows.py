"""What a run with a mutant came to on somebody's cluster, and whether that is as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuassay.kills.store import IDENTITY
from gpuassay.verdict import State


@dataclass
class Broken:
    """One run.

    Attributes:
        system: of the sample.
        mutant: by which it was broken; `identity`: by nothing.
        seconds: how long it took.
        states: of each behaviour.
        reasons: of each verdict, its first line.
        said: the last lines that it printed, where there is no verdict.
    """

    system: str
    mutant: str
    seconds: float
    states: dict[str, str] = field(default_factory=dict[str, str])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    said: list[str] = field(default_factory=list[str])

    @property
    def problem(self) -> str:
        """What is not as it must be, or ""; what is skipped, or left open by a busy machine, says nothing."""
        judged = {name: state for name, state in self.states.items() if state not in (State.SKIP, State.INCONCLUSIVE)}
        right = State.PASS if self.mutant == IDENTITY else State.FAIL
        wrong = sorted(f"{name}: {state}" for name, state in judged.items() if state != right)
        if wrong:
            return f"must be {right}: {', '.join(wrong)}"
        return "" if judged else "nothing was judged"

    @property
    def summary(self) -> str:
        """In a few words."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(self.states.values()).items()))
        return (counts or "no verdict") + (f" ({self.problem})" if self.problem else "")


def table(rows: Sequence[Broken]) -> str:
    """Rows as Markdown."""
    lines = ["| suite | mutant | behaviours there |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {one.system} | `{one.mutant}` | {one.summary} |" for one in rows)])
