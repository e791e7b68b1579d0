"""Slice maps: which pod had which memory slices of which GPU when; leaks and padding are drawn, not left out."""

from __future__ import annotations

from gpuassay.report import svg
from gpuassay.report.exhibits import SliceBox, SliceMap
from gpuassay.report.text import number, plural

KNOWN = ("medium", "large", "whole", "cut", "padding", "leak")
"""Box classes with a look of their own; anything else is drawn as `other`."""

_SLOT = 13.0
_GAP = 7.0
_CHARACTER = 6.2
_LEFT = 84.0
_SHADES = 3
"""Shades of one class that follow each other, so that neighbouring pods are told apart."""

_BEHIND = ("cut", "padding")
"""Drawn first: what lies under the pods."""


def draw(chart: SliceMap, end: float | None = None) -> str:
    """The map as SVG: a band for each GPU, a row for each memory slice, a box for each pod, time to the right.

    `end` is a common right edge, so that maps of one section can be compared by eye.
    """
    low, last = svg.reach([edge for box in chart.boxes for edge in (box.start, box.end)])
    high = max(last, end or last)
    low = min((box.start for box in chart.boxes), default=0.0) if low < 0 else low
    used = sorted({_css(box) for box in chart.boxes}, key=(*KNOWN, "other").index)
    looks = used if "cut" in used else [*used, "gpu"]  # what was cut beforehand covers the GPU
    legend, top = svg.legend([(_WORDS.get(name, name), f"slice {name}") for name in looks], 14, "box")
    top += 8
    band = _SLOT * chart.slots + _GAP
    bottom = top + band * len(chart.gpus)
    x = svg.linear(low, high, _LEFT, svg.WIDTH - 24)
    frame = svg.Frame(_LEFT, svg.WIDTH - 24, top, bottom, x, lambda value: value)
    parts = [legend, frame.x_axis(svg.ticks(low, high, 8), f"time in {chart.unit}")]
    parts.append(svg.text(_LEFT - 6, top - 4, "memory slice", "slot", text_anchor="end"))
    for index, label in enumerate(chart.gpus):
        at = top + index * band
        parts.append(
            svg.element("rect", x=_LEFT, y=at, width=x(last) - _LEFT, height=_SLOT * chart.slots, css="slice gpu")
        )
        parts.append(svg.text(0, at + _SLOT * chart.slots / 2 + 4, label, "lane-label"))
        ends = (0, chart.slots - 1)
        parts += [svg.text(_LEFT - 6, at + slot * _SLOT + 10, str(slot), "slot", text_anchor="end") for slot in ends]
    order = sorted(chart.boxes, key=lambda box: (_css(box) not in _BEHIND, box.start))
    parts += [_box(box, x, top + box.gpu * band, chart.unit, shade) for shade, box in enumerate(order)]
    words = f"Slice map of {plural(len(chart.gpus), 'GPU')} with {chart.slots} memory slices each, until {number(last)}"
    return svg.canvas(bottom + 42, chart.title, f"{words} {chart.unit}", "".join(parts))


_WORDS = {
    "gpu": "free",
    "cut": "slice cut beforehand, idle",
    "padding": "free, and of no use to any job",
    "leak": "left behind",
    "whole": "whole GPU",
}


def _css(box: SliceBox) -> str:
    return box.css if box.css in KNOWN else "other"


def _box(box: SliceBox, x: svg.Scale, top: float, unit: str, order: int) -> str:
    css = _css(box)
    left, width = x(box.start), max(1.5, x(box.end) - x(box.start))
    height = _SLOT * box.size
    which = f"{box.slot}" if box.size == 1 else f"{box.slot} to {box.slot + box.size - 1}"
    said = f"{box.label or _WORDS.get(css, css)}: memory slice {which}, {number(box.start)} to {number(box.end)} {unit}"
    shade = "" if css in _BEHIND or css == "leak" else f" shade{order % _SHADES}"
    drawn = svg.element(
        "rect",
        svg.hint(said),
        x=left,
        y=top + box.slot * _SLOT + 0.5,
        width=max(1.0, width - 1),
        height=height - 1,
        css=f"slice {css}{shade}",
    )
    if css in _BEHIND or not box.label or len(box.label) * _CHARACTER + 6 > width:
        return drawn
    middle = top + (box.slot + box.size / 2) * _SLOT + 3.4
    return drawn + svg.text(left + 4, middle, box.label, f"slice-label {css}")
