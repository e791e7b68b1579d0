"""Findings: what a reader should look at, worst first, equal skip reasons told once; and the verdict sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpuassay.refutation import sentence_of
from gpuassay.report.account import Accounting, worst_first
from gpuassay.report.defects import KNOWN
from gpuassay.report.remedies import remedy
from gpuassay.report.rundir import RunDir
from gpuassay.verdict import State, Verdict


@dataclass(frozen=True)
class Finding:
    """One or more behaviours that did not pass, for the same reason.

    Attributes:
        state: how they ended.
        verdicts: the behaviours; more than one only for SKIP, ERROR and known defects.
        told: the reason in a sentence; of what was skipped, what would lift it.
    """

    state: State
    verdicts: list[Verdict]
    told: str = ""

    @property
    def first(self) -> Verdict:
        """The behaviour that stands for the finding."""
        return self.verdicts[0]

    @property
    def rest(self) -> str:
        """What is known beyond the sentence."""
        return self.first.reason.strip().removeprefix(self.told).strip("\n")


ELSEWHERE = (*KNOWN, State.SKIP)
"""States that the page tells by component and by remedy."""


def findings(verdicts: Iterable[Verdict]) -> list[Finding]:
    """Everything that did not pass, worst first; what one thing would mend, or explains, is one finding."""
    found: list[Finding] = []
    groups: dict[tuple[State, str], Finding] = {}
    for verdict in worst_first(verdicts):
        state = State(verdict.state)
        if state in (State.PASS, State.PASS_RECORDED):
            continue
        told = _told(state, verdict)
        key = state, told
        if state in (*ELSEWHERE, State.ERROR) and key in groups:
            groups[key].verdicts.append(verdict)
            continue
        groups[key] = Finding(state, [verdict], told)
        found.append(groups[key])
    return found


def _told(state: State, verdict: Verdict) -> str:
    if state is State.SKIP:
        what, command = remedy(verdict.reason)
        return f"{what}: {command}" if command else verdict.reason
    return sentence_of(verdict.reason)


def subject(rundir: RunDir) -> str:
    """What was tested, on what: `kueue v0.19.2 on the embedded cluster (Kubernetes v1.36.3)`."""
    suites = sorted({verdict.suite for verdict in rundir.verdicts})
    versions = {part.name: part.version for part in rundir.run.components if part.version}
    tested = ", ".join(f"{suite} {versions[suite]}" if suite in versions else suite for suite in suites) or "Nothing"
    cluster = rundir.run.cluster
    if cluster is not None and cluster.provider == "none":
        return f"{tested}, no cluster was opened"
    if cluster is None:
        return f"{tested} on an unknown cluster"
    kubernetes = f" (Kubernetes {cluster.kubernetes})" if cluster.kubernetes else ""
    return f"{tested} on the {cluster.provider} cluster{kubernetes}"


def headline(rundir: RunDir, account: Accounting) -> str:
    """Whether it is fit, in at most three words; of a mutant run, what became of the mutant."""
    if rundir.run.mutant:
        return "Mutant killed" if killers(rundir) else "Mutant not killed"
    if account.states[State.FAIL]:
        return "Not fit"
    if account.recorded and not account.executed:
        return "Judged from recordings"
    if account.open:
        return "Not finished"
    return "Fit as tested" if account.green else "No verdict"


def killers(rundir: RunDir) -> list[str]:
    """Ids of the behaviours that name the mutant of this run and were refuted, as they must be."""
    return [v.behaviour for v in rundir.verdicts if v.mutant == rundir.run.mutant and v.state == State.FAIL]


def verdict_sentence(rundir: RunDir, account: Accounting) -> str:
    """What was tested, on what, and whether it is fit; a mutant run says whether the mutant was killed."""
    words = f"{headline(rundir, account)}: {subject(rundir)}. {account.why}"
    mutant = rundir.run.mutant
    if not mutant:
        return words
    killed_by = killers(rundir)
    if killed_by:
        fate = f"killed by {', '.join(killed_by[:3])}{' and others' if len(killed_by) > 3 else ''}"
    elif any(v.mutant == mutant for v in rundir.verdicts):
        fate = "SURVIVED: no behaviour that names it turned red"
    else:
        fate = "no declared behaviour names it"
    return f"MUTANT {mutant} ({fate}); the system under test was broken on purpose. {words}"
