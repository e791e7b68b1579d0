"""Prompts from a user's file or folder: chats, requests, data sets, transcripts, in the shapes that programs write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from gpuassay.systems.llmd.objects.prompt_input.columnar import columnar_entries
from gpuassay.systems.llmd.objects.prompt_input.entries import Draft, Entry, drafts_of
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, BadPromptFile, Remarks
from gpuassay.systems.llmd.objects.prompt_input.folders import files_of, kind_of
from gpuassay.systems.llmd.objects.prompt_input.json_values import begins_as_json, json_entries
from gpuassay.systems.llmd.objects.prompt_input.tables import (
    csv_entries,
    header_of,
    looks_like_a_table,
    text_entries,
    whole_text,
)
from gpuassay.systems.llmd.objects.prompt_input.text import ARROW, ARROW_STREAM, DAMAGED, PARQUET, Text, unpacked
from gpuassay.systems.llmd.objects.prompts import Prompt

__all__ = ["MOST", "BadPromptFile", "Given", "give", "given", "given_prompts", "read_prompts"]

MOST = 1_000
"""Prompts of a file that a run reads: scenarios ask fewer, and a data set may have a million."""


@dataclass(frozen=True)
class Given:
    """The prompts of a file, and what its reader did that its owner may not expect."""

    file: str
    prompts: tuple[Prompt, ...]
    remarks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What a run says of them at its beginning."""
        chats = sum(bool(one.chat) for one in self.prompts)
        told = sum(one.max_tokens is not None for one in self.prompts)
        tokens = sum(one.tokens for one in self.prompts)
        return [
            f"prompts file {self.file}: {len(self.prompts)} prompts, {chats} of them chats, {tokens} tokens by the "
            f"simulator's tokenizer; {told} tell how long the answer is",
            *(f"prompts file {self.file}: {line}" for line in self.remarks),
        ]


_given: list[Given] = []


def give(path: Path | None) -> None:
    """Make the first `MOST` prompts of a file those of this process's runs (`--prompts`); None takes them back.

    Raises:
        BadPromptFile: as `read_prompts`.
    """
    _given[:] = [] if path is None else [_read(path, MOST)]


def given() -> Given | None:
    """The user's own prompts, and what there is to say of them; None where scenarios make theirs."""
    return _given[0] if _given else None


def given_prompts() -> list[Prompt]:
    """The user's own prompts; none where scenarios make theirs."""
    return list(_given[0].prompts) if _given else []


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, in its order; of a folder, those of its files, by name.

    What a file is, its first bytes tell, and its name where they leave it open: JSON (an array, one value per line, or
    one after the other), CSV with a header (separated by comma, semicolon, tab or bar), Parquet and Arrow (by pyarrow,
    where that is installed), plain text (one prompt per line; in a folder one per file). gzip, bzip2, xz and a zip of
    one file are unpacked; text is UTF-8, or UTF-16 or -32 that can be told from its first bytes.

    An entry holds a text (`prompt`, `text`, `transcript`, `question`, ...) or a chat (`messages`, `conversations`,
    ...), or is a request of a batch API with either. The assistant's turn at the end of a chat is no part of the
    prompt: its length is that of the answer, unless a number tells it (`max_tokens`, `output_tokens_count`, ...).
    Labels are `label` or `custom_id`, or else the place: `line3`, `entry3`, `row3`.

    Raises:
        BadPromptFile: it cannot be read, is of another kind, empty, or an entry is malformed.
    """
    return list(_read(path, None).prompts)


def _read(path: Path, most: int | None) -> Given:
    remarks = Remarks()
    drafts = list(islice(_drafts(path, remarks), None if most is None else most + 1))
    cut = most is not None and len(drafts) > most
    if cut:
        drafts.pop()
    if not drafts:
        left = "; ".join(remarks.lines())
        raise BadPromptFile(f"prompts file {path}: empty; it needs at least one prompt{left and f' ({left})'}")
    lines = remarks.lines() + ([f"it has more than {most}: the first {most} are taken"] if cut else [])
    return Given(str(path), tuple(_labelled(drafts, path)), tuple(lines))


def _labelled(drafts: list[tuple[str, Draft]], path: Path) -> Iterator[Prompt]:
    """The prompts, each with a label of its own."""
    numbers = [draft.prompt.label for _, draft in drafts if draft.numbered]
    # a column of numbers that repeat is one of classes, as data sets have it, and names nothing
    classes = len(set(numbers)) < len(numbers)
    seen: dict[str, str] = {}
    for where, draft in drafts:
        label = draft.fallback if draft.numbered and classes else draft.prompt.label
        if label in seen:
            wrong = f"label {label!r} was given on {seen[label]} already"
            raise BadEntry(where, wrong).of(str(path))
        seen[label] = where
        yield replace(draft.prompt, label=label)


def _drafts(path: Path, remarks: Remarks) -> Iterator[tuple[str, Draft]]:
    try:
        folder = path.is_dir()
        files = files_of(path) if folder else [path]
    except BadEntry as error:
        raise error.of(str(path)) from error
    except (OSError, ValueError) as error:
        raise BadPromptFile(f"prompts file {path}: cannot be read: {_reason(error)}") from error
    for file in files:
        name = file.relative_to(path).as_posix() if folder else str(file)
        several = len(files) > 1
        try:
            for entry in _entries(file, remarks, whole=folder):
                there = replace(entry, label=f"{name}:{entry.label}") if several and entry.where else entry
                for draft in drafts_of(there, remarks):
                    yield (f"{entry.where} of {name}".strip() if several else entry.where), draft
        except BadEntry as error:
            raise error.of(str(file)) from error
        except OSError as error:
            raise BadPromptFile(f"prompts file {file}: cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _entries(path: Path, remarks: Remarks, *, whole: bool) -> Iterator[Entry]:
    with path.open("rb") as raw:
        try:
            file = unpacked(raw)
            head = file.peek(8)[:8]
        except DAMAGED as error:
            raise BadEntry("", f"cannot be unpacked, it is cut off or damaged: {error}") from error
        if head.startswith((PARQUET, ARROW, ARROW_STREAM)):
            yield from columnar_entries(file, head)
            return
        yield from _of_text(Text(file), path, remarks, whole=whole)


def _of_text(text: Text, path: Path, remarks: Remarks, *, whole: bool) -> Iterator[Entry]:
    kind = kind_of(path)
    line = text.first_line()
    if not line:
        return
    following = text.rest.partition("\n")[2].partition("\n")[0]
    if line.lower().startswith(("<!doctype", "<html")):
        raise BadEntry("", "an HTML page, such as a login page or a preview; download the file itself")
    if begins_as_json(text) or (kind == "json" and header_of(line) is None):
        yield from json_entries(text)
    elif kind == "text" and not looks_like_a_table(line, following):
        yield from whole_text(text, path.stem) if whole else text_entries(text, remarks)
    elif kind is not None or header_of(line) is not None:
        yield from csv_entries(text)
    else:
        known = ".json, .jsonl, .ndjson, .csv, .tsv, .parquet, .arrow, .txt, also as .gz"
        raise BadEntry("", f"neither JSON nor CSV by its content; known are {known}: rename or convert it")
