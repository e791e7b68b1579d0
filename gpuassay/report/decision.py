"""The first screen: fit for what, what was refuted and what to do about it, what was not tested."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.refutation import sentence_of
from gpuassay.report.account import worst_first
from gpuassay.report.remedies import Remedy, remedies
from gpuassay.report.rundir import RunDir
from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict

MOST = 8
"""Refuted behaviours that the first screen tells; the others are counted."""


@dataclass(frozen=True)
class Fit:
    """A system that was tested, and how it fared.

    Attributes:
        name: the suite's name, with the version where one is known.
        held: behaviours that held, live or on recordings.
        refuted: behaviours that were refuted.
        broke: behaviours of which nothing is known, because the suite or its environment broke.
        known: behaviours that fail as an upstream issue says.
        unclear: behaviours that could not be decided.
        untested: behaviours that were skipped.
    """

    name: str
    held: int
    refuted: int
    broke: int
    known: int
    unclear: int
    untested: int

    @property
    def word(self) -> str:
        """Whether it is fit: refuted and broken behaviours decide, and nothing is fit of which nothing held."""
        if self.refuted:
            return "not fit"
        if self.broke:
            return "no verdict"
        if not self.held:
            return "not tested" if self.untested else "no verdict"
        return "fit as tested"

    @property
    def tone(self) -> str:
        """The colour of the word: `pass`, `fail`, `error` or `skip`."""
        return {"fit as tested": "pass", "not fit": "fail", "not tested": "skip"}.get(self.word, "error")


@dataclass(frozen=True)
class Refuted:
    """A behaviour that was refuted, or of which nothing is known.

    Attributes:
        verdict: the behaviour.
        sentence: why, in one sentence.
        advice: what to do next.
        command: the command for that.
    """

    verdict: Verdict
    sentence: str
    advice: str
    command: str


@dataclass(frozen=True)
class Decision:
    """What a reader decides by.

    Attributes:
        fits: each system.
        refuted: the worst behaviours that were refuted or broke.
        more: how many beyond those.
        untested: what was not tested, by what would lift it.
    """

    fits: list[Fit]
    refuted: list[Refuted]
    more: int
    untested: list[Remedy]


def decision(rundir: RunDir) -> Decision:
    """What the first screen says of a run."""
    red = [one for one in worst_first(rundir.verdicts) if one.state in (State.FAIL, State.FAIL_RECORDED, State.ERROR)]
    return Decision(
        fits=_fits(rundir),
        refuted=[refuted(one, rundir) for one in red[:MOST]],
        more=max(0, len(red) - MOST),
        untested=remedies(rundir.verdicts),
    )


def refuted(verdict: Verdict, rundir: RunDir) -> Refuted:
    """The sentence of a red behaviour, and what to do next."""
    sentence = one_line(sentence_of(verdict.reason), 400) or "no reason was given"
    again = ["python", "-m", "pytest", verdict.test]
    if verdict.state == State.ERROR:
        return Refuted(
            verdict, sentence, "This says nothing of the system; once mended, run it again:", shlex.join(again)
        )
    if rundir.run.mutant:
        return Refuted(
            verdict, sentence, "The system was broken on purpose; run it without the mutant:", shlex.join(again)
        )
    stored = rundir.run.replay_of or rundir.run.run_id  # a replay holds no recordings of its own
    command = shlex.join([*again, "--replay", f"reports/runs/{stored}"])
    return Refuted(verdict, sentence, "Judge its recording again, then report it with the recording:", command)


def _fits(rundir: RunDir) -> list[Fit]:
    versions = {part.name: part.version for part in rundir.run.components if part.version}
    suites: dict[str, list[Verdict]] = {}
    for verdict in rundir.verdicts:
        suites.setdefault(verdict.suite, []).append(verdict)
    return [_fit(f"{name} {versions.get(name, '')}".strip(), group) for name, group in sorted(suites.items())]


def _fit(name: str, verdicts: Sequence[Verdict]) -> Fit:
    count = Counter(State(one.state) for one in verdicts)
    return Fit(
        name,
        held=count[State.PASS] + count[State.PASS_RECORDED],
        refuted=count[State.FAIL] + count[State.FAIL_RECORDED],
        broke=count[State.ERROR],
        known=count[State.KNOWN_DEFECT] + count[State.KNOWN_DEFECT_RECORDED],
        unclear=count[State.INCONCLUSIVE],
        untested=count[State.SKIP],
    )
