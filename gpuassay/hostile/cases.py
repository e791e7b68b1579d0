"""Hostile values for the fields of objects, from the schemas of their definitions. Pure.

For every field that the schema knows there are values at and beyond its borders, in otherwise healthy objects. Whether
a value must be refused is not said here: the API may take it or refuse it, but must do one of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gpuassay.manifest import Manifest

Path = tuple[str | int, ...]

LONG = "x" * 300
STRINGS = ("", " ", LONG, "-", "a/b/c", "Ünïcode", "a,b", "../x", "0")
QUANTITIES = ("0", "-1", "1m", "-1m", "0.5", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
              "1e30", "1Ki", "8E", "1n", "nonsense", "")  # fmt: skip
INTEGERS = (0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 10**30)
DEPTH = 9
MANY = 70
"""Entries of a list that is too long for most."""
BEYOND = frozenset({"template", "status", "metadata"})
"""Fields that are not walked into: pods' templates are Kubernetes' own."""


@dataclass(frozen=True)
class Case:
    """One hostile value.

    Attributes:
        kind: of the object.
        path: of the field.
        value: what it gets; None removes it.
    """

    kind: str
    path: Path
    value: Any

    @property
    def field(self) -> str:
        """The path as people write it."""
        return ".".join(str(one) for one in self.path)

    def put(self, obj: Manifest) -> Manifest:
        """The object with the value; what lies above it is made where it lacks.

        Raises:
            LookupError: the path leads through something that is neither an object nor a list.
        """
        return cast("Manifest", _put(obj, self.path, self.value))


def _put(node: Any, path: Path, value: Any) -> Any:
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        items = list(cast("list[Any]", node)) if isinstance(node, list) else []
        first: Any = items[head] if head < len(items) else {}
        return [*items[:head], _put(first, rest, value) if rest else value, *items[head + 1 :]]
    if node is not None and not isinstance(node, dict):
        raise LookupError(f"{head} lies in a plain value")
    fields = dict(cast("dict[str, Any]", node or {}))
    if rest:
        fields[head] = _put(fields.get(head), rest, value)
    elif value is None:
        fields.pop(head, None)
    else:
        fields[head] = value
    return fields


def cases(kind: str, schema: Mapping[str, Any], healthy: Manifest) -> Iterator[Case]:
    """Hostile values for every field below `spec`, and for top-level fields that are no metadata."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name, below in properties.items():
        if name not in {"apiVersion", "kind", *BEYOND}:
            yield from _cases(kind, (name,), below, healthy.get(name))


def _cases(kind: str, path: Path, schema: Mapping[str, Any], now: Any) -> Iterator[Case]:
    for value in _values(schema, now):
        yield Case(kind, path, value)
    if len(path) >= DEPTH or path[-1] in BEYOND:
        return
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name, below in properties.items():
        inside = cast("dict[str, Any]", now).get(name) if isinstance(now, dict) else None
        yield from _cases(kind, (*path, name), below, inside)
    items: Any = schema.get("items")
    if items:
        first = cast("list[Any]", now)[0] if isinstance(now, list) and now else None
        yield from _cases(kind, (*path, 0), items, first)


def _values(schema: Mapping[str, Any], now: Any) -> Sequence[Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return QUANTITIES
    match schema.get("type"):
        case "string" if "enum" in schema:
            return ("", "Nonsense", *[one for one in schema["enum"] if one != now])
        case "string":
            return STRINGS
        case "integer":
            return INTEGERS
        case "boolean":
            return (not now, "true")
        case "array":
            full = list(cast("list[Any]", now)) if isinstance(now, list) else []
            many: list[Any] = full * MANY if full else [{}] * MANY
            return ([], [None], full * 2, many, None)
        case "object":
            return ({}, None, {LONG: "x"}, [])
        case _:
            return (None,)
