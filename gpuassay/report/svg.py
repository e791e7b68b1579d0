"""Small pieces of inline SVG: elements, axes, ticks. Colours are CSS classes, so that dark mode can change them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import escape

WIDTH = 960.0
"""Width of every chart in user units; the page scales it down to 840 px, so that words can be read, then scrolls."""

Scale = Callable[[float], float]
"""From data to user units."""


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """One element; `content` is markup, attributes are escaped (`css` is `class`, `_` in a name is `-`)."""
    said = "".join(
        f' {"class" if key == "css" else key.replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value != ""
    )
    return f"<{name}{said}>{content}</{name}>"


def text(x: float, y: float, words: str, css: str = "", **attributes: str | float) -> str:
    """A text element; `words` is escaped."""
    return element("text", str(escape(words)), x=x, y=y, css=css, **attributes)


def hint(words: str) -> str:
    """The text a browser shows when the pointer rests on the parent element."""
    return element("title", str(escape(words)))


def canvas(height: float, title: str, description: str, content: str) -> str:
    """The chart: an image with a name and a description for those who cannot see it."""
    return element(
        "svg",
        hint(title) + element("desc", str(escape(description))) + content,
        viewBox=f"0 0 {WIDTH:g} {_short(height)}",
        role="img",
        aria_label=f"{title}. {description}",
        css="chart",
    )


def _short(value: str | float) -> str:
    """Coordinates with a tenth of a unit: nobody sees more, and the page stays small."""
    return value if isinstance(value, str) else f"{round(value, 1):g}"


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high] onto [start, end]; an empty range maps to `start`."""
    span = high - low
    return lambda value: start + ((value - low) / span * (end - start) if span else 0.0)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high], both above zero, onto [start, end] by their logarithms."""
    inner = linear(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(value))


def decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within [low, high]; powers of ten alone where those are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    values = [m * 10.0**power for power in range(first, last + 1) for m in steps]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def reach_above_zero(values: list[float]) -> tuple[float, float]:
    """The range a logarithmic axis shows: from 1, 2 or 5 times a power of ten to another."""
    above = [value for value in values if value > 0] or [1.0]
    around = [m * 10.0**power for power in range(-18, 19) for m in (1, 2, 5)]
    low = max((value for value in around if value <= min(above)), default=min(above))
    high = min((value for value in around if value >= max(above)), default=max(above))
    return (low, high) if high > low else (low / 2, high * 2)


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten apart) that cover [low, high] from inside."""
    step = _step(high - low, wanted)
    if not step:
        return [low]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def round_up(low: float, high: float, wanted: int) -> float:
    """`high` moved up to the next tick, so that the greatest value is not drawn on the edge."""
    step = _step(high - low, wanted)
    return math.ceil(high / step - 1e-9) * step if step else high


def _step(span: float, wanted: int) -> float:
    """Distance of ticks, 0 where the range is empty or too large to be told."""
    if not (math.isfinite(span) and span > 1e-300):
        return 0.0
    raw = span / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1, 2, 2.5, 5) if m * power >= raw * 0.999), 10 * power)


def reach(values: list[float]) -> tuple[float, float]:
    """The range an axis shows: from zero where the data are on one side of it, and never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (low, low + 1.0)


def tick_label(value: float) -> str:
    """A tick's words: `1,500`, `0.25`, `3e+06`."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


@dataclass(frozen=True)
class Frame:
    """The plot area in user units, with its two scales."""

    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale

    def x_axis(self, values: list[float], label: str) -> str:
        """Vertical grid lines, tick labels below, the axis label at the right end."""
        parts: list[str] = []
        for value in values:
            at = self.x(value)
            parts.append(element("line", x1=at, x2=at, y1=self.top, y2=self.bottom, css="grid"))
            parts.append(text(at, self.bottom + 16, tick_label(value), "tick", text_anchor="middle"))
        parts.append(text((self.left + self.right) / 2, self.bottom + 34, label, "axis", text_anchor="middle"))
        return "".join(parts)

    def y_axis(self, values: list[float], label: str) -> str:
        """Horizontal grid lines, tick labels at the left, the axis label above."""
        parts: list[str] = []
        for value in values:
            at = self.y(value)
            parts.append(element("line", x1=self.left, x2=self.right, y1=at, y2=at, css="grid"))
            parts.append(text(self.left - 8, at + 4, tick_label(value), "tick", text_anchor="end"))
        parts.append(text(0, self.top - 12, label, "axis"))
        return "".join(parts)


def legend(entries: list[tuple[str, str]], top: float, swatch: str = "line") -> tuple[str, float]:
    """A legend that wraps; `entries` are (label, class). Returns the markup and the height it takes."""
    parts: list[str] = []
    x, y = 0.0, top
    for label, css in entries:
        shown = label if len(label) <= 60 else label[:59] + "…"
        width = 40 + 7.2 * len(shown)
        if x and x + width > WIDTH:
            x, y = 0.0, y + 20
        if swatch == "line":
            parts.append(element("line", x1=x, x2=x + 24, y1=y - 4, y2=y - 4, css=f"series {css}"))
        else:
            parts.append(element("rect", x=x + 6, y=y - 11, width=16, height=12, rx=2, css=f"bar {css}"))
        parts.append(text(x + 30, y, shown, "legend"))
        x += width + 10
    return "".join(parts), (y - top + 22) if entries else 0.0
