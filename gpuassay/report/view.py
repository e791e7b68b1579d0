"""What the page and the summary show, computed once from a run directory."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gpuassay.report.account import Accounting, accounting
from gpuassay.report.decision import Decision, decision
from gpuassay.report.defects import Component, by_component
from gpuassay.report.findings import Finding, findings, headline, killers, subject, verdict_sentence
from gpuassay.report.rundir import RunDir
from gpuassay.report.text import NOTHING, elapsed, mapping, number, one_line, sequence
from gpuassay.verdict import State


@dataclass(frozen=True)
class RecordingRow:
    """A recording in a table: link (relative, "" when the folder is not in this run), how it ended, how busy it was."""

    name: str
    link: str
    profile: str
    outcome: str
    seconds: float | None
    gaps: str
    pressure: str
    error: str


@dataclass(frozen=True)
class View:
    """Everything a template needs beside the run directory itself."""

    account: Accounting
    sentence: str
    headline: str
    subject: str
    tone: str
    banner: str
    findings: list[Finding]
    decision: Decision
    defects: list[Component]
    wall_seconds: float | None
    command: str
    replay_command: str
    recordings: list[RecordingRow]
    machine: list[tuple[str, str]]


def view(rundir: RunDir) -> View:
    """Compute the view of `rundir`."""
    account = accounting(rundir.verdicts, rundir.open)
    run = rundir.run
    return View(
        account=account,
        sentence=verdict_sentence(rundir, account),
        headline=headline(rundir, account),
        subject=subject(rundir),
        tone=_tone(rundir, account),
        banner=run.banner,
        findings=findings(rundir.verdicts),
        decision=decision(rundir),
        defects=by_component(rundir.verdicts),
        wall_seconds=elapsed(run.started, run.ended),
        command=shlex.join(run.command),
        replay_command=shlex.join(["python", "-m", "pytest", "suites", "--replay", f"reports/runs/{run.run_id}"]),
        recordings=_recordings(rundir),
        machine=[(key, _machine(key, value)) for key, value in run.machine.items()],
    )


def recording_link(rundir: RunDir, name: str) -> str:
    """A link relative to the run directory, "" when this run does not hold the recording (as in a replay)."""
    return f"recordings/{quote(name, safe='')}/" if name in rundir.recordings else ""


def limit_for(view: View, budget: int, most: int) -> int:
    """Characters each finding may show so that all of them together stay within `budget`."""
    return max(400, min(most, budget // max(1, len(view.findings))))


def _tone(rundir: RunDir, account: Accounting) -> str:
    """The colour of the headline: `pass`, `fail` or `error`."""
    if rundir.run.mutant:
        return "pass" if killers(rundir) else "fail"
    if account.green:
        return "pass"
    return "fail" if account.states[State.FAIL] else "error"


def _recordings(rundir: RunDir) -> list[RecordingRow]:
    return [
        RecordingRow(
            name=name,
            link=recording_link(rundir, name),
            profile=head.profile or NOTHING,
            outcome=head.outcome or "unknown",
            seconds=(head.ended_ns - head.started_ns) / 1e9 if head.ended_ns and head.started_ns else None,
            gaps=number(len(gaps)) if (gaps := sequence(head.gaps)) is not None else _plain(head.gaps),
            pressure=_share(head.pressure),
            error=one_line(_plain(head.error), 300) if head.error else "",
        )
        for name, head in rundir.recordings.items()
    ]


def _share(value: Any) -> str:
    """CPU pressure: a share of time becomes percent, a mapping is told name by name."""
    if (pairs := mapping(value)) is not None:
        return ", ".join(f"{key.replace('_', ' ')} {_share(item)}" for key, item in pairs.items())
    if isinstance(value, float) and 0 <= value <= 1:
        return f"{100 * value:.1f} %"
    return _plain(value)


def _plain(value: Any) -> str:
    if (pairs := mapping(value)) is not None:
        return ", ".join(f"{key} {_plain(item)}" for key, item in pairs.items())
    if (items := sequence(value)) is not None:
        return ", ".join(_plain(item) for item in items)
    return number(value)


def _machine(key: str, value: Any) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    return _plain(value)


def measured(values: dict[str, Any], limit: int = 400) -> str:
    """Measured values of a verdict in one line."""
    return one_line(", ".join(f"{name} = {_plain(value)}" for name, value in values.items()), limit)
