"""A fact that a scenario hands to its judges, declared once for both: its name, its type, and what it says."""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, overload

import msgspec

from gpuassay.record.rows import RecordingError

T = TypeVar("T")
S = TypeVar("S")

_declared: dict[tuple[str, str], tuple[int, int]] = {}
"""Where in the code each note was declared, by file and name of the note."""


class Note(Generic[T]):
    """A fact that a scenario hands to its judges. In a recording it is JSON; on both sides it is a `T`.

    Declare it where both sides see it: in the suite's module, or with the system where several modules use it.

    Attributes:
        name: its key in the recording's notes; that of no other note of the module.
        kind: its type: a msgspec struct, a dataclass, or plain containers such as `dict[str, list[int]]`.
        what: a sentence: what it says, with the unit of its numbers.

    Example:
        RESTARTED = Note("restarted", dict[str, int], "starts of each container once the node was back")
        lab.note(RESTARTED, {"main": 2})  # in the scenario
        assert act.note(RESTARTED)["main"] == 2  # in a judge
    """

    @overload
    def __init__(self, name: str, kind: type[T], what: str) -> None: ...
    @overload
    def __init__(self: Note[S | None], name: str, kind: type[S], what: str, *, default: None) -> None: ...
    @overload
    def __init__(self, name: str, kind: type[T], what: str, *, default: T) -> None: ...
    def __init__(self, name: str, kind: Any, what: str, *, default: Any = msgspec.NODEFAULT) -> None:
        """Declare it; with a `default` for recordings of scenarios that did not write it.

        Raises:
            TypeError: JSON cannot hold a value of that type, or the default is none.
            ValueError: the module has another note of that name.
        """
        self.name, self.what = name, what
        self.kind: Any = kind | None if default is None else kind
        try:
            msgspec.json.schema(self.kind)
        except TypeError:
            raise TypeError(
                f"note {name!r}: JSON cannot hold a {_said(kind)}; use a msgspec struct, numbers, strings, booleans, "
                "lists of them, or dicts of them by string"
            ) from None
        self._default: Any = default if default is msgspec.NODEFAULT else self._plain(default)
        _once(name)

    def __repr__(self) -> str:
        """The name and the type, for messages."""
        return f"Note({self.name!r}, {_said(self.kind)})"

    def as_json(self, value: T) -> Any:
        """The value as JSON has it.

        Raises:
            TypeError: it is not of the note's type.
        """
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        try:
            plain = json.loads(json.dumps(msgspec.to_builtins(value, str_keys=True)))
            msgspec.convert(plain, self.kind, str_keys=True)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise TypeError(f"note {self.name!r} must be a {_said(self.kind)}: {error}") from None
        return plain

    def read(self, notes: Mapping[str, Any], of: str) -> T:
        """The fact in the notes of the recording called `of`.

        Raises:
            RecordingError: it is not there and has no default, or does not fit the type; one line.
        """
        found = notes.get(self.name, self._default)
        if found is msgspec.NODEFAULT:
            there = ", ".join(sorted(notes)) or "none"
            raise RecordingError(f"{of}: no note {self.name!r} ({self.what}); there are: {there}")
        try:
            return msgspec.convert(found, self.kind, str_keys=True)
        except msgspec.ValidationError as error:
            raise RecordingError(f"{of}: note {self.name!r} is no {_said(self.kind)}: {error}") from None


def _said(kind: Any) -> str:
    """A type as a reader would write it."""
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _once(name: str) -> None:
    """Refuse a second declaration of `name` in one file; a module that is run twice declares at the same place."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame.f_globals.get("__name__") == "typing" and frame.f_back is not None:  # Note[int](...)
        frame = frame.f_back
    file, place = frame.f_code.co_filename, (frame.f_lineno, frame.f_lasti)
    if file.startswith("<"):  # typed at a prompt, where one declares a name anew
        return
    first = _declared.setdefault((file, name), place)
    if first != place:
        raise ValueError(f"{file}:{place[0]}: note {name!r} is declared in line {first[0]} as well: name one otherwise")
