"""The paper's tables and figures as small pictures, each a link to the whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpuassay.report import svg
from gpuassay.report.exhibits import Cdf, Exhibit, Lines, Table
from gpuassay.report.lines import STYLES, Points, distribution, thin
from gpuassay.report.text import natural, number, one_line

_PAPER = re.compile(r"(?:Table|Figure)s? \d")
_WIDTH, _HEIGHT = 300.0, 120.0
_ROW = 18.0
_LABELS = 128.0
PER_SECTION = 3
"""Small pictures of one section at most."""


@dataclass(frozen=True)
class Small:
    """A small picture.

    Attributes:
        link: the id of the exhibit.
        title: its title, shortened.
        picture: SVG.
        caption: what is shown beside what.
    """

    link: str
    title: str
    picture: str
    caption: str


def small_multiples(exhibits: Sequence[Exhibit]) -> list[Small]:
    """A few small pictures for each of the paper's tables and figures that the run has."""
    count: dict[str, int] = {}
    found: list[Small] = []
    for exhibit in sorted(
        exhibits, key=lambda one: (natural(one.section), not isinstance(one, Table), natural(one.id))
    ):
        if not _PAPER.match(exhibit.section) or count.get(exhibit.section, 0) >= PER_SECTION:
            continue
        made = _small(exhibit)
        if made is not None:
            count[exhibit.section] = count.get(exhibit.section, 0) + 1
            found.append(made)
    return found


def _small(exhibit: Exhibit) -> Small | None:
    if isinstance(exhibit, Table):
        what, rows = pairs(exhibit)
        if not rows:
            return None
        title = _title(exhibit)
        return Small(exhibit.id, title, _beside(title, rows), f"{what}: ours filled, the paper's hollow")
    if isinstance(exhibit, Lines):
        series = [(one.label, list(one.points)) for one in exhibit.series]
        return Small(exhibit.id, _title(exhibit), _lines(exhibit, series), f"{exhibit.y} over {exhibit.x}")
    if isinstance(exhibit, Cdf):
        shares = [(one.label, distribution(one.values)) for one in exhibit.series]
        return Small(exhibit.id, _title(exhibit), _lines(exhibit, shares), f"share at or below, over {exhibit.x}")
    return None


def _title(exhibit: Exhibit) -> str:
    prefix = exhibit.section.split(":", 1)[0]
    return one_line(
        exhibit.title if exhibit.title.startswith(("Table", "Figure")) else f"{prefix}: {exhibit.title}", 90
    )


def pairs(table: Table) -> tuple[str, list[tuple[str, float, float]]]:
    """What a table compares, and its rows (label, ours, the paper's); no rows where it does not compare numbers."""
    names = table.columns
    if "source" in names and "mean" in names:
        return "mean", _by_source(table, names.index("source"), names.index("mean"))
    for ours, paper in (("net ratio", "paper"), ("ratio", "paper"), ("exact P50", "paper P50")):
        if ours in names and paper in names:
            at, beside = names.index(ours), names.index(paper)
            rows = [(str(row[0]), row[at], row[beside]) for row in table.rows if _real(row[at]) and _real(row[beside])]
            return ours, rows
    return "", []


def _by_source(table: Table, source: int, value: int) -> list[tuple[str, float, float]]:
    ours: dict[str, float] = {}
    paper: dict[str, float] = {}
    for row in table.rows:
        if _real(row[value]) and str(row[source]).startswith("live"):
            ours.setdefault(str(row[0]), float(row[value]))
        elif _real(row[value]) and row[source] == "paper":
            paper[str(row[0])] = float(row[value])
    return [(name, ours[name], paper[name]) for name in ours if name in paper]


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _beside(title: str, rows: Sequence[tuple[str, float, float]]) -> str:
    low, high = svg.reach([value for _, *values in rows for value in values])
    x = svg.linear(low, high, _LABELS, _WIDTH - 34)
    parts: list[str] = []
    for index, (label, ours, paper) in enumerate(rows):
        y = _ROW * index + 12
        said = svg.hint(f"{label}: {number(ours)}, the paper {number(paper)}")
        parts += [
            svg.text(0, y + 4, one_line(label, 22), "tick"),
            svg.element("line", x1=_LABELS, x2=_WIDTH - 34, y1=y, y2=y, css="grid"),
            svg.element("line", x1=x(ours), x2=x(paper), y1=y, y2=y, css="between"),
            svg.element("circle", said, cx=x(paper), cy=y, r=4.5, css="hollow"),
            svg.element("circle", said, cx=x(ours), cy=y, r=3.5, css="dot s0"),
            svg.text(_WIDTH, y + 4, number(ours), "tick", text_anchor="end"),
        ]
    words = "; ".join(f"{label} {number(ours)}, paper {number(paper)}" for label, ours, paper in rows)
    return _canvas(_ROW * len(rows) + 6, title, words, "".join(parts))


def _lines(chart: Lines | Cdf, series: Sequence[tuple[str, Points]]) -> str:
    shown = [
        [(a, b) for a, b in points if (a > 0 or "x" not in chart.log) and (b > 0 or "y" not in chart.log)]
        for _, points in series
    ]
    xs, ys = [a for one in shown for a, _ in one], [b for one in shown for _, b in one]
    if not xs:
        return _canvas(24, chart.title, "no data", svg.text(0, 16, "no data", "tick"))
    x_low, x_high = svg.reach_above_zero(xs) if "x" in chart.log else svg.reach(xs)
    y_low, y_high = svg.reach_above_zero(ys) if "y" in chart.log else svg.reach(ys)
    x = (svg.logarithmic if "x" in chart.log else svg.linear)(x_low, x_high, 2, _WIDTH - 2)
    y = (svg.logarithmic if "y" in chart.log else svg.linear)(y_low, y_high, _HEIGHT - 18, 14)
    step = not isinstance(chart, Lines) or chart.kind == "steps"
    parts = [
        svg.element("line", x1=0, x2=_WIDTH, y1=_HEIGHT - 18, y2=_HEIGHT - 18, css="grid"),
        svg.text(0, 9, svg.tick_label(y_high), "tick"),
        svg.text(0, _HEIGHT - 5, svg.tick_label(x_low), "tick"),
        svg.text(_WIDTH, _HEIGHT - 5, svg.tick_label(x_high), "tick", text_anchor="end"),
    ]
    for index, ((label, _), points) in enumerate(zip(series, shown, strict=True)):
        few = thin(sorted(points) if step else points, step)[:: max(1, len(points) // 150)]
        if not few:
            continue
        moves = f"M{x(few[0][0]):.1f} {y(few[0][1]):.1f}" + "".join(
            f"H{x(a):.1f}V{y(b):.1f}" if step else f"L{x(a):.1f} {y(b):.1f}" for a, b in few[1:]
        )
        parts.append(svg.element("path", svg.hint(label), d=moves, css=f"series s{index % STYLES}"))
    return _canvas(_HEIGHT, chart.title, ", ".join(label for label, _ in series[:8]), "".join(parts))


def _canvas(height: float, title: str, description: str, content: str) -> str:
    return svg.element(
        "svg",
        content,
        viewBox=f"0 0 {_WIDTH:g} {height:g}",
        role="img",
        aria_label=f"{title}. {description}",
        css="mini",
    )
