"""Accounting of verdicts: nothing vanishes, and only a run that really showed something is green."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gpuassay.report.text import plural
from gpuassay.verdict import ON_RECORDINGS, Level, State, Verdict

WORST_FIRST: tuple[State, ...] = (
    State.FAIL,
    State.ERROR,
    State.INCONCLUSIVE,
    State.KNOWN_DEFECT,
    State.FAIL_RECORDED,
    State.KNOWN_DEFECT_RECORDED,
    State.SKIP,
    State.PASS_RECORDED,
    State.PASS,
)
"""The order in which a reader wants them."""

GLYPH: dict[State, str] = {
    State.PASS: "✓",
    State.FAIL: "✗",
    State.ERROR: "!",
    State.INCONCLUSIVE: "≈",
    State.KNOWN_DEFECT: "⚑",
    State.SKIP: "○",
    State.PASS_RECORDED: "◌",
    State.FAIL_RECORDED: "⊗",
    State.KNOWN_DEFECT_RECORDED: "⚐",
}
"""A sign per state, so that a state is never told by colour alone."""

MEANING: dict[State, str] = {
    State.PASS: "held",
    State.FAIL: "refuted",
    State.ERROR: "the suite or its environment broke",
    State.INCONCLUSIVE: "noise larger than the effect",
    State.KNOWN_DEFECT: "fails as an upstream issue says",
    State.SKIP: "the cluster lacks a capability",
    State.PASS_RECORDED: "held on a recording, nothing ran here",
    State.FAIL_RECORDED: "refuted by a recording, nothing ran here",
    State.KNOWN_DEFECT_RECORDED: "fails on a recording as an upstream issue says",
}
"""What each state says, in a few words."""

RED = (State.FAIL, State.FAIL_RECORDED, State.ERROR)
"""States of which one makes a run red."""

Counts = dict[State, int]
"""How many behaviours ended in each state; every state is a key."""


@dataclass(frozen=True)
class Accounting:
    """How the declared behaviours ended.

    Attributes:
        declared: number of declared behaviours, the sum of `states` and `open`.
        states: count per state, worst first.
        by_suite: `states` for each suite.
        by_feature: `states` for each `suite.feature`.
        by_level: `states` for each level, MUST first.
        green: at least one PASS, live or on a recording, no FAIL of either kind, no ERROR, nothing open.
        why: one sentence that says why it is green or not.
        open: behaviours that are not judged yet, or never were: the run goes on, or was killed.
    """

    declared: int
    states: Counts
    by_suite: dict[str, Counts]
    by_feature: dict[str, Counts]
    by_level: dict[str, Counts]
    green: bool
    why: str
    open: int = 0

    @property
    def executed(self) -> int:
        """Behaviours that were really put to the test here: all but SKIP, ERROR and what recordings say."""
        aside = (State.SKIP, State.ERROR, *ON_RECORDINGS)
        return self.declared - self.open - sum(self.states[state] for state in aside)

    @property
    def recorded(self) -> int:
        """Behaviours that were judged from recordings that come with the library."""
        return sum(self.states[state] for state in ON_RECORDINGS)


def accounting(verdicts: Sequence[Verdict], open: int = 0) -> Accounting:
    """Count `verdicts`; the sum of the states, and of those still `open`, is the number declared."""
    states = _count(verdicts)
    levels = _grouped(verdicts, lambda verdict: verdict.level)
    return Accounting(
        declared=len(verdicts) + open,
        states=states,
        by_suite=dict(sorted(_grouped(verdicts, lambda verdict: verdict.suite).items())),
        by_feature=dict(sorted(_grouped(verdicts, lambda v: f"{v.suite}.{v.feature}").items())),
        by_level={level.value: levels[level.value] for level in Level if level.value in levels},
        green=_held(states) > 0 and not any(states[one] for one in RED) and not open,
        why=_so_far(states, open) if open else _why(states, len(verdicts), _failed(verdicts)),
        open=open,
    )


def worst_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """`verdicts` from FAIL to PASS, within a state from MUST to INFO, then by behaviour id."""
    levels = list(Level)
    return sorted(
        verdicts,
        key=lambda v: (WORST_FIRST.index(State(v.state)), levels.index(Level(v.level)), v.behaviour, v.test),
    )


def _count(verdicts: Iterable[Verdict]) -> Counts:
    seen = Counter(State(verdict.state) for verdict in verdicts)
    return {state: seen[state] for state in WORST_FIRST}


def _grouped(verdicts: Iterable[Verdict], key: Callable[[Verdict], str]) -> dict[str, Counts]:
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(key(verdict), []).append(verdict)
    return {name: _count(group) for name, group in groups.items()}


def _failed(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.level for verdict in verdicts if verdict.state in (State.FAIL, State.FAIL_RECORDED)]


def _held(states: Counts) -> int:
    return states[State.PASS] + states[State.PASS_RECORDED]


def _so_far(states: Counts, open: int) -> str:
    judged = sum(states.values())
    told = ", ".join(f"{states[state]:,} {state}" for state in WORST_FIRST if states[state]) or "nothing"
    return f"So far {plural(judged, 'behaviour')} of {judged + open:,} judged ({told}), {open:,} open."


def _why(states: Counts, declared: int, failed: list[str]) -> str:
    broke = states[State.ERROR]
    also = f"; for {broke:,} more the suite or its environment broke" if broke else ""
    if not declared:
        return "Nothing was declared, so nothing was shown."
    if failed:
        levels = Counter(failed)
        split = ", ".join(f"{levels[level.value]} {level}" for level in Level if levels[level.value])
        return f"{plural(len(failed), 'behaviour')} refuted ({split}){also}."
    if broke:
        return f"The suite or its environment broke for {plural(broke, 'behaviour')} of {declared:,}: they say nothing."
    if states[State.SKIP] == declared:
        return f"Nothing executed: all {declared:,} behaviours were skipped."
    if not _held(states):
        return f"None of {plural(declared, 'behaviour')} passed, so nothing was shown to work."
    rest = [f"{states[state]:,} {state}" for state in WORST_FIRST if states[state] and state is not State.PASS]
    tail = f" ({', '.join(rest)})" if rest else ""
    if not states[State.PASS]:
        held = states[State.PASS_RECORDED]
        return f"Nothing ran here: {held:,} of {plural(declared, 'declared behaviour')} held on recordings{tail}."
    return f"{states[State.PASS]:,} of {plural(declared, 'declared behaviour')} held, none was refuted{tail}."
