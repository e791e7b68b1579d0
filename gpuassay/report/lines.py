"""Step, curve and distribution charts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gpuassay.report import svg
from gpuassay.report.exhibits import Cdf, Lines
from gpuassay.report.text import number, plural

Points = Sequence[tuple[float, float]]
"""(x, y), x not descending."""

STYLES = 8
"""Series looks (colour and dash) before they repeat."""

_COLUMNS = 480
_HEIGHT = 260.0


def draw(chart: Lines) -> str:
    """A `steps` or `curve` exhibit as SVG."""
    step = chart.kind == "steps"
    series = [
        (
            s.label,
            thin(
                sorted(_shown(s.points, chart.log), key=lambda p: p[0]) if step else _shown(s.points, chart.log), step
            ),
        )
        for s in chart.series
    ]
    whiskers = [
        [(x, low, high) for (x, _), (low, high) in zip(s.points, s.intervals, strict=False)] for s in chart.series
    ]
    kind = "Step chart" if step else "Chart"
    return _plot(
        chart.title, kind, series, chart.x, chart.y, step=step, dots=not step, log=chart.log, whiskers=whiskers
    )


def _shown(points: Points, log: str) -> list[tuple[float, float]]:
    """Points that a logarithmic axis can show."""
    return [(x, y) for x, y in points if (x > 0 or "x" not in log) and (y > 0 or "y" not in log)]


def draw_cdf(chart: Cdf) -> str:
    """A `cdf` exhibit as SVG: the share of values at or below x, in percent; the legend tells n, p50 and p99."""
    series = [
        (_describe(s.label, s.values), thin(_shown(distribution(s.values), chart.log), step=True)) for s in chart.series
    ]
    words = "share at or below, %"
    return _plot(chart.title, "Cumulative distribution", series, chart.x, words, step=True, top=100.0, log=chart.log)


def distribution(values: Sequence[float]) -> list[tuple[float, float]]:
    """Steps of the empirical distribution function in percent, from 0 at the least value to 100 at the greatest."""
    ordered = sorted(values)
    if not ordered:
        return []
    return [(ordered[0], 0.0), *((value, 100.0 * (i + 1) / len(ordered)) for i, value in enumerate(ordered))]


def quantile(values: Sequence[float], share: float) -> float:
    """The least value at or below which at least `share` (0..1) of `values` lie: always a value that was seen."""
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered) - 1, int(rank) - 1))]


def thin(points: Points, step: bool) -> list[tuple[float, float]]:
    """At most four points per pixel column: first, least, greatest and last, so that every spike stays visible."""
    if len(points) <= 4 * _COLUMNS or (not step and any(a[0] > b[0] for a, b in pairwise(points))):
        return list(points)
    low, high = points[0][0], points[-1][0]
    column = svg.linear(low, high, 0.0, _COLUMNS - 1)
    buckets: dict[int, list[int]] = {}
    for index, (x, _) in enumerate(points):
        buckets.setdefault(int(column(x)), []).append(index)
    kept: set[int] = set()
    for indices in buckets.values():
        by_y = sorted(indices, key=lambda index: points[index][1])
        kept.update((indices[0], indices[-1], by_y[0], by_y[-1]))
    return [points[index] for index in sorted(kept)]


def _describe(label: str, values: Sequence[float]) -> str:
    if not values:
        return f"{label} (no values)"
    return f"{label} (n {len(values):,}, p50 {number(quantile(values, 0.5))}, p99 {number(quantile(values, 0.99))})"


def _plot(
    title: str,
    kind: str,
    series: list[tuple[str, list[tuple[float, float]]]],
    x_label: str,
    y_label: str,
    *,
    step: bool,
    dots: bool = False,
    top: float | None = None,
    log: str = "",
    whiskers: Sequence[Sequence[tuple[float, float, float]]] = (),
) -> str:
    legend, used = svg.legend([(label, f"s{i % STYLES}") for i, (label, _) in enumerate(series)], 14)
    whiskers = [[w for w in one if w[1] > 0 or "y" not in log] for one in whiskers]
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points] + [y for one in whiskers for _, *ends in one for y in ends]
    x_low, x_high = svg.reach_above_zero(xs) if "x" in log else svg.reach(xs)
    y_low, y_high = svg.reach_above_zero(ys) if "y" in log else svg.reach(ys + ([top] if top else []))
    if top is None and "y" not in log:
        y_high = svg.round_up(y_low, y_high, 5)
    x_ticks = svg.decades(x_low, x_high) if "x" in log else svg.ticks(x_low, x_high, 8)
    y_ticks = svg.decades(y_low, y_high) if "y" in log else svg.ticks(y_low, y_high, 5)
    x_scale = svg.logarithmic if "x" in log else svg.linear
    y_scale = svg.logarithmic if "y" in log else svg.linear
    start = used + 28
    left = 16 + 7.0 * max(len(svg.tick_label(value)) for value in y_ticks)
    frame = svg.Frame(
        left,
        svg.WIDTH - 24,
        start,
        start + _HEIGHT,
        x_scale(x_low, x_high, left, svg.WIDTH - 24),
        y_scale(y_low, y_high, start + _HEIGHT, start),
    )
    parts = [legend, frame.x_axis(x_ticks, x_label), frame.y_axis(y_ticks, y_label)]
    if not any(points for _, points in series):
        parts.append(svg.text(svg.WIDTH / 2, start + _HEIGHT / 2, "no data", "axis", text_anchor="middle"))
    for index, (label, points) in enumerate(series):
        parts.append(_line(frame, label, points, f"s{index % STYLES}", step=step, dots=dots))
    for index, one in enumerate(whiskers):
        # a little apart, so that intervals at one x do not hide each other
        aside = 5.0 * (index - (len(whiskers) - 1) / 2)
        parts += [_whisker(frame, aside, bounds, f"s{index % STYLES}") for bounds in one]
    description = f"{kind} of {plural(len(series), 'line')}: {', '.join(label for label, _ in series[:8])}"
    return svg.canvas(frame.bottom + 42, title, description, "".join(parts))


def _whisker(frame: svg.Frame, aside: float, bounds: tuple[float, float, float], css: str) -> str:
    x, low, high = bounds
    at = frame.x(x) + aside
    said = svg.hint(f"{number(low)} to {number(high)}")
    return svg.element("line", said, x1=at, x2=at, y1=frame.y(low), y2=frame.y(high), css=f"whisker {css}")


def _line(frame: svg.Frame, label: str, points: Points, css: str, *, step: bool, dots: bool) -> str:
    if not points:
        return ""
    moves = [f"M{frame.x(points[0][0]):.1f} {frame.y(points[0][1]):.1f}"]
    for x, y in points[1:]:
        moves.append(f"H{frame.x(x):.1f}V{frame.y(y):.1f}" if step else f"L{frame.x(x):.1f} {frame.y(y):.1f}")
    path = svg.element("path", svg.hint(label), d="".join(moves), css=f"series {css}")
    if not dots or len(points) > 60:
        return path
    return path + "".join(
        svg.element(
            "circle",
            svg.hint(f"{label}: {number(x)}, {number(y)}"),
            cx=frame.x(x),
            cy=frame.y(y),
            r=3.5,
            css=f"dot {css}",
        )
        for x, y in points
    )
