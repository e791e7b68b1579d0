"""How much of what is declared was judged live on a cluster, and why the rest was not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gpuassay.capabilities import DENIED, Why
from gpuassay.manifest import Manifest
from gpuassay.report.text import one_line
from gpuassay.verdict import ON_RECORDINGS, State, Verdict

JUDGED = frozenset({State.PASS, State.FAIL, State.KNOWN_DEFECT})
"""States that say something of the cluster at hand. INCONCLUSIVE does not: the count cannot be raised by noise."""

NOT_ASKED = "this run did not ask for it"
NOISE = "noise was larger than the effect"
BROKE = "the suite or its environment broke"
RECORDED = "only a recording that comes with the library was judged"
UNLISTED = "a reason that is on no list"

HARDEST = (Why.FAULTS, Why.PROCESS, Why.MACHINES, Why.MARKED, Why.CONSENT, Why.SWITCHED_OFF, Why.ABSENT, Why.ON_REQUEST)
"""Where several capabilities are lacking, the one that is hardest to give is the reason."""

_LACKS = re.compile(r"the cluster lacks: (?P<names>[^(]+)")
_OUTSIDE = "from outside: "


@dataclass(frozen=True)
class Asked:
    """One declared behaviour: its id and suite, and whether it is a measurement."""

    id: str
    suite: str
    measured: bool = False


@dataclass
class Share:
    """Behaviours judged of those declared."""

    judged: int = 0
    declared: int = 0

    def __str__(self) -> str:
        """Such as `191 of 255 (74.9 %)`."""
        if not self.declared:
            return "none declared"
        return f"{self.judged} of {self.declared} ({100 * self.judged / self.declared:.1f} %)"


@dataclass
class Reach:
    """The count.

    Attributes:
        rules: functional behaviours by suite.
        measured: measurements by suite.
        reasons: why behaviours were not judged; what was lacking or said, with how often.
    """

    rules: dict[str, Share] = field(default_factory=dict[str, Share])
    measured: dict[str, Share] = field(default_factory=dict[str, Share])
    reasons: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])

    @property
    def whole(self) -> Share:
        """All functional behaviours."""
        return _sum(self.rules.values())

    @property
    def all_measured(self) -> Share:
        """All measurements."""
        return _sum(self.measured.values())

    def to_json(self) -> Manifest:
        """The count as JSON values."""
        return {
            "rules": {suite: vars(share) for suite, share in self.rules.items()},
            "measured": {suite: vars(share) for suite, share in self.measured.items()},
            "reasons": {reason: dict(causes) for reason, causes in self.reasons.items()},
        }


def reach(declared: Iterable[Asked], runs: Sequence[Sequence[Verdict]], why: Callable[[str], Why | None]) -> Reach:
    """Count what was judged in any of `runs`, of one cluster.

    Args:
        declared: everything that there is to be judged, whatever the runs selected.
        runs: the verdicts of each.
        why: the reason for a capability.
    """
    found: dict[str, Verdict] = {}
    for one in (verdict for run in runs for verdict in run):
        before = found.get(one.behaviour)
        if before is None or (State(before.state) not in JUDGED and State(one.state) in JUDGED):
            found[one.behaviour] = one
    counted = Reach()
    for one in declared:
        share = (counted.measured if one.measured else counted.rules).setdefault(one.suite, Share())
        share.declared += 1
        verdict = found.get(one.id)
        if verdict is not None and State(verdict.state) in JUDGED:
            share.judged += 1
            continue
        reason, what = _reason(verdict, why)
        counted.reasons.setdefault(reason, Counter())[what] += 1
    return counted


def _reason(verdict: Verdict | None, why: Callable[[str], Why | None]) -> tuple[str, str]:
    """The reason from the closed list, and what exactly was lacking."""
    if verdict is None:
        return NOT_ASKED, ""
    state = State(verdict.state)
    if state is State.INCONCLUSIVE:
        return NOISE, ""
    if DENIED in verdict.reason and state in (State.ERROR, State.SKIP):
        return Why.RIGHTS.value, one_line(verdict.reason[verdict.reason.index(DENIED) :])
    if state is State.ERROR:
        return BROKE, one_line(verdict.reason)
    if state in ON_RECORDINGS:
        return RECORDED, ""
    if verdict.reason.startswith(_OUTSIDE):
        return Why.FAULTS.value, one_line(verdict.reason)
    named = _LACKS.match(verdict.reason)
    names = [name.strip() for name in named["names"].split(",")] if named else []
    known = {name: reason for name in names if (reason := why(name)) is not None}
    for hardest in HARDEST:
        if lacking := [name for name, reason in known.items() if reason is hardest]:
            return hardest.value, lacking[0]
    return UNLISTED, one_line(verdict.reason)


def _sum(shares: Iterable[Share]) -> Share:
    total = Share()
    for one in shares:
        total.judged += one.judged
        total.declared += one.declared
    return total


def lines(counted: Reach) -> list[str]:
    """The count as text: a line for each suite, then the reasons, the most frequent first."""
    told = [f"{'suite':<14}{'rules judged':<24}measurements judged"]
    told += [
        f"{suite:<14}{counted.rules.get(suite, Share())!s:<24}{counted.measured.get(suite, Share())}"
        for suite in sorted({*counted.rules, *counted.measured})
    ]
    told += [f"{'all':<14}{counted.whole!s:<24}{counted.all_measured}", ""]
    if not counted.reasons:
        return [*told, "Nothing was left out."]
    told.append("Not judged, and why:")
    for reason, causes in sorted(counted.reasons.items(), key=lambda entry: -entry[1].total()):
        told.append(f"{causes.total():>6}  {reason}")
        told += [f"{'':>10}{count:>5}  {what}" for what, count in causes.most_common() if what]
    return told


def exhibit(counted: Reach, where: str) -> Manifest:
    """The count of one run as a table of its report, in format of `exhibits.Table`."""
    suites = sorted({*counted.rules, *counted.measured})
    rows = [
        [suite, *(cell for of in (counted.rules, counted.measured) for cell in _cells(of.get(suite)))]
        for suite in suites
    ]  # fmt: skip
    why = [
        f"{causes.total()} not judged: {reason}"
        + (f" ({', '.join(f'{what}: {count}' for what, count in causes.most_common(3))})" if any(causes) else "")
        for reason, causes in sorted(counted.reasons.items(), key=lambda entry: -entry[1].total())
    ]
    return {
        "id": "reach",
        "kind": "table",
        "section": "What was judged on this cluster",
        "title": f"Behaviours judged live on {where}, of those that this run asked for",
        "columns": ["suite", "rules judged", "rules asked for", "measurements judged", "measurements asked for"],
        "rows": rows,
        "notes": why,
    }


def _cells(share: Share | None) -> tuple[int | None, int | None]:
    return (share.judged, share.declared) if share is not None and share.declared else (None, None)
