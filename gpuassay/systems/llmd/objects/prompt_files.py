"""Prompts from a user's file: CSV with a header, or JSON Lines; transcripts, a trace, whatever is to be asked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompts import Prompt
from gpuassay.systems.llmd.objects.tokens import Message, chat_text, count

TEXT = ("prompt", "text", "transcript")
"""Columns or keys that hold the prompt; the first one present counts."""

LABEL, MESSAGES = "label", "messages"

ANSWER = ("max_tokens", "output_tokens_count", "output_tokens")
"""Columns or keys that hold the wanted length of the answer in tokens; the second is GuideLLM's."""


class BadPromptFile(ValueError):  # noqa: N818 - reads as what it is
    """A prompts file cannot be used; the message is one line that names the file and, where there is one, the line."""

    exit_code = 2


_given: list[Prompt] = []


def give(path: Path | None) -> None:
    """Make the prompts of a file those of this process's runs (`--prompts`); None takes them back.

    Raises:
        BadPromptFile: as `read_prompts`.
    """
    _given[:] = [] if path is None else read_prompts(path)


def given_prompts() -> list[Prompt]:
    """The user's own prompts; none where scenarios make theirs."""
    return list(_given)


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, in its order.

    `.csv`: a header with a column `prompt`, `text` or `transcript`, optionally `label` and `max_tokens`. `.jsonl`: one
    object per line with the same keys, or with `messages` (`[{"role", "content"}, ...]`) for a chat; blank lines are
    skipped. Labels are `line<number>` where there are none. UTF-8, with or without a byte-order mark.

    Raises:
        BadPromptFile: it cannot be read, is of another kind, empty, or a line is malformed.
    """
    kind = path.suffix.lower()
    if kind not in {".csv", ".jsonl"}:
        raise BadPromptFile(f"prompts file {path}: neither .csv nor .jsonl; rename it to what it is")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadPromptFile(f"prompts file {path}: cannot be read: {error.strerror}") from error
    try:
        body = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = raw[: error.start].count(b"\n") + 1
        raise _at(path, number, "not UTF-8; convert it, for example with iconv") from error
    if not body.strip():
        raise BadPromptFile(f"prompts file {path}: empty; it needs at least one prompt")
    found: list[Prompt] = []
    seen: dict[str, int] = {}
    for number, entry in _csv_entries(path, body) if kind == ".csv" else _json_entries(path, body):
        prompt = _prompt(path, number, entry)
        if prompt.label in seen:
            raise _at(path, number, f"label {prompt.label!r} was given on line {seen[prompt.label]} already")
        seen[prompt.label] = number
        found.append(prompt)
    if not found:
        raise BadPromptFile(f"prompts file {path}: empty; a header and no prompt below it")
    return found


def _at(path: Path, number: int, wrong: str) -> BadPromptFile:
    # What is quoted from the file may hold line breaks.
    return BadPromptFile(f"prompts file {path}, line {number}: {' '.join(wrong.split())}")


def _csv_entries(path: Path, body: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # A transcript is longer than the field size that the csv module allows by default.
    before = csv.field_size_limit(max(len(body), 131_072))
    first = 1
    try:
        reader = csv.reader(io.StringIO(body, newline=""), strict=True)
        header = [name.strip().lower() for name in next(reader)]
        if not set(TEXT) & set(header):
            raise _at(path, 1, f"no column {', '.join(TEXT)}; there are {', '.join(header)}")
        first = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    raise _at(path, first, f"{len(row)} fields, the header has {len(header)}; quote text with commas")
                yield first, dict(zip(header, row, strict=True))
            first = reader.line_num + 1
    except csv.Error as error:
        raise _at(path, first, f"not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _json_entries(path: Path, body: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # Not splitlines: U+2028 and its like may stand in a JSON string and end no line.
    for number, line in enumerate(body.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry: object = json.loads(line)
        except ValueError as error:
            raise _at(path, number, f"not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise _at(path, number, f"a JSON object is wanted, not {type(entry).__name__}")
        yield number, cast("dict[str, Any]", entry)


def _prompt(path: Path, number: int, entry: Mapping[str, Any]) -> Prompt:
    label = str(entry.get(LABEL) or f"line{number}")
    answer = _answer(path, number, entry)
    if entry.get(MESSAGES) is not None:
        messages = _messages(path, number, entry[MESSAGES])
        text = chat_text(messages)
        return Prompt(label, text, count(text), messages=messages, max_tokens=answer)
    key = next((name for name in TEXT if name in entry), None)
    if key is None:
        raise _at(path, number, f"no {', '.join(TEXT)} or {MESSAGES}; there are {', '.join(map(str, entry)) or 'none'}")
    text = entry[key]
    if not isinstance(text, str) or not text.strip():
        raise _at(path, number, f"{key} is {'empty' if isinstance(text, str) else 'not text'}")
    return Prompt(label, text, count(text), max_tokens=answer)


def _messages(path: Path, number: int, given: object) -> tuple[Message, ...]:
    found: list[Message] = []
    for one in cast("list[object]", given) if isinstance(given, list) else []:
        message = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            raise _at(path, number, f"message {len(found) + 1} of {MESSAGES} needs role and content as text")
        found.append((role, content))
    if not found:
        raise _at(path, number, f"{MESSAGES} must be a list with at least one message")
    return tuple(found)


def _answer(path: Path, number: int, entry: Mapping[str, Any]) -> int | None:
    for name in ANSWER:
        given = entry.get(name)
        if given is None or given == "":
            continue
        try:
            wanted = int(given)
        except (TypeError, ValueError):
            wanted = 0
        if wanted < 1 or isinstance(given, bool) or (isinstance(given, float) and not given.is_integer()):
            raise _at(path, number, f"{name} must be a whole number of tokens above 0, not {given!r}")
        return wanted
    return None
