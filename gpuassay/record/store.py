"""The files of one recording: written atomically, read back only if they are what was written."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from gpuassay.manifest import Manifest, dig
from gpuassay.record.parts import ASKED, AUDIT, CORE, EVENTS, METRICS, Part, declared
from gpuassay.record.rows import Line, UnusableError, encode
from gpuassay.record.timeline import EventLine
from gpuassay.secrets import hide_known

FORMAT = 2
"""Version of the recording format that is written: `recording.json` has a checksum of its own, events have an end."""
READ = (1, 2)
"""Versions that a reader takes; it refuses every other."""
END = "END"
"""Type of the last line of `events.jsonl`, which says how many come before it: a file without it was cut."""

META = "recording.json"
_BROKEN = (OSError, EOFError, lzma.LZMAError)


@dataclass(frozen=True)
class RecordingMeta:
    """What `recording.json` says about a recording.

    Attributes:
        scenario: id of the scenario; the recording's name.
        profile: configuration profile it ran under.
        token: the scenario's label value on its objects.
        namespaces: its namespaces.
        started_ns: begin of the scenario, ns since the epoch.
        ended_ns: end of the scenario, ns since the epoch.
        outcome: "ok", "error" or "skip".
        error: one line when the outcome is not "ok".
        notes: JSON-able facts that the scenario hands to its judges.
        gaps: GAP records: times in which the recorder may have missed changes.
        pressure: how crowded the machine was during the scenario (`gpuassay.pressure.shares`).
    """

    scenario: str
    profile: str = "default"
    token: str = ""
    namespaces: Sequence[str] = field(default_factory=list[str])
    started_ns: int = 0
    ended_ns: int = 0
    outcome: str = "ok"
    error: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gaps: Sequence[Manifest] = field(default_factory=list[Manifest])
    pressure: Mapping[str, Any] = field(default_factory=dict[str, Any])


def without_managed_fields(obj: Manifest) -> Manifest:
    """The object without `metadata.managedFields` (bookkeeping of server-side apply, half of an object's bytes)."""
    if dig(obj, "metadata", "managedFields") is None:
        return obj
    metadata: Manifest = obj["metadata"]
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _event_text(event: EventLine | Mapping[str, Any]) -> str:
    record: Manifest = json.loads(event.text) if isinstance(event, EventLine) else dict(event)
    if isinstance(record.get("object"), dict):
        record["object"] = without_managed_fields(record["object"])
    return encode(record)


def write_recording(
    folder: Path,
    meta: RecordingMeta,
    *,
    asked: Iterable[Manifest] = (),
    events: Iterable[EventLine | Mapping[str, Any]] = (),
    audit: Iterable[Mapping[str, Any]] = (),
    metrics: Iterable[Mapping[str, Any]] = (),
    parts: Mapping[Part[Any], Iterable[Any]] | None = None,
) -> None:
    """Write a recording; it appears under `folder` complete or not at all, and replaces an earlier one.

    Args:
        folder: `recordings/<scenario>` of a run directory.
        meta: what `recording.json` says.
        asked: objects as the scenario asked for them.
        events: lines of `LiveView.lines`, or dicts `{"at", "type", "object"}`.
        audit: the API server's audit lines.
        metrics: samples `{"at", "source", "label", "name", "labels", "value"}`.
        parts: rows of what the system under test adds to a recording.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        texts: dict[str, Iterable[str]] = {
            ASKED.file: map(encode, asked),
            EVENTS.file: _with_end(map(_event_text, events), meta.ended_ns),
            AUDIT.file: map(encode, audit),
            METRICS.file: map(encode, metrics),
        }
        for part, rows in (parts or {}).items():
            lines = list(map(encode, rows))
            if lines or part.always:
                texts[part.file] = lines
        sums = {part: _write_lines(draft / part, lines) for part, lines in texts.items()}
        document = {"format": FORMAT, **asdict(meta), "namespaces": sorted(meta.namespaces), "files": sums}
        # of what is kept: secrets are hidden before, not behind the checksum
        kept: Manifest = json.loads(hide_known(json.dumps(document, ensure_ascii=False)))
        told = json.dumps({**kept, "sum": own_sum(kept)}, indent=1, ensure_ascii=False)
        (draft / META).write_text(f"{told}\n", encoding="utf-8")
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _with_end(lines: Iterable[str], ended_ns: int) -> Iterator[str]:
    count = 0
    for line in lines:
        count += 1
        yield line
    yield encode({"at": ended_ns, "type": END, "lines": count})


def own_sum(document: Mapping[str, Any]) -> str:
    """Checksum of what `recording.json` says, but for the checksum itself: sha256 of sorted, compact JSON."""
    said = {key: value for key, value in document.items() if key != "sum"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _write_lines(path: Path, lines: Iterable[str]) -> str:
    """Write lines and return the sha256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for line in lines:
            data = hide_known(line).encode() + b"\n"
            digest.update(data)
            out.write(data)
    return digest.hexdigest()


def _read_part(folder: Path, part: str) -> bytes:
    """A file's plain content, whether it lies there plain or as `.xz`."""
    plain, packed = folder / part, folder / f"{part}.xz"
    try:
        return lzma.decompress(packed.read_bytes()) if packed.exists() and not plain.exists() else plain.read_bytes()
    except FileNotFoundError as e:
        raise UnusableError(f"{folder}: {part} is missing: the recording is truncated") from e
    except _BROKEN as e:
        raise UnusableError(f"{folder}: {part} cannot be read (truncated?): {e}") from e


def read_versioned(
    folder: Path, name: str, what: str, versions: Sequence[int], refusal: type[Exception]
) -> dict[str, Any]:
    """The JSON object in the file `name`, which makes `folder` a `what` of one of those format versions.

    Raises:
        refusal: it is missing, no JSON object, or of another version; one line.
    """
    try:
        parsed: Any = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise refusal(f"{folder}: no {name}: not a {what}, or truncated") from e
    except (OSError, ValueError) as e:
        raise refusal(f"{folder}: {name} cannot be read (truncated?): {e}") from e
    if not isinstance(parsed, dict):
        raise refusal(f"{folder}: {name} is no JSON object")
    found = cast("dict[str, Any]", parsed)
    if found.get("format") not in versions:
        read = " and ".join(map(str, versions))
        raise refusal(f"{folder}: {what} format {found.get('format')!r}; this version reads format {read}")
    return found


@dataclass(frozen=True)
class Stored:
    """What `recording.json` says.

    Attributes:
        format: version in which the recording was written.
        meta: of the recording.
        sums: sha256 of each file's plain content.
    """

    format: int
    meta: RecordingMeta
    sums: Mapping[str, str]


def read_meta(folder: Path) -> Stored:
    """`recording.json` and the checksums in it.

    Raises:
        UnusableError: missing, not JSON, of a foreign version, incomplete, or edited.
    """
    raw = read_versioned(folder, META, "recording", READ, UnusableError)
    names = [one.name for one in fields(RecordingMeta)]
    missing = [name for name in (*names, "files") if name not in raw]
    if missing:
        raise UnusableError(f"{folder}: {META} lacks {', '.join(missing)}: doctored or truncated")
    if raw["format"] > 1 and raw.get("sum") != own_sum(raw):
        raise UnusableError(f"{folder}: {META} does not match its own checksum: edited")
    return Stored(raw["format"], RecordingMeta(**{name: raw[name] for name in names}), dict(raw["files"]))


def verify(folder: Path, stored: Stored) -> None:
    """Compare every part with its checksum, and look whether the events have their end.

    Raises:
        UnusableError: a part is missing, truncated or edited.
    """
    sums = stored.sums
    lying = {str(at.relative_to(folder)).removesuffix(".xz") for at in folder.rglob("*.jsonl*")}
    for part in dict.fromkeys((*(one.file for one in CORE), *sums, *sorted(lying))):
        if part not in sums:
            raise UnusableError(f"{folder}: {META} has no checksum of {part}: doctored or truncated")
        if hashlib.sha256(_read_part(folder, part)).hexdigest() != sums[part]:
            raise UnusableError(f"{folder}: {part} does not match its checksum: truncated or doctored")
    if stored.format > 1:
        _require_end(folder)


def _require_end(folder: Path) -> None:
    lines = _read_part(folder, EVENTS.file).splitlines()
    last: Any = json.loads(lines[-1]) if lines and lines[-1].startswith(b"{") else None
    if not isinstance(last, dict) or cast("Manifest", last).get("type") != END:
        raise UnusableError(
            f"{folder}: {EVENTS.file} has no end: the recorder did not write it to the last, or it is cut"
        )
    if cast("Manifest", last).get("lines") != len(lines) - 1:
        raise UnusableError(f"{folder}: {EVENTS.file} has {len(lines) - 1} lines, its end counts {last['lines']}")


def read_lines(folder: Path, part: str, stored: Stored) -> list[Line]:
    """The lines of a part with their numbers, without the end of the events.

    Raises:
        UnusableError: it is missing or truncated.
    """
    lines = _read_part(folder, part).splitlines()
    return list(enumerate(lines[:-1] if part == EVENTS.file and stored.format > 1 else lines, 1))


_EMPTY = hashlib.sha256().hexdigest()


def unknown(sums: Mapping[str, str]) -> list[str]:
    """Files with rows of which this process knows no part."""
    return sorted(file for file, digest in sums.items() if digest != _EMPTY and file not in declared())
