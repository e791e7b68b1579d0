"""`summary.md`: the job summary of a CI run, at most 1 MiB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gpuassay.report.account import GLYPH, MEANING, WORST_FIRST, Counts
from gpuassay.report.exhibits import Cdf, Exhibit, Gantt, Heatmap, Lines, SliceMap, Table, by_section
from gpuassay.report.findings import Finding
from gpuassay.report.kills import with_kills
from gpuassay.report.lines import quantile
from gpuassay.report.matrix import with_conformance
from gpuassay.report.rundir import RunDir
from gpuassay.report.templates import cell
from gpuassay.report.text import clip, number, one_line, plural, seconds
from gpuassay.report.view import View, limit_for
from gpuassay.verdict import State

LIMIT = 1_048_576
"""Bytes a CI job summary may have (GitHub Actions: 1 MiB per step)."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&!])")
_BARS = "▁▂▃▄▅▆▇█"


def summary(rundir: RunDir, view: View) -> str:
    """The summary; cut at a line, and saying so, when it would be larger than `LIMIT`."""
    text = "\n".join(_document(rundir, view)) + "\n"
    raw = text.encode()
    if len(raw) <= LIMIT:
        return text
    kept = raw[: LIMIT - 200].decode("utf-8", "ignore").rsplit("\n", 1)[0]
    fence = "\n```" if kept.count("\n```") % 2 else ""
    return f"{kept}{fence}\n\nThe summary ends here: it reached 1 MiB. Everything is in report.html.\n"


def escape(text: str) -> str:
    """`text` as one line that Markdown and HTML print as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], raw: Sequence[Sequence[Any]] | None = None
) -> list[str]:
    """A Markdown table; columns whose first cell (in `raw` if given) is a number are right-aligned."""
    first = (raw or rows or [[""] * len(columns)])[0]
    rule = ["---:" if isinstance(value, int | float) else "---" for value in first]
    lines = [list(map(escape, columns)), rule]
    lines += [[escape(one_line(cell(value), 300)) for value in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def spark(values: Sequence[float], width: int = 40) -> str:
    """`values` as a line of bars from zero to their greatest, at most `width` wide (greatest value of each part)."""
    if not values:
        return "no data"
    count = min(width, len(values))
    parts = [values[len(values) * i // count : len(values) * (i + 1) // count] for i in range(count)]
    peaks = [max(part) for part in parts]
    top = max(peaks)
    return "".join(_BARS[round(max(0.0, value) / top * 7)] if top > 0 else _BARS[0] for value in peaks)


def _document(rundir: RunDir, view: View) -> Iterator[str]:
    if view.banner:
        yield f"> **{escape(view.banner)}**"
        yield ""
    yield f"# {escape(view.headline)}: {escape(view.subject)}"
    yield ""
    yield escape(view.sentence)
    for problem in rundir.problems:
        yield f"\n> Know this first: {escape(problem)}"
    yield from _accounting(view)
    yield from _findings(view)
    for section, exhibits in by_section(
        with_kills(with_conformance(rundir.exhibits, rundir.verdicts), rundir.verdicts)
    ):
        yield f"\n## {escape(section)}"
        for exhibit in exhibits:
            yield from _exhibit(exhibit)
    yield from _background(rundir, view)


def _accounting(view: View) -> Iterator[str]:
    account = view.account
    yield "\n## Accounting\n"
    rows = [[f"{GLYPH[state]} {state}", count, MEANING[state]] for state, count in account.states.items()]
    yield from table(["state", "behaviours", "meaning"], rows)
    if account.open:
        yield f"| open | {account.open:,} | not judged yet, or never |"
    yield f"| **declared** | **{account.declared:,}** | the sum |"
    yield ""
    yield from table(["level", *WORST_FIRST, "declared"], [_counts(k, c) for k, c in account.by_level.items()])
    yield ""
    yield from table(["feature", *WORST_FIRST, "declared"], [_counts(k, c) for k, c in account.by_feature.items()])


def _counts(name: str, counts: Counts) -> list[Any]:
    return [name, *counts.values(), sum(counts.values())]


def _findings(view: View) -> Iterator[str]:
    yield "\n## Findings, worst first\n"
    if not view.findings:
        yield "None."
    limit = limit_for(view, 300_000, 1500)
    for finding in view.findings:
        yield from _finding(finding, limit)


def _finding(finding: Finding, limit: int) -> Iterator[str]:
    first = finding.first
    sign = f"{GLYPH[finding.state]} **{finding.state}**"
    if len(finding.verdicts) > 1:
        names = ", ".join(escape(verdict.behaviour) for verdict in finding.verdicts)
        yield f"- {sign} {plural(len(finding.verdicts), 'behaviour')}: {escape(one_line(finding.told, 300))} ({names})"
        return
    yield f"- {sign} {first.level} {escape(one_line(first.title))} ({escape(first.behaviour)})"
    yield f"  {escape(one_line(finding.told or 'no reason was given', 500))}"
    if finding.state in (State.FAIL, State.ERROR) and finding.rest:
        ticks = max((len(run) for run in re.findall(r"`+", finding.rest)), default=0)
        fence = "`" * max(3, ticks + 1)
        body = clip(finding.rest, limit)
        text = [f"  {fence}text", *(f"  {line}" for line in body.split("\n")), f"  {fence}"]
        yield "\n".join(["", "  <details><summary>what was seen</summary>", "", *text, "", "  </details>", ""])


def _exhibit(exhibit: Exhibit) -> Iterator[str]:
    yield f"\n**{escape(exhibit.title)}**\n"
    if isinstance(exhibit, Table):
        yield from table(exhibit.columns, exhibit.cells, exhibit.rows)
        yield ""
    elif isinstance(exhibit, Gantt):
        bars = [bar for lane in exhibit.lanes for bar in lane.bars]
        last = max((bar.end for bar in bars), default=0.0)
        killed = sum(bar.css == "killed" for bar in bars)
        lanes = plural(len(exhibit.lanes), "lane")
        yield f"- {plural(len(bars), 'bar')} on {lanes} until {number(last)} {escape(exhibit.unit)}, {killed} killed"
    elif isinstance(exhibit, Lines):
        for series in exhibit.series:
            values = [y for _, y in series.points]
            greatest = f"greatest {number(max(values))}" if values else ""
            yield f"- {escape(series.label)} {spark(values)} {greatest}"
    elif isinstance(exhibit, SliceMap):
        last = max((box.end for box in exhibit.boxes), default=0.0)
        left = sum(box.css == "leak" for box in exhibit.boxes)
        named = len({box.label for box in exhibit.boxes if box.label and box.css not in {"cut", "leak"}})
        jobs = f"{plural(named, 'job')} on {plural(len(exhibit.gpus), 'GPU')}"
        yield f"- {jobs} until {number(last)} {escape(exhibit.unit)}, {left} slices left behind"
    elif isinstance(exhibit, Heatmap):
        for label, values in zip(exhibit.rows, exhibit.values, strict=True):
            yield f"- {escape(label)} {spark(values)}"
    else:
        yield from _cdf(exhibit)
    yield from (f"- {escape(note)}" for note in exhibit.notes)


def _cdf(exhibit: Cdf) -> Iterator[str]:
    for sample in exhibit.series:
        if not sample.values:
            yield f"- {escape(sample.label)}: no values"
            continue
        shares = ", ".join(f"p{share} {number(quantile(sample.values, share / 100))}" for share in (50, 90, 99))
        yield f"- {escape(sample.label)}: n {len(sample.values):,}, {shares} ({escape(exhibit.x)})"


def _background(rundir: RunDir, view: View) -> Iterator[str]:
    run = rundir.run
    yield "\n## What is emulated\n"
    for part in run.emulated:
        yield f"- **{escape(part.what)}** by {escape(part.by or 'a stand-in')}: {escape(part.means or 'not explained')}"
    if not run.emulated:
        yield "Nothing is declared as emulated."
    yield "\n## Versions\n"
    rows = [[part.name, part.version, part.source, (part.sha256 or "")[:12]] for part in run.components]
    yield from table(["component", "version", "had from", "sha256"], rows)
    yield ""
    yield from (f"- {escape(key)}: {escape(value)}" for key, value in view.machine)
    took = f", took {seconds(view.wall_seconds)}" if view.wall_seconds is not None else ""
    yield f"\nRun {escape(run.run_id)}{took}. Again, without a cluster: {escape(view.replay_command)}"
