"""Heat-maps: how much of each row went to each column, seen at a glance."""

from __future__ import annotations

from gpuassay.report import svg
from gpuassay.report.exhibits import Heatmap
from gpuassay.report.text import number

_ROW = 16.0
_STEPS = 5
"""Shades; the page's style sheet has a class for each."""


def draw(chart: Heatmap) -> str:
    """The chart as SVG: a box per cell that is not zero, the darker the greater, with its value where there is room."""
    most = max((value for row in chart.values for value in row), default=0.0)
    left = min(260.0, 24 + 7.0 * max((len(label) for label in chart.rows), default=0))
    width = (svg.WIDTH - left - 24) / max(1, len(chart.columns))
    parts = [svg.text(0, 14, chart.y, "axis")]
    for index, label in enumerate(chart.columns):
        parts.append(svg.text(left + (index + 0.5) * width, 14, label, "tick", text_anchor="middle"))
    top = 22.0
    for number_of_row, (label, values) in enumerate(zip(chart.rows, chart.values, strict=True)):
        at = top + number_of_row * _ROW
        parts.append(svg.text(0, at + _ROW - 4, label, "tick"))
        for index, value in enumerate(values):
            if value:
                parts.append(_cell(left + index * width, at, width, value, most, f"{label}, {chart.columns[index]}"))
    bottom = top + len(chart.rows) * _ROW
    parts.append(svg.text((left + svg.WIDTH) / 2, bottom + 18, chart.x, "axis", text_anchor="middle"))
    words = f"Heat-map of {len(chart.rows)} rows and {len(chart.columns)} columns, greatest value {number(most)}"
    return svg.canvas(bottom + 28, chart.title, words, "".join(parts))


def _cell(x: float, y: float, width: float, value: float, most: float, label: str) -> str:
    shade = min(_STEPS, max(1, round(_STEPS * value / most))) if most > 0 else 1
    box = svg.element(
        "rect",
        svg.hint(f"{label}: {number(value)}"),
        x=x + 1, y=y + 1, width=max(1.0, width - 2), height=_ROW - 2, rx=2, css=f"heat h{shade}",
    )  # fmt: skip
    words = number(value)
    if len(words) * 7 > width:
        return box
    return box + svg.text(x + width / 2, y + _ROW - 4, words, f"heat-label h{shade}", text_anchor="middle")
