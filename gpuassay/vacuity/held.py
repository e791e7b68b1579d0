"""A recording in memory, as something that can be doctored: its notes, and the rows of each of its files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gpuassay.manifest import Manifest
from gpuassay.record.parts import CORE, MAPPINGS, Part
from gpuassay.record.recording import Recording, RecordingMeta
from gpuassay.record.rows import Line, encode

R = TypeVar("R", bound=Recording)


class Source:
    """The rows of a stored recording, parsed once and only where somebody asks."""

    def __init__(self, recording: Recording) -> None:
        """Of a recording as it was read from its folder."""
        self.recording = recording
        self.meta: RecordingMeta = recording.meta
        self.files: Mapping[str, Part[Any]] = {part.file: part for part in (*CORE, *type(recording).PARTS.values())}
        self._rows: dict[str, Sequence[Manifest]] = {}

    def rows(self, file: str) -> Sequence[Manifest]:
        """The rows of a file, as mappings; not to be changed."""
        if file not in self._rows:
            self._rows[file] = [_parsed(line) for _, line in self.recording.lines(self.files[file])]
        return self._rows[file]


def _parsed(line: Any) -> Manifest:
    return json.loads(line) if isinstance(line, bytes) else json.loads(encode(line))


@dataclass(frozen=True)
class Held:
    """What a doctoring is given, and gives back.

    Attributes:
        source: the recording as it was stored.
        meta: what `recording.json` says.
        changed: the rows of the files that were doctored.
        others: recordings of the same system in the same run, for one that is put in the place of another.
    """

    source: Source
    meta: RecordingMeta
    changed: Mapping[str, Sequence[Manifest]] = field(default_factory=dict[str, Sequence[Manifest]])

    @classmethod
    def of(cls, source: Source) -> Held:
        """A recording that is not doctored yet."""
        return cls(source, source.meta)

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the scenario handed on."""
        return self.meta.notes

    @property
    def files(self) -> Iterable[str]:
        """Files that judges of this system may read."""
        return self.source.files

    def rows(self, file: str) -> Sequence[Manifest]:
        """The rows of a file as they are by now; none where the system has no such file."""
        if file not in self.source.files:
            return []
        return self.changed[file] if file in self.changed else self.source.rows(file)

    def with_rows(self, file: str, rows: Sequence[Manifest]) -> Held:
        """The same with other rows in a file; itself where they are equal."""
        if list(rows) == list(self.rows(file)):
            return self
        return dataclasses.replace(self, changed={**self.changed, file: rows})

    def with_notes(self, notes: Mapping[str, Any]) -> Held:
        """The same with other notes; itself where they are equal."""
        if notes == self.notes:
            return self
        return dataclasses.replace(self, meta=dataclasses.replace(self.meta, notes=notes))

    def recording(self) -> Recording:
        """As a judge reads it."""
        original = self.source.recording
        lines: dict[str, list[Line]] = {
            file: [(number, _line(self.source.files[file], row)) for number, row in enumerate(rows, 1)]
            for file, rows in self.changed.items()
        }

        def read(part: Part[Any]) -> Iterable[Line]:
            return lines[part.file] if part.file in lines else original.lines(part)

        made = type(original)(self.meta, read)
        made.folder, made.system, made.recorded = original.folder, original.system, original.recorded
        return made


def _line(part: Part[Any], row: Manifest) -> Any:
    """As the file has it: rows of a type are read from bytes, mappings are taken as they are."""
    return row if part.row is MAPPINGS else encode(row).encode()
