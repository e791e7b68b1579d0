"""What a what-if leaves: one HTML page, a CSV file of the jobs, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gpuassay.report import gantt, lines
from gpuassay.report.exhibits import EXHIBIT, Gantt, Lines
from gpuassay.report.templates import asset, template
from gpuassay.systems.kueue.model import figures
from gpuassay.systems.kueue.model.figures import JobRun
from gpuassay.systems.kueue.whatif.result import Answer, Side, caveats, groupings, total_rows, wait_rows

BARS = 400
"""Attempts that a Gantt chart can show; with more it is left out."""


def write(answer: Answer, folder: Path) -> list[Path]:
    """Write `whatif.html`, `jobs.csv` and `whatif.json` into the folder; which they are."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "whatif.html": html(answer),
        "jobs.csv": jobs_csv(answer),
        "whatif.json": json.dumps(answer.document(), indent=1),
    }
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


def html(answer: Answer) -> str:
    """The page."""
    tables = [("In all", *total_rows(answer))]
    tables += [(f"Waits by {by}", *wait_rows(answer, by)) for by in groupings(answer)]
    return template("whatif.html.j2").render(
        answer=answer, tables=tables, charts=list(_charts(answer)), caveats=caveats(answer),
        style=Markup(asset("report.css")),
    )  # fmt: skip


def jobs_csv(answer: Answer) -> str:
    """A line for each job, configuration and source: when it came, started first, ended, how often it was preempted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["configuration", "source", "name", "queue", "gpus", "priority", "arrival_s", "start_s", "end_s", "preempted"]
    )
    for side in answer.sides:
        for source, runs in side.sources():
            for run in runs:
                start = f"{run.attempts[0].start:.1f}" if run.attempts else ""
                end = "" if run.finished is None else f"{run.finished:.1f}"
                writer.writerow([
                    side.label, source, run.name, run.queue, run.gpus, run.priority, f"{run.created:.1f}", start, end,
                    figures.evictions(run),
                ])  # fmt: skip
    return text.getvalue()


def _charts(answer: Answer) -> Iterator[tuple[str, Markup]]:
    for title, steps, unit in (
        ("GPUs in use", figures.running_steps, "GPUs"),
        ("Jobs that wait", figures.pending_steps, "jobs"),
    ):
        chart: dict[str, Any] = {
            "id": title, "title": title, "kind": "steps", "x": "time in h", "y": unit,
            "series": [
                {"label": f"{side.label}: {source}", "points": _hours(steps(runs))}
                for side in answer.sides
                for source, runs in side.sources()
            ],
        }  # fmt: skip
        drawn = EXHIBIT.validate_python(chart)
        assert isinstance(drawn, Lines)
        yield title, Markup(lines.draw(drawn))
    for side in answer.sides:
        if sum(len(run.attempts) for run in side.runs) <= BARS:
            title = f"Who ran when: {side.label}, as Kueue played it"
            yield title, Markup(gantt.draw(_gantt(side, title)))


def _hours(steps: Sequence[tuple[float, int]]) -> list[tuple[float, float]]:
    return [(at / 3600, float(level)) for at, level in steps]


def _gantt(side: Side, title: str) -> Gantt:
    lanes: dict[str, list[dict[str, Any]]] = {}
    for run in side.runs:
        lanes.setdefault(run.queue, []).extend(_bars(run))
    chart = EXHIBIT.validate_python(
        {
            "id": title, "title": title, "kind": "gantt", "unit": "h",
            "lanes": [{"label": name, "bars": bars} for name, bars in sorted(lanes.items())],
        }
    )  # fmt: skip
    assert isinstance(chart, Gantt)
    return chart


def _bars(run: JobRun) -> list[dict[str, Any]]:
    return [
        {
            "start": one.start / 3600, "end": one.end / 3600, "label": run.name,
            "class": "killed" if one.killed else "",
        }
        for one in run.attempts
        if one.end is not None
    ]  # fmt: skip
