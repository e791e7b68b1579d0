"""Entries of JSON files: one value per line, an array, or values one after the other, in any layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar, cast

from gpuassay.systems.llmd.objects.prompt_input.chats import is_message
from gpuassay.systems.llmd.objects.prompt_input.entries import Entry
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry
from gpuassay.systems.llmd.objects.prompt_input.fields import CHAT, TEXT, plain
from gpuassay.systems.llmd.objects.prompt_input.text import PIECE, Text

T = TypeVar("T")

_BEGINNING = re.compile(r'\s*(\[\s*)*(\{\s*["}]|\[\s*["\]])')
"""Of an object, or of an array of objects or texts; a prompt may begin with a bracket of another kind (`[INST]`)."""

_NEAR_THE_END = 64
"""Characters: an error so near to the end of what has been read may be one of what has not."""

_ROWS = ("data", "prompts", "requests", "examples", "rows", "items", "entries", "samples", "instances", "records",
         "train", "validation", "test", "dataset", "payload")  # fmt: skip
"""Keys under which programs put the list of entries of a file that is one object."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice in one object: which one counts cannot be told")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _guarded(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def begins_as_json(text: Text) -> bool:
    """Whether a text begins as an object or an array of JSON does."""
    text.first_line()
    return _BEGINNING.match(text.held, text.at) is not None


def json_entries(text: Text) -> Iterator[Entry]:
    """The entries of a JSON file.

    Raises:
        BadEntry: it is not JSON; the message names the line.
    """
    line = text.first_line().strip()
    try:
        first: object = _guarded(lambda: _DECODER.decode(line))
    except ValueError:
        found = _array(text) if line[:1] == "[" else _values(text)
    else:
        found = _array(text) if isinstance(first, list) and not _goes_on(text) else _lines(text)
    top = list(islice(found, 2))
    if line[:1] == "[" and top and is_message(top[0].value):
        yield Entry("", "chat", [one.value for one in chain(top, found)])
    elif line[:1] == "{" and len(top) == 1:
        entries = unfolded(top[0].value)
        for number, value in enumerate(entries, start=1):
            yield top[0] if value is top[0].value else Entry(f"entry {number}", f"entry{number}", value)
    else:
        yield from chain(top, found)


def _goes_on(text: Text) -> bool:
    """Whether more than white space follows the first line."""
    while True:
        end = text.held.find("\n", text.at)
        if end >= 0 and not text.held[end:].isspace():
            return True
        if not text.more():
            return False


def _lines(text: Text) -> Iterator[Entry]:
    for number, line in text.lines():
        if not line.strip():
            continue
        try:
            value: object = _guarded(lambda line=line: _DECODER.decode(line.strip("\x1e \t\r")))
        except ValueError as error:
            raise _not_json(number, error) from error
        yield Entry(f"line {number}", f"line{number}", value)


def _array(text: Text) -> Iterator[Entry]:
    number = 0
    text.skip_blank()
    text.use(1)
    while text.skip_blank() != "]" or number:
        number += 1
        yield Entry(f"entry {number}", f"entry{number}", _value(text))
        mark = text.skip_blank()
        if mark == "]":
            break
        if mark != ",":
            wrong = "',' or ']' expected" if mark else "the array is not closed: the file is cut off"
            raise BadEntry(f"line {text.line}", f"not JSON: {wrong}")
        text.use(1)
    text.use(1)
    if text.skip_blank():
        raise BadEntry(f"line {text.line}", "not JSON: something follows the array")


def _values(text: Text) -> Iterator[Entry]:
    number = 0
    while text.skip_blank():
        number, line = number + 1, text.line
        yield Entry(f"line {line}", f"entry{number}", _value(text))
        if text.skip_blank() == ",":
            text.use(1)


def _value(text: Text) -> object:
    """The JSON value that the text begins with; no more of it is read than that takes."""
    wanted = PIECE
    while True:
        try:
            value, end = _guarded(lambda: _DECODER.raw_decode(text.held, text.at))
        except ValueError as error:
            inside = not isinstance(error, json.JSONDecodeError) or (
                error.pos < len(text.held) - _NEAR_THE_END and not error.msg.startswith("Unterminated")
            )
            if inside or text.ended:
                raise _not_json(_line_of(text, error), error) from error
            # twice as much each time: a long value is not begun again for every piece of it
            wanted = max(wanted, len(text.held) - text.at + 1)
            while len(text.held) - text.at < wanted and text.more():
                pass
            wanted *= 2
        else:
            text.use(end - text.at)
            return cast("object", value)


def _line_of(text: Text, error: ValueError) -> int:
    position = error.pos if isinstance(error, json.JSONDecodeError) else text.at
    return text.line + text.held.count("\n", text.at, position)


def _not_json(line: int, error: ValueError) -> BadEntry:
    # the decoder's own line and column are those of what it was given, not of the file
    return BadEntry(f"line {line}", f"not JSON: {error.msg if isinstance(error, json.JSONDecodeError) else error}")


def unfolded(value: object) -> list[object]:
    """The entries of a file that is a single object: itself, a list under one of its keys, or a table by columns."""
    if not isinstance(value, dict):
        return [value]
    found = cast("dict[str, Any]", value)
    if _is_split(found):
        return [dict(zip(map(str, found["columns"]), row, strict=True)) for row in found["data"]]
    named = [name for name in found if plain(name) in {*TEXT, *CHAT}]
    for name in named:
        given: Any = found[name]
        if isinstance(given, dict) and _is_table(found):  # pandas, orient="columns"
            columns = cast("dict[str, dict[str, Any]]", found)
            return [{key: column.get(row) for key, column in columns.items()} for row in columns[name]]
        if isinstance(given, list) and _is_columns(found, cast("list[object]", given), texts=plain(name) in TEXT):
            lists = cast("dict[str, list[Any]]", found)
            return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
        if isinstance(given, list) and _is_rows(cast("list[object]", given), within={"prompt", *CHAT}):
            return cast("list[object]", given)
    if named:
        return [value]
    parts = [cast("list[object]", found[name]) for name in _ROWS if isinstance(found.get(name), list)]
    if parts:
        return list(chain.from_iterable(parts))
    if (inner := next((found[name] for name in _ROWS if isinstance(found.get(name), dict)), None)) is not None:
        return unfolded(cast("object", inner))
    lists_only = [cast("list[object]", one) for one in found.values() if isinstance(one, list)]
    if len(lists_only) == 1 and _is_rows(lists_only[0], within={*TEXT, *CHAT}):
        return lists_only[0]
    if found and all(isinstance(one, dict) for one in found.values()):  # by name, or pandas, orient="index"
        return [one if "label" in one else {"label": name, **one} for name, one in found.items()]
    return [value]


def _is_split(found: dict[str, Any]) -> bool:
    """Whether it is a table as pandas writes it with orient="split"."""
    columns, rows = found.get("columns"), found.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return False
    width, table = len(cast("list[object]", columns)), cast("list[object]", rows)
    return all(isinstance(row, list) and len(cast("list[object]", row)) == width for row in table)


def _is_table(found: dict[str, Any]) -> bool:
    return all(isinstance(one, dict) for one in found.values())


def _is_columns(found: dict[str, Any], given: list[object], *, texts: bool) -> bool:
    same = all(isinstance(one, list) and len(cast("list[object]", one)) == len(given) for one in found.values())
    return same and bool(given) and all((texts and isinstance(one, str)) or _is_chat(one) for one in given)


def _is_chat(value: object) -> bool:
    rows = cast("list[object]", value) if isinstance(value, list) else []
    return bool(rows) and all(is_message(one) for one in rows)


def _is_rows(given: list[object], within: set[str]) -> bool:
    """Whether a list is one of entries with one of these keys, and not one of messages."""
    if not given or any(is_message(one) for one in given):
        return False
    return all(isinstance(one, dict) and not within.isdisjoint(_keys(cast("object", one))) for one in given)


def _keys(value: object) -> set[str]:
    return {plain(name) for name in cast("dict[Any, Any]", value)}
