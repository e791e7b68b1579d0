"""Claims of the paper in a run: one line each, and the page that is published of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gpuassay.report.rundir import RunDir
from gpuassay.report.text import one_line
from gpuassay.verdict import State, Verdict

WHERE = "claim_in"
"""Key of a verdict's figures that says where in the paper its claim stands (`Measure.claim`)."""
WITHOUT = {
    State.ERROR: "not played: the suite or its environment broke",
    State.SKIP: "not played here",
}


def claims(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on claims of the paper, by table and figure."""
    found = [one for one in verdicts if WHERE in one.measured]
    return sorted(found, key=lambda one: (str(one.measured[WHERE]), one.behaviour))


def claim_line(verdict: Verdict) -> str:
    """`Table 3 priority: paper 0.904, ours 0.921 (0.893 to 0.949): reproduced, decided after 5 rounds`."""
    where, name, paper, ours, outcome, why = cells(verdict)
    return one_line(f"{where} {name}: paper {paper}, ours {ours}: {outcome.upper()}, {why}", 300)


def cells(verdict: Verdict) -> tuple[str, str, str, str, str, str]:
    """Where it stands, its name, the paper's value, ours with its interval, how it is decided, and why."""
    measured = verdict.measured
    unit = str(measured.get("unit") or "")
    ours = _number(measured.get("ours"), unit)
    if measured.get("ours") is not None and verdict.interval:
        ours += f" ({verdict.interval[0]:.3g} to {verdict.interval[1]:.3g})"
    name = verdict.behaviour.rpartition("[")[2].removesuffix("]").rpartition(".")[2]
    outcome = str(measured.get("outcome", ""))
    why = verdict.reason.removeprefix("Skipped: ").removeprefix("not testable here: ").removeprefix("not reproduced: ")
    if not why or outcome == "reproduced":
        why = f"{measured.get('rounds')} rounds, {verdict.threshold} asked"
    elif outcome != "not testable here":
        why = f"{why.rpartition(': ')[2] if outcome == 'not reproduced' else why}, {verdict.threshold} asked"
    return str(measured[WHERE]), name, _number(measured.get("paper"), unit), ours, outcome, one_line(why, 240)


def detectable(verdict: Verdict) -> str:
    """The least effect beyond the bar that the rounds find in 80 % of cases."""
    seen, unit = verdict.measured.get("detectable_80"), str(verdict.measured.get("unit") or "")
    if not isinstance(seen, float):
        return "-"
    return f"{seen:.3g} {unit}" if unit else f"{100 * seen:.3g} %"


def _number(value: Any, unit: str) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "-"
    return f"{value:.3g} {unit}".strip()


HEAD = ("where", "claim", "paper", "here (interval that decided)", "", "why", "least effect seen in 80 %")


def exhibit(found: Sequence[Verdict]) -> dict[str, Any]:
    """Claims of a run as a table of its report."""
    return {
        "id": "paper-claims",
        "title": "The paper's claims, decided",
        "kind": "table",
        "columns": [name or "outcome" for name in HEAD],
        "rows": [[*cells(one), detectable(one)] for one in found],
        "notes": [
            "Intervals are at each claim's own share of its family's error of 1 %. The least effect is beyond the bar."
        ],
        "section": "The paper",
    }


def page(rundir: RunDir, digest: str, command: str) -> str:
    """The published page, markdown."""
    found = claims(rundir.verdicts)
    counts: dict[str, int] = {}
    for one in found:
        outcome = str(one.measured.get("outcome"))
        counts[outcome] = counts.get(outcome, 0) + 1
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    rows = [(*cells(one), detectable(one)) for one in found]
    table = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    missing = [one for one in rundir.verdicts if WHERE not in one.measured and one.state in WITHOUT]
    return "\n".join(
        [
            "# The paper's claims, decided",
            "",
            "*Evaluating Kubernetes Performance for GenAI Inference* (arXiv 2602.04900), Tables 3 to 6, Figures 5-7,",
            f"on emulated GPUs. This page is generated: {told}.",
            "",
            f"Made by `{command}`; run {rundir.run.run_id}. SHA-256 over its recordings: `{digest}`.",
            "What is emulated and how a claim is decided: [measuring](../performance.md#the-paper-decided).",
            "",
            f"| {' | '.join(HEAD)} |",
            f"|{' --- |' * len(HEAD)}",
            *table,
            *(["", "Not played:", ""] if missing else []),
            *(f"- {one.behaviour}: {one_line(one.reason, 200) or WITHOUT[State(one.state)]}" for one in missing),
            "",
        ]
    )
