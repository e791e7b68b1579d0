"""What the terminal ends with: the accounting, the findings worth reading, the way to the report."""

from __future__ import annotations

from pathlib import Path

from gpuassay.report.account import GLYPH
from gpuassay.report.claims import claim_line, claims
from gpuassay.report.findings import Finding, findings, verdict_sentence
from gpuassay.report.rundir import ReportError, RunDir, load
from gpuassay.report.text import one_line, plural, seconds
from gpuassay.report.view import view

MOST = 12
"""Findings shown; the rest are counted."""


def terminal_ending(run_dir: Path) -> list[str]:
    """The last lines of a run. Never raises `ReportError`: a run directory that cannot be read is itself the news."""
    try:
        rundir = load(run_dir)
    except ReportError as error:
        return [f"gpuassay: no verdict, the run directory cannot be read: {one_line(str(error), 400)}"]
    return _ending(rundir)


def _ending(rundir: RunDir) -> list[str]:
    seen = view(rundir)
    account = seen.account
    counts = "  ".join(f"{GLYPH[state]} {count:,} {state}" for state, count in account.states.items() if count)
    took = f" in {seconds(seen.wall_seconds)}" if seen.wall_seconds is not None else ""
    lines = [f"*** {seen.banner} ***"] if seen.banner else []
    lines.append(verdict_sentence(rundir, account))
    lines.append(f"{plural(account.declared, 'behaviour')} declared{took} = {counts or 'nothing'}")
    lines.extend(f"note: {one_line(problem)}" for problem in rundir.problems)
    lines.extend(claim_line(one) for one in claims(rundir.verdicts))
    found = findings(rundir.verdicts)
    lines.extend(_line(finding) for finding in found[:MOST])
    if len(found) > MOST:
        lines.append(f"  ... and {plural(len(found) - MOST, 'finding')} more in the report")
    if rundir.run.emulated:
        lines.append(f"emulated: {one_line(', '.join(dict.fromkeys(part.what for part in rundir.run.emulated)), 300)}")
    page = rundir.path / "report.html"
    lines.append(f"report: {page}" if page.exists() else f"run directory: {rundir.path} (report.html was not written)")
    return lines


def _line(finding: Finding) -> str:
    first = finding.first
    name = first.behaviour if len(finding.verdicts) == 1 else plural(len(finding.verdicts), "behaviour")
    reason = one_line(finding.told, 140) or "no reason was given"
    return f"  {GLYPH[finding.state]} {finding.state:<12} {first.level:<6} {one_line(name, 80)}: {reason}"
