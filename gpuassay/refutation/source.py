"""The assertion in its source, and the values that were at hand where it failed."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_COMBINE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.BitAnd: lambda left, right: left & right,
    ast.BitOr: lambda left, right: left | right,
}


@dataclass(frozen=True)
class Place:
    """Where an assertion failed.

    Attributes:
        file: path of the source.
        line: its first line.
        test: what is asserted, None where the line holds no assertion (as in `pytest.fail`).
        names: values by the names that stand for them there, pytest's own temporaries among them.
    """

    file: str
    line: int
    test: ast.expr | None
    names: Mapping[str, Any]

    @property
    def parts(self) -> list[Any]:
        """Values of the parts of the assertion, which pytest keeps in variables named @py_assert1 and so on."""
        return [value for name, value in self.names.items() if name.startswith("@py")]

    def value(self, node: ast.expr) -> Any:
        """The value of an expression that calls nothing.

        Raises:
            LookupError: it calls something, or cannot be told.
        """
        try:
            return self._value(node)
        except (AttributeError, TypeError, ValueError) as error:
            raise LookupError(str(error)) from None

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.names[node.id]
        if isinstance(node, ast.Attribute):
            return getattr(self._value(node.value), node.attr)
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            return self._value(node.value)[self._value(node.slice)]
        if isinstance(node, ast.BinOp) and (combine := _COMBINE.get(type(node.op))):
            return combine(self._value(node.left), self._value(node.right))
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            made: list[Any] = []
            for one in node.elts:
                made += list(self._value(one.value)) if isinstance(one, ast.Starred) else [self._value(one)]
            return made if isinstance(node, ast.List) else tuple(made) if isinstance(node, ast.Tuple) else set(made)
        if isinstance(node, ast.Dict) and None not in node.keys:
            keys = [self._value(one) for one in node.keys if one is not None]
            return dict(zip(keys, map(self._value, node.values), strict=True))
        raise LookupError(ast.unparse(node))


def place_of(trace: TracebackType | None) -> Place | None:
    """The innermost place of a traceback outside of pytest; None without one."""
    ours = None
    while trace is not None:
        if "_pytest" not in Path(trace.tb_frame.f_code.co_filename).parts:
            ours = trace
        trace = trace.tb_next
    if ours is None:
        return None
    frame, line = ours.tb_frame, ours.tb_lineno
    found = _assertion(frame.f_code.co_filename, line)
    names = {**frame.f_globals, **frame.f_locals}
    return Place(frame.f_code.co_filename, found.lineno if found else line, found.test if found else None, names)


def _assertion(file: str, line: int) -> ast.Assert | None:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return None
    around = [
        one
        for one in ast.walk(tree)
        if isinstance(one, ast.Assert) and one.lineno <= line <= (one.end_lineno or one.lineno)
    ]
    return max(around, key=lambda one: one.lineno, default=None)


def literal(node: ast.expr) -> bool:
    """Whether an expression is written out, so that it can only be what is expected."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return literal(node.operand)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return True
    return isinstance(node, ast.Dict)


SAYS_NOTHING = frozenset({"seen", "found", "wrong", "findings", "result", "one", "it", "value", "told", "got", "left"})
"""Names of what was seen that add nothing to a sentence."""

EXPECTED = ("expected", "wanted", "want", "asked", "should", "right", "limit", "oracle", "predicted")
"""How names of what is expected begin or end."""


def subject(node: ast.expr | None, most: int = 60) -> str:
    """An expression as the subject of a sentence; "" where it says nothing to a reader or is long."""
    if node is None or isinstance(node, ast.Constant):
        return ""
    text = ast.unparse(node)
    return "" if text in SAYS_NOTHING or len(text) > most or literal(node) else text


def is_expected(node: ast.expr) -> bool:
    """Whether an expression is named, or written out, as what is expected."""
    text = ast.unparse(node).strip("_").lower()
    return literal(node) or text.startswith(EXPECTED) or text.endswith(EXPECTED)
