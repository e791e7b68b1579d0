"""What changed between runs: verdicts and measured effects, behaviour by behaviour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpuassay.report.rundir import ReportError, RunDir
from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict


class Change(StrEnum):
    """What became of a behaviour, worst first."""

    REFUTED = "refuted now"
    BROKE = "not judged any more: the suite or its environment broke"
    SKIPPED = "not judged any more: a capability is lacking"
    UNDECIDED = "not decided any more"
    REMOVED = "not in the later run"
    DEFECT = "a known defect now"
    MENDED = "holds now"
    JUDGED = "judged now"
    ADDED = "new in the later run"
    OTHER = "otherwise"


REGRESSIONS = frozenset({Change.REFUTED, Change.BROKE})
"""Changes for which a comparison ends with exit code 1."""

_HOLDS = frozenset({State.PASS, State.PASS_RECORDED})
_FAILS = frozenset({State.FAIL, State.FAIL_RECORDED})
_DEFECT = frozenset({State.KNOWN_DEFECT, State.KNOWN_DEFECT_RECORDED})
_SAYS = _HOLDS | _FAILS | _DEFECT


@dataclass(frozen=True)
class Difference:
    """A behaviour that did not end alike.

    Attributes:
        behaviour: its id.
        change: what became of it.
        before: its state in the earlier run, None where it has none.
        after: likewise, in the later run.
        reason: why it ended so in the later run, one line.
    """

    behaviour: str
    change: Change
    before: State | None
    after: State | None
    reason: str = ""


@dataclass(frozen=True)
class Effect:
    """A measured figure of both runs, with the later over the earlier; `apart`: their intervals do not overlap."""

    behaviour: str
    figure: str
    before: float
    after: float
    apart: bool

    @property
    def ratio(self) -> float | None:
        """The later over the earlier, None where that is no number."""
        return self.after / self.before if self.before else None


def differences(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[Difference]:
    """Behaviours that ended otherwise, worst changes first.

    Raises:
        ReportError: the runs have no behaviour in common.
    """
    earlier, later = _by_id(before), _by_id(after)
    if not earlier.keys() & later.keys():
        raise ReportError("the runs have no behaviour in common: they judged different suites")
    found = [_difference(name, earlier.get(name), later.get(name)) for name in earlier.keys() | later.keys()]
    order = list(Change)
    return sorted((one for one in found if one is not None), key=lambda one: (order.index(one.change), one.behaviour))


def _by_id(verdicts: Sequence[Verdict]) -> dict[str, Verdict]:
    return {one.behaviour: one for one in verdicts}


def _difference(name: str, before: Verdict | None, after: Verdict | None) -> Difference | None:
    old = State(before.state) if before else None
    new = State(after.state) if after else None
    if old is new:
        return None
    return Difference(name, _change(old, new), old, new, one_line(after.reason) if after else "")


def _change(old: State | None, new: State | None) -> Change:
    if new is None:
        return Change.REMOVED
    if new in _FAILS:
        return Change.REFUTED
    if new is State.ERROR:
        return Change.BROKE
    if old is None:
        return Change.ADDED
    if new is State.SKIP:
        return Change.SKIPPED
    if new is State.INCONCLUSIVE:
        return Change.UNDECIDED
    if new in _DEFECT and old not in _DEFECT:
        return Change.DEFECT
    if new in _HOLDS and old in _FAILS | _DEFECT | {State.ERROR}:
        return Change.MENDED
    return Change.JUDGED if new in _SAYS and old not in _SAYS else Change.OTHER


def effects(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[Effect]:
    """Figures that both runs measured and that differ; those whose intervals lie apart first."""
    later = _by_id(after)
    found: list[Effect] = []
    for one in before:
        other = later.get(one.behaviour)
        if other is None:
            continue
        apart = _apart(one.interval, other.interval)
        found += [
            Effect(one.behaviour, name, old, new, apart)
            for name in one.measured
            if (old := _number(one.measured[name])) is not None
            and (new := _number(other.measured.get(name))) is not None
            and old != new
        ]
    return sorted(found, key=lambda one: (not one.apart, one.behaviour, one.figure))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _apart(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    return one is not None and other is not None and (one[1] < other[0] or other[1] < one[0])


def told(run: RunDir) -> str:
    """A run in a few words: its id, what it ran on, versions of what was tested, and what a reader must know of it."""
    versions = ", ".join(f"{one.name} {one.version}" for one in run.run.components if one.version)
    banner = f" [{run.run.banner}]" if run.run.banner else ""
    return f"{run.run.run_id}{banner} ({versions or 'no component is named'})"


def versions_apart(before: RunDir, after: RunDir) -> list[str]:
    """Components whose versions differ, such as `kueue v0.18.4 -> v0.19.2`."""
    old = {one.name: one.version or "unknown" for one in before.run.components}
    new = {one.name: one.version or "unknown" for one in after.run.components}
    return [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def markdown(before: RunDir, after: RunDir) -> Iterator[str]:
    """The comparison as Markdown, for a pull request."""
    yield f"Earlier: {told(before)}  "
    yield f"Later: {told(after)}  "
    yield f"Versions: {', '.join(versions_apart(before, after)) or 'the same'}"
    found = differences(before.verdicts, after.verdicts)
    same = len(_by_id(before.verdicts).keys() & _by_id(after.verdicts).keys()) - sum(
        one.before is not None and one.after is not None for one in found
    )
    counts = Counter(one.change for one in found)
    yield ""
    yield f"{same} behaviours ended alike" + "".join(f", {counts[one]} {one}" for one in Change if counts[one]) + "."
    if found:
        yield ""
        yield "| behaviour | earlier | later | |"
        yield "| --- | --- | --- | --- |"
        for one in found:
            cells = (
                f"`{one.behaviour}`",
                one.before or "-",
                one.after or "-",
                f"{one.change}: {one.reason}".rstrip(": "),
            )
            yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
    moved = [one for one in effects(before.verdicts, after.verdicts) if one.apart]
    if moved:
        yield ""
        yield "| measured, intervals apart | earlier | later | later / earlier |"
        yield "| --- | --- | --- | --- |"
        for one in moved:
            ratio = "-" if one.ratio is None else f"{one.ratio:.3f}"
            yield f"| `{one.behaviour}` {one.figure} | {one.before:g} | {one.after:g} | {ratio} |"


def matrix(runs: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    """Behaviours that do not end alike in all runs, a column for each, as Markdown; then the counts."""
    by_run = {name: _by_id(verdicts) for name, verdicts in runs.items()}
    ids = sorted({behaviour for verdicts in by_run.values() for behaviour in verdicts})
    yield "| behaviour | " + " | ".join(by_run) + " |"
    yield "| --- |" + " --- |" * len(by_run)
    alike = 0
    for behaviour in ids:
        states = [verdicts[behaviour].state if behaviour in verdicts else "-" for verdicts in by_run.values()]
        if len(set(states)) == 1:
            alike += 1
        else:
            yield f"| `{behaviour}` | " + " | ".join(states) + " |"
    for state in State:
        counts = [sum(one.state == state for one in verdicts.values()) for verdicts in by_run.values()]
        if any(counts):
            yield f"| all: {state} | " + " | ".join(map(str, counts)) + " |"
    yield ""
    yield f"{alike} of {len(ids)} behaviours end alike in all of them."
