"""Gantt charts: who held which GPU when."""

from __future__ import annotations

from gpuassay.report import svg
from gpuassay.report.exhibits import Bar, Gantt
from gpuassay.report.text import number, plural

KNOWN = ("medium", "large", "small", "hit", "miss", "killed")
"""Bar classes with a look of their own; anything else is drawn as `other`."""

_ROW = 24.0
_CHARACTER = 6.6


def draw(chart: Gantt, end: float | None = None) -> str:
    """The chart as SVG; `end` is a common right edge, so that charts of one section can be compared by eye."""
    bars = [bar for lane in chart.lanes for bar in lane.bars]
    low, high = svg.reach([edge for bar in bars for edge in (bar.start, bar.end)] + ([end] if end else []))
    left = min(260.0, 16 + 7.0 * max((len(lane.label) for lane in chart.lanes), default=0))
    used = sorted({_css(bar) for bar in bars}, key=(*KNOWN, "other").index)
    legend, top = svg.legend([(name, name) for name in used], 14, "box")
    top += 8
    rows = [(lane.label, _pack(lane.bars)) for lane in chart.lanes]
    bottom = top + _ROW * sum(len(packed) for _, packed in rows)
    x = svg.linear(low, high, left, svg.WIDTH - 24)
    frame = svg.Frame(left, svg.WIDTH - 24, top, bottom, x, lambda value: value)
    parts = [legend, frame.x_axis(svg.ticks(low, high, 8), f"time in {chart.unit}")]
    at = top
    for label, packed in rows:
        parts.append(svg.element("line", x1=left, x2=svg.WIDTH - 24, y1=at, y2=at, css="lane"))
        parts.append(svg.text(0, at + _ROW * len(packed) / 2 + 4, _fit(label, left - 8), "lane-label"))
        for row in packed:
            parts.extend(_bar(bar, x, at, chart.unit) for bar in row)
            at += _ROW
    words = f"Gantt chart with {plural(len(chart.lanes), 'lane')} and {plural(len(bars), 'bar')} until {number(high)}"
    return svg.canvas(bottom + 42, chart.title, f"{words} {chart.unit}", "".join(parts))


def _css(bar: Bar) -> str:
    return bar.css if bar.css in KNOWN else "other"


def _pack(bars: list[Bar]) -> list[list[Bar]]:
    """Rows in which no two bars overlap: what shares a lane at one time is drawn below each other, not hidden."""
    rows: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda b: (b.start, b.end)):
        row = next((row for row in rows if row[-1].end <= bar.start), None)
        if row is None:
            rows.append([bar])
        else:
            row.append(bar)
    return rows or [[]]


def _bar(bar: Bar, x: svg.Scale, top: float, unit: str) -> str:
    start, width = x(bar.start), max(1.5, x(bar.end) - x(bar.start))
    said = f"{bar.label}{f' ({bar.css})' if bar.css else ''}: {number(bar.start)} to {number(bar.end)} {unit}"
    box = svg.element(
        "rect",
        svg.hint(said),
        x=start,
        y=top + 3,
        width=max(1.0, width - 1),
        height=_ROW - 6,
        rx=2,
        css=f"bar {_css(bar)}",
    )
    if not bar.label or len(bar.label) * _CHARACTER + 8 > width:
        return box
    return box + svg.text(start + 5, top + _ROW / 2 + 4, bar.label, f"bar-label {_css(bar)}")


def _fit(label: str, width: float) -> str:
    room = int(width / 7.0)
    return label if len(label) <= room else label[: room - 1] + "…"
