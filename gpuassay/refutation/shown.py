"""Reading what pytest shows of a failed assertion: `assert ['a'] == []` and the lines below it."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, cast

OPERATORS = ("not in", "is not", "==", "!=", "<=", ">=", "<", ">", "in", "is")
"""Comparisons as pytest writes them, longer ones first."""

_OPEN, _CLOSE = "([{", ")]}"
_CUT = "..."


@dataclass(frozen=True)
class Shown:
    """A side of an assertion.

    Attributes:
        text: what pytest shows of the value, cut in its middle where it is long.
        value: the value itself, where it is known.
        known: whether it is.
    """

    text: str
    value: Any = None
    known: bool = False


def parted(message: str) -> tuple[str, str]:
    """What the test said itself, and pytest's rendering of the assertion without its first word; each may be ""."""
    if message.startswith("assert "):
        return "", message.removeprefix("assert ")
    given, marker, rendered = message.partition("\nassert ")
    return (given, rendered) if marker and given else (message, "")


def head(rendered: str) -> str:
    """The assertion itself, without the lines that say where values come from."""
    return rendered.split("\n", 1)[0].strip()


def comparison(text: str, operators: Sequence[str] = OPERATORS) -> tuple[str, str, str] | None:
    """Left side, operator and right side of what is shown; None where it is no comparison.

    Args:
        text: what pytest shows.
        operators: those that it can be.
    """
    for start in _outside(text):
        for operator in operators:
            if text.startswith(f" {operator} ", start):
                return text[:start].strip(), operator, text[start + len(operator) + 2 :].strip()
    for operator in operators:  # values that are cut short have brackets and quotes without their other half
        if text.count(f" {operator} ") == 1 and (_CUT in text or len(operators) == 1):
            left, _, right = text.partition(f" {operator} ")
            return left.strip(), operator, right.strip()
    return None


def operands(text: str, word: str) -> list[str]:
    """The operands of `a and b` as shown: those that were evaluated, so with `and` the last one was false."""
    text = unwrapped(text)
    found: list[str] = []
    begin = 0
    for start in _outside(text):
        if start >= begin and text.startswith(f" {word} ", start):
            found.append(text[begin:start].strip())
            begin = start + len(word) + 2
    return [*found, text[begin:].strip()]


def unwrapped(text: str) -> str:
    """`text` without one pair of brackets that holds all of it; a tuple keeps its own."""
    text = text.strip()
    if not (text.startswith("(") and text.endswith(")")) or next(_outside(text), None) is not None:
        return text
    inner = text[1:-1].strip()
    words = any(inner.startswith((" and ", " or ", " + "), start) for start in _outside(inner))
    return inner if words or comparison(inner) else text


def read(text: str, candidates: Iterable[Any] = ()) -> Shown:
    """The value that is shown as `text`: one of `candidates` if just one fits, else what the text itself says."""
    found = {shape: one for one in candidates for shape in _shapes(one)[:1] if _fits(one, text)}
    if len(found) == 1:
        return Shown(text, next(iter(found.values())), True)
    parts = [read(part, candidates) for part in addends] if len(addends := operands(text, "+")) > 1 else []
    if parts and all(one.known and isinstance(one.value, list) for one in parts):
        return Shown(text, [item for one in parts for item in one.value], True)
    if _CUT not in text:
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return Shown(text, ast.literal_eval(text), True)
    return Shown(text)


_PLAIN = (list, tuple, set, frozenset, dict, str, int, float, type(None))
"""Types of which values are looked for: the text of anything else may be a whole recording."""
_LARGEST = 5000


def _shapes(value: Any) -> list[str]:
    """How a value may be written: pytest sorts what has no order."""
    if not isinstance(value, _PLAIN) or (isinstance(value, Sized) and len(cast("Sized", value)) > _LARGEST):
        return []
    shapes: list[str] = []
    with contextlib.suppress(Exception):  # a broken __repr__ is not our news
        shapes.append(repr(cast("object", value)).replace("\n", "\\n"))
        if isinstance(value, set | frozenset):
            shapes.append(f"{{{', '.join(map(repr, sorted(cast('set[Any]', value))))}}}")
        elif isinstance(value, dict):
            pairs = sorted(cast("dict[Any, Any]", value).items())
            shapes.append(f"{{{', '.join(f'{key!r}: {item!r}' for key, item in pairs)}}}")
    return shapes


def _fits(value: Any, text: str) -> bool:
    """Whether `text` is a value as pytest shows it: whole, or with dots for what is left out."""
    parts = text.split(_CUT)
    if len(parts) == 1:
        return text in _shapes(value)
    return sum(map(len, parts)) >= 12 and any(_with_gaps(whole, parts) for whole in _shapes(value))


def _with_gaps(whole: str, parts: Sequence[str]) -> bool:
    if not whole.startswith(parts[0]) or not whole.endswith(parts[-1]):
        return False
    at = len(parts[0])
    for part in parts[1:-1]:
        at = whole.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return at <= len(whole) - len(parts[-1])


def _outside(text: str) -> Iterator[int]:
    """Positions of spaces that stand in no bracket and no quotes."""
    depth, quote, index = 0, "", 0
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\":
                index += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == " " and depth <= 0:
            yield index
        index += 1
