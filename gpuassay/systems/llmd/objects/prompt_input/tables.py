"""Entries of CSV files and of plain text."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from gpuassay.systems.llmd.objects.prompt_input.entries import Entry
from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, Remarks
from gpuassay.systems.llmd.objects.prompt_input.fields import CHAT, KNOWN, TEXT, nothing_asked, plain
from gpuassay.systems.llmd.objects.prompt_input.text import LONGEST, Text

SEPARATORS = (",", ";", "\t", "|")
_MISSING = frozenset({"nan", "NaN", "<NA>"})
"""How pandas writes a value that is not there, once it is text."""


def header_of(line: str) -> tuple[str, list[str]] | None:
    """Separator and columns of a CSV file whose first line this is, if a column is one that prompts stand in."""
    found = [(one, _columns(line, one)) for one in SEPARATORS]
    good = [(one, columns) for one, columns in found if _usable(columns)]
    return max(good, key=lambda pair: len(pair[1]), default=None)


def looks_like_a_table(line: str, following: str) -> bool:
    """Whether plain text is a table: two columns or more, prompts in one, and as many fields in the next line."""
    found = header_of(line)
    return found is not None and len(found[1]) > 1 and len(_columns(following, found[0])) == len(found[1])


def csv_entries(text: Text) -> Iterator[Entry]:
    """The rows of a CSV file with a header, whatever separates its fields.

    Raises:
        BadEntry: no column is one that prompts stand in, two are of one name, or a row is malformed.
    """
    # A transcript is longer than the field size that the csv module allows by default.
    before = csv.field_size_limit(LONGEST)
    first = 1
    rows = text.rows()
    try:
        top = next(rows, "")
        skipped = 0
        separator = ""
        if top.lower().startswith("sep=") and len(top.strip()) == 5:  # Excel's way to tell its separator
            separator, top, skipped = top.strip()[4], next(rows, ""), 1
        while not top.strip():
            top, skipped = next(rows), skipped + 1
        found = header_of(top)
        separator = separator or (found[0] if found else max(SEPARATORS, key=lambda one: len(_columns(top, one))))
        reader = csv.reader(chain([top], rows), delimiter=separator, strict=True)
        header = [plain(name) for name in next(reader)]
        _check(header, skipped + 1)
        first = reader.line_num + skipped + 1
        for row in reader:
            if any(row):
                yield Entry(f"line {first}", f"line{first}", _row(row, header, first))
            first = reader.line_num + skipped + 1
    except csv.Error as error:
        raise BadEntry(f"line {first}", f"not CSV: {error}; a quote inside a quoted field is written twice") from error
    finally:
        csv.field_size_limit(before)


def _row(row: Sequence[str], header: Sequence[str], number: int) -> dict[str, object]:
    fields = list(row)
    while len(fields) > len(header) and not fields[-1]:
        fields.pop()  # spreadsheets end rows with empty cells
    if len(fields) != len(header):
        said = f"{len(fields)} fields, the header has {len(header)}; quote text with commas"
        raise BadEntry(f"line {number}", said)
    return {name: None if field in _MISSING else field for name, field in zip(header, fields, strict=True) if name}


def _columns(line: str, separator: str) -> list[str]:
    try:
        return [plain(name) for name in next(csv.reader([line], delimiter=separator), list[str]())]
    except csv.Error:
        return []


def _usable(columns: Collection[str]) -> bool:
    return not {*TEXT, *CHAT}.isdisjoint(columns)


def _check(header: Sequence[str], number: int) -> None:
    if not _usable(header):
        raise BadEntry(f"line {number}", nothing_asked(dict.fromkeys(header)).replace("no ", "no column ", 1))
    twice = [name for name, times in Counter(header).items() if times > 1 and name in KNOWN]
    if twice:
        raise BadEntry(f"line {number}", f"two columns {twice[0]!r}: which one counts cannot be told; rename one")


def text_entries(text: Text, remarks: Remarks) -> Iterator[Entry]:
    """The lines of plain text that are not blank: one prompt each, as other load generators read such a file."""
    for number, line in text.lines():
        if line.strip():
            remarks.add("a line of plain text is a prompt; for one prompt of several lines give a folder of .txt files")
            yield Entry(f"line {number}", f"line{number}", {"prompt": line.strip()})


def whole_text(text: Text, label: str) -> Iterator[Entry]:
    """All of a file as one prompt; none if it is blank."""
    while text.more():
        pass
    if text.rest.strip():
        yield Entry("", label, {"prompt": text.rest})
