"""Numbers of JUnit files: counts, and times as frameworks of several countries write them."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"(\d[\d.,]*|[.,]\d+)(e[+-]?\d{1,3})?\s*(ms|s|sec|seconds)?", re.IGNORECASE | re.ASCII)
_GROUPED = re.compile(r"\d{1,3}([.,]\d{3})+")


def seconds(text: str) -> float | None:
    """A time in seconds; None where it is not told, is no number, is below 0, or can be read in two ways.

    `1,234.5` and `1.234,5` are one number: the last separator is the one of decimals. `1,234` may be either.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    plain = _plain(found[1])
    if plain is None:
        return None
    value = float(plain + (found[2] or ""))
    value = value / 1000 if (found[3] or "").lower() == "ms" else value
    return value if math.isfinite(value) else None


def _plain(digits: str) -> str | None:
    """`digits` with a point and without groups."""
    commas, points = digits.count(","), digits.count(".")
    if not commas:
        return digits if points <= 1 else _whole(digits)
    if not points:
        if commas > 1:
            return _whole(digits)
        clear = not _GROUPED.fullmatch(digits) or digits.startswith("0")
        return digits.replace(",", ".") if clear else None
    last = max(digits.rfind(","), digits.rfind("."))
    whole, part = digits[:last], digits[last + 1 :]
    groups = "," if digits[last] == "." else "."
    if digits.count(digits[last]) > 1 or not re.fullmatch(rf"\d{{1,3}}(\{groups}\d{{3}})+", whole):
        return None
    return f"{re.sub(r'[.,]', '', whole)}.{part}"


def _whole(digits: str) -> str | None:
    return re.sub(r"[.,]", "", digits) if _GROUPED.fullmatch(digits) else None


def count(text: str) -> int | None:
    """A count; None where it is not told or is none."""
    plain = text.strip().replace(",", "")
    found = re.fullmatch(r"(\d{1,15})(\.0*)?", plain, re.ASCII)
    return int(found[1]) if found else None
