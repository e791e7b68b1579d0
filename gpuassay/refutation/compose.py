"""The sentence of a failed assertion, by the kind of the assertion."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from gpuassay.refutation.shown import OPERATORS, Shown, comparison, head, operands, parted, read, unwrapped
from gpuassay.refutation.source import Place, is_expected, place_of, subject
from gpuassay.refutation.words import MOST, clipped, difference, is_sentence, none_expected, said

_TIMELINE = re.compile(r"\s*-?\d+ ms ")
"""How a line of `Recording.timeline_text` begins: it says what happened and not what was wrong."""
_NOT_RAISED = re.compile(r"DID NOT RAISE (?:any of )?(.*)")
_OTHER_MESSAGE = re.compile(r"Regex pattern did not match\.\s+Expected regex: (.*)\s+Actual message: (.*)")
_CLASS = re.compile(r"<class '(?:[\w.]*\.)?(\w+)'>")
_EXTRA = re.compile(r"Left contains .*item: ['\"](.+)['\"]$", re.MULTILINE)
"""What pytest says of a list that should have been empty."""
_EMPTY = frozenset({"[]", "{}", "()", "set()", "''", "dict()"})
_QUOTES = "'\""
_WRITTEN: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_BOUND = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


@dataclass(frozen=True)
class Told:
    """A refutation in words.

    Attributes:
        sentence: one line: what was expected and what was seen.
        detail: all else that is known of it; "" where that is nothing.
    """

    sentence: str
    detail: str = ""

    @property
    def text(self) -> str:
        """Sentence and detail; the sentence is the first line."""
        return f"{self.sentence}\n{self.detail}" if self.detail else self.sentence


def refutation(message: str, trace: TracebackType | None = None) -> Told:
    """A failed assertion in words.

    Args:
        message: of the `AssertionError` or of `pytest.fail`, with pytest's rendering if it has one.
        trace: where it was raised; gives the values that pytest's rendering cuts short.
    """
    message = message.removeprefix("AssertionError: ").removeprefix("Failed: ").strip()
    place = place_of(trace)
    given, rendered = parted(message)
    if rendered:  # pytest moves all lines but the first
        given = given.replace("\n  ", "\n")
    first, _, rest = given.partition("\n")
    if said_itself := _not_raised(given):
        sentence, rest = said_itself, ""
    elif given and is_sentence(first) and not _TIMELINE.match(given):
        sentence, rest = clipped(first, 3 * MOST), _and_cut(first, rest)
    elif rendered:
        found = _Words(place, rendered).of(head(rendered), place.test if place else None)
        label = first if len(first) <= 60 and first[:1] not in "[{(<" and not _TIMELINE.match(given) else ""
        sentence = f"{label}: {found}" if label and label not in found else found
        rest = given if given != label else ""
    else:
        sentence, rest = clipped(first or "an assertion that gives no reason", 3 * MOST), _and_cut(first, rest)
    lines = [line for line in rendered.splitlines() if line.strip() and "Use -v" not in line]
    asserted = f"assert {chr(10).join(lines)}" if lines else ""
    where = f"at {_relative(place.file)}:{place.line}" if place and (rendered or rest) else ""
    return Told(sentence, "\n".join(filter(None, (rest.strip("\n"), asserted, where))))


def sentence_of(reason: str) -> str:
    """The first line of a verdict's reason as a sentence, of older runs too, whose reasons are pytest's rendering."""
    reason = reason.strip()
    first = reason.split("\n", 1)[0]
    if first.startswith("assert ") or (first[:1] in "[{(" and "\nassert " in reason) or _TIMELINE.match(first):
        return refutation(reason).sentence
    return first


def _and_cut(first: str, rest: str) -> str:
    """The detail, with the whole first line where the sentence holds only a part of it."""
    return f"{first}\n{rest}" if len(" ".join(first.split())) > 3 * MOST else rest


def _relative(file: str) -> str:
    """A source file without the folders that depend on the machine."""
    parts = Path(file).parts
    for root in ("suites", "gpuassay", "tests"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) - 1 :])
    return Path(file).name


def _not_raised(given: str) -> str:
    """What `pytest.raises` says, in our words; "" of anything else."""
    if found := _NOT_RAISED.match(given):
        kinds = _CLASS.findall(found[1]) or [found[1]]
        return f"expected {' or '.join(kinds)} to be raised, nothing was"
    if found := _OTHER_MESSAGE.match(given):
        return f"expected a message that matches {clipped(found[1])}, seen {clipped(found[2])}"
    return ""


class _Words:
    """Words for an assertion as pytest shows it, with what is known of the place where it failed."""

    def __init__(self, place: Place | None, rendered: str) -> None:
        self.place = place
        found = _EXTRA.search(rendered)
        self.extra = found[1] if found else ""

    def read(self, text: str, node: ast.expr | None) -> Shown:
        """The value of a side: from its expression if that calls nothing, else from what is shown of it."""
        if self.place is not None and node is not None:
            with contextlib.suppress(LookupError):
                return Shown(text, self.place.value(node), True)
        return read(text, self.place.parts if self.place else ())

    def of(self, shown: str, node: ast.expr | None) -> str:
        """What was expected, and what was seen."""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return f"expected one of these to hold: {clipped(ast.unparse(node))}"
        parts = operands(shown, "and")
        if isinstance(node, ast.BoolOp) or (node is None and len(parts) > 1):
            failed = node.values[min(len(parts), len(node.values)) - 1] if isinstance(node, ast.BoolOp) else None
            return self.of(parts[-1], failed)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._negated(shown, node.operand)
        if node is None and shown.startswith("not "):
            return self._negated(shown, None)
        if isinstance(node, ast.Compare) or node is None:
            operators = [_WRITTEN[type(one)] for one in node.ops] if node is not None else OPERATORS
            if compared := comparison(unwrapped(shown), operators):
                return self._compared(*compared, node)
        return self._bare(shown, node)

    def _negated(self, shown: str, node: ast.expr | None) -> str:
        value = self.read(shown.removeprefix("not ").strip(), node)
        if value.known and value.value is True:
            return f"expected not to hold, and does: {clipped(ast.unparse(node))}" if node else "expected no, seen yes"
        return none_expected(value)

    def _compared(self, left: str, operator: str, right: str, node: ast.Compare | None) -> str:
        # of `a == b == c` it is not known which pair failed
        sides = (node.left, node.comparators[0]) if node is not None and len(node.ops) == 1 else None
        first, last = self.read(left, sides and sides[0]), self.read(right, sides and sides[1])
        if sides and operator in ("==", "!=") and is_expected(sides[0]) and not is_expected(sides[1]):
            first, last, sides = last, first, (sides[1], sides[0])
        name = subject(sides[0]) if sides and not is_expected(sides[0]) else ""
        about = f"{name}: " if name else ""
        if operator == "==":
            if _empty(last) and not first.known and is_sentence(self.extra):
                return self.extra
            return none_expected(first) if _empty(last) else about + difference(first, last)
        if operator == "!=":
            return f"{about}expected anything but {said(last)}, seen just that"
        if operator in _BOUND:
            return about + _bounded(first, operator, last)
        if operator == "in":
            return f"expected {said(first)} among {said(last)}"
        if operator == "not in":
            return f"expected no {said(first)}, seen it in {said(last)}"
        if operator == "is":
            return f"{about}expected {said(last)}, seen {said(first)}"
        return f"expected {name or 'something'}, seen {said(first)}"

    def _bare(self, shown: str, node: ast.expr | None) -> str:
        value = self.read(shown, node)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "observed" and len(node.args) == 1:
                return f"expected to be observed, and was not: {clipped(ast.unparse(node.args[0]).strip(_QUOTES))}"
            if isinstance(node.func, ast.Name) and node.func.id in ("all", "any"):
                which = "for all" if node.func.id == "all" else "for any"
                return f"expected to hold {which}, and does not: {clipped(', '.join(map(ast.unparse, node.args)))}"
        if node is not None and value.known and value.value is False:
            return f"expected to hold, and does not: {clipped(ast.unparse(node))}"
        return f"expected {subject(node, MOST) or 'something'}, seen {said(value)}"


def _empty(side: Shown) -> bool:
    value: object = side.value
    return side.text in _EMPTY or (side.known and isinstance(value, list | dict | set | tuple) and not value)


def _bounded(first: Shown, operator: str, last: Shown) -> str:
    if first.known and last.known and isinstance(first.value, Set) and isinstance(last.value, Set):
        small, large = (first, last) if operator.startswith("<") else (last, first)
        if lacking := cast("Set[Any]", small.value) - cast("Set[Any]", large.value):
            return f"expected and not seen: {said(Shown('', lacking, True))}; seen {said(large)}"
    return f"expected {_BOUND[operator]} {said(last)}, seen {said(first)}"
