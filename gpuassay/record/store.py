"""The files of one recording: written atomically, read back only if they are what was written."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from gpuassay.manifest import Manifest, dig
from gpuassay.record.parts import ASKED, AUDIT, CORE, EVENTS, METRICS, Part, declared
from gpuassay.record.rows import Line, RecordingError, encode
from gpuassay.record.timeline import EventLine
from gpuassay.secrets import hide_known

FORMAT = 1
"""Version of the recording format; a reader refuses every other."""

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
            EVENTS.file: map(_event_text, events),
            AUDIT.file: map(encode, audit),
            METRICS.file: map(encode, metrics),
        }
        for part, rows in (parts or {}).items():
            lines = list(map(encode, rows))
            if lines or part.always:
                texts[part.file] = lines
        sums = {part: _write_lines(draft / part, lines) for part, lines in texts.items()}
        document = {"format": FORMAT, **asdict(meta), "namespaces": sorted(meta.namespaces), "files": sums}
        told = hide_known(json.dumps(document, indent=1, ensure_ascii=False))
        (draft / META).write_text(f"{told}\n", encoding="utf-8")
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


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
        raise RecordingError(f"{folder}: {part} is missing: the recording is truncated") from e
    except _BROKEN as e:
        raise RecordingError(f"{folder}: {part} cannot be read (truncated?): {e}") from e


def read_versioned(folder: Path, name: str, what: str, version: int, refusal: type[Exception]) -> dict[str, Any]:
    """The JSON object in the file `name`, which makes `folder` a `what` of that format version.

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
    if found.get("format") != version:
        raise refusal(f"{folder}: {what} format {found.get('format')!r}; this version reads format {version}")
    return found


def read_meta(folder: Path) -> tuple[RecordingMeta, dict[str, str]]:
    """`recording.json` and the checksums in it.

    Raises:
        RecordingError: missing, not JSON, of a foreign version, or incomplete.
    """
    raw = read_versioned(folder, META, "recording", FORMAT, RecordingError)
    names = [one.name for one in fields(RecordingMeta)]
    missing = [name for name in (*names, "files") if name not in raw]
    if missing:
        raise RecordingError(f"{folder}: {META} lacks {', '.join(missing)}: doctored or truncated")
    return RecordingMeta(**{name: raw[name] for name in names}), dict(raw["files"])


def verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Compare every part with its checksum.

    Raises:
        RecordingError: a part is missing, truncated or edited.
    """
    lying = {str(at.relative_to(folder)).removesuffix(".xz") for at in folder.rglob("*.jsonl*")}
    for part in dict.fromkeys((*(one.file for one in CORE), *sums, *sorted(lying))):
        if part not in sums:
            raise RecordingError(f"{folder}: {META} has no checksum of {part}: doctored or truncated")
        if hashlib.sha256(_read_part(folder, part)).hexdigest() != sums[part]:
            raise RecordingError(f"{folder}: {part} does not match its checksum: truncated or doctored")


def read_lines(folder: Path, part: str) -> list[Line]:
    """The lines of a part with their numbers.

    Raises:
        RecordingError: it is missing or truncated.
    """
    return list(enumerate(_read_part(folder, part).splitlines(), 1))


_EMPTY = hashlib.sha256().hexdigest()


def unknown(sums: Mapping[str, str]) -> list[str]:
    """Files with rows of which this process knows no part."""
    return sorted(file for file, digest in sums.items() if digest != _EMPTY and file not in declared())
