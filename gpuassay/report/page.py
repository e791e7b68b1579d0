"""`report.html`: one self-contained page for a person who must decide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from markupsafe import Markup

from gpuassay.report import gantt, heatmap, lines, slicemap
from gpuassay.report.account import MEANING, WORST_FIRST, worst_first
from gpuassay.report.exhibits import Cdf, Exhibit, Gantt, Heatmap, Lines, SliceMap, by_section
from gpuassay.report.findings import ELSEWHERE
from gpuassay.report.kills import with_kills
from gpuassay.report.matrix import with_conformance
from gpuassay.report.multiples import small_multiples
from gpuassay.report.rundir import RunDir
from gpuassay.report.templates import asset, script_hash, template
from gpuassay.report.view import View, limit_for, measured, recording_link

_REASONS = 300_000
"""Characters all reasons together may take: escaped at five bytes each, the page still stays below 2 MB."""


def page(rundir: RunDir, view: View) -> str:
    """The page for `rundir`."""
    script = asset("report.js")
    exhibits = with_kills(with_conformance(rundir.exhibits, rundir.verdicts), rundir.verdicts)
    return template("report.html.j2").render(
        rundir=rundir,
        run=rundir.run,
        view=view,
        findings=[one for one in view.findings if one.state not in ELSEWHERE],
        multiples=[(one, Markup(one.picture)) for one in small_multiples(exhibits)],
        states=WORST_FIRST,
        meanings=MEANING,
        catalogue=worst_first(rundir.verdicts),
        sections=[(name, list(_drawn(group))) for name, group in by_section(exhibits)],
        reason_limit=limit_for(view, _REASONS, 8000),
        measured=measured,
        recording_link=partial(recording_link, rundir),
        style=Markup(asset("report.css")),
        script=Markup(script),
        script_source=Markup(script_hash(script)),
    )


def _drawn(group: list[Exhibit]) -> Iterator[tuple[Exhibit, Markup | None]]:
    """Each exhibit with its drawing; None for a table.

    Gantt charts and slice maps of one section share the time axis.
    """
    latest: dict[str, float] = {}
    for chart in group:
        if isinstance(chart, Gantt | SliceMap):
            bars = chart.boxes if isinstance(chart, SliceMap) else [bar for lane in chart.lanes for bar in lane.bars]
            latest[chart.unit] = max([latest.get(chart.unit, 0.0), *(bar.end for bar in bars)])
    for exhibit in group:
        if isinstance(exhibit, Gantt):
            yield exhibit, Markup(gantt.draw(exhibit, latest[exhibit.unit]))
        elif isinstance(exhibit, Lines):
            yield exhibit, Markup(lines.draw(exhibit))
        elif isinstance(exhibit, Cdf):
            yield exhibit, Markup(lines.draw_cdf(exhibit))
        elif isinstance(exhibit, Heatmap):
            yield exhibit, Markup(heatmap.draw(exhibit))
        elif isinstance(exhibit, SliceMap):
            yield exhibit, Markup(slicemap.draw(exhibit, latest[exhibit.unit]))
        else:
            yield exhibit, None
