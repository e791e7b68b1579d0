"""Making foreign text safe to show: control characters, lengths, numbers, durations."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

NOTHING = "\u2013"
"""Shown where there is no value: an en dash."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    r"""`text` without terminal escapes, control characters, bidirectional overrides and lone surrogates.

    Messages come from a system under test: a terminal, a browser and an XML reader must all survive them.
    Tabs and newlines stay; `\r\n` becomes `\n`.
    """
    text = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def clean_json(value: Any) -> Any:
    """`value` (parsed JSON) with every string in it, keys too, passed through `clean`."""
    if isinstance(value, str):
        return clean(value)
    if (items := sequence(value)) is not None:
        return [clean_json(item) for item in items]
    if (pairs := mapping(value)) is not None:
        return {clean(key): clean_json(item) for key, item in pairs.items()}
    return value


def mapping(value: Any) -> dict[str, Any] | None:
    """`value` when it is a JSON object, else None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def sequence(value: Any) -> list[Any] | None:
    """`value` when it is a JSON array, else None."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def clip(text: str, limit: int) -> str:
    """At most about `limit` characters of `text`: its head and its tail, with the number left out between them."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    head = limit - tail
    gap = f"[... {len(text) - limit:,} characters left out; all of them in verdicts.jsonl ...]"
    return f"{text[:head]}\n{gap}\n{text[-tail:]}"


def one_line(text: str, limit: int = 160) -> str:
    """The first line of `text` that says something, at most `limit` characters."""
    line = next((" ".join(part.split()) for part in text[: 40 * limit].splitlines() if part.strip()), "")
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def number(value: Any) -> str:
    """A value as a person reads it: four significant digits, thousands apart, a dash for null."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value.is_integer() and abs(value) < 1e15:
            return f"{int(value):,}"
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def column(values: Sequence[Any]) -> list[str]:
    """A table column: its floats share as many decimals as four digits of the greatest, or two of the least, need."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v) and v]
    if not sizes or max(sizes) >= 1e15:
        return [number(value) for value in values]
    wanted = max(3 - math.floor(math.log10(max(sizes))), 1 - math.floor(math.log10(min(sizes))))
    most = max(0, min(6, wanted))
    shown = [f"{size:.{most}f}" for size in sizes]
    places = max(len(text.rstrip("0").partition(".")[2]) for text in shown) if most else 0
    return [f"{v:,.{places}f}" if isinstance(v, float) and math.isfinite(v) else number(v) for v in values]


def seconds(value: float) -> str:
    """A length of time: `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if not math.isfinite(value):
        return f"{value} s"
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 behaviour`, `2 behaviours`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def elapsed(started: str | float | None, ended: str | float | None) -> float | None:
    """Seconds between two times (epoch seconds or ISO 8601), None where one is missing or unreadable."""
    first, last = _moment(started), _moment(ended)
    return None if first is None or last is None else last - first


def _moment(value: str | float | None) -> float | None:
    if value is None or isinstance(value, float | int):
        return value
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key in which `table-10` comes after `table-9`."""
    parts = re.split(r"(\d{1,18})", text)
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part]
