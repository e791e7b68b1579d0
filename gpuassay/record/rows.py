"""Rows of a recording's part: from lines of its file, and into them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, cast

import msgspec

from gpuassay.record.parts import MAPPINGS, Part

R = TypeVar("R")

Line = tuple[int, Any]
"""Number of a line, from 1, and what stands there: bytes of a file, or a row that is in memory already."""


class RecordingError(Exception):
    """A recording is missing, truncated, of a foreign version or doctored; the message is one line."""

    exit_code = 2
    """Of a command that ends with it: the input is the user's to mend."""


class UnusableError(RecordingError):
    """Its files are not what was written: the recording as a whole cannot be judged."""


def encode(row: Any) -> str:
    """A row as a line of its file; fields of a typed row that have their default are left out, if its type says so."""
    if isinstance(row, msgspec.Struct) or is_dataclass(row):
        return msgspec.json.encode(row).decode()
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


def decode(part: Part[R], lines: Iterable[Line], where: str) -> list[R]:
    """The rows of a part.

    Args:
        part: says of which type they are.
        lines: of its file, or of memory.
        where: the recording's folder or name, for messages.

    Raises:
        RecordingError: a line is no JSON object, or does not fit the type; file, line and field are named.
    """
    of_bytes: Callable[[bytes], R] = (
        cast("Any", _free) if part.row is MAPPINGS else msgspec.json.Decoder(part.row).decode
    )
    found: list[R] = []
    for number, line in lines:
        try:
            found.append(of_bytes(line) if isinstance(line, bytes) else _held(part, line))
        except msgspec.ValidationError as error:
            raise RecordingError(
                f"{where}: {part.file} line {number} does not fit this version of gpuassay: {error};"
                " judge it with the version that recorded it"
            ) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise RecordingError(f"{where}: {part.file} line {number} is no JSON (truncated?): {error}") from error
        except TypeError:
            raise RecordingError(f"{where}: {part.file} line {number} is no JSON object") from None
    return found


def _held(part: Part[R], row: Any) -> R:
    """A row that is in memory, of the part's type or as the mapping that says the same."""
    if part.row is MAPPINGS:
        return cast("Any", dict(cast("Mapping[str, Any]", row)))
    return row if isinstance(row, part.row) else msgspec.convert(row, part.row)


def _free(line: bytes) -> dict[str, Any]:
    """A mapping. Raises TypeError if it is none; ValueError if it is no JSON."""
    row: Any = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError
    return cast("dict[str, Any]", row)
