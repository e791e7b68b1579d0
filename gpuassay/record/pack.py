"""A run directory as one file, and back."""

from __future__ import annotations

import io
import json
import lzma
import os
import re
import tarfile
from pathlib import Path
from typing import Any

from gpuassay import scratch
from gpuassay.record.store import read_versioned

FORMAT = 1
"""Version of the run directory; a reader refuses every other."""

RUN = "run.json"
ROOT = "run"
"""Name of the top folder in the archive, whatever the run's id."""
SUFFIX = ".tar.xz"
KEPT = frozenset({RUN, "verdicts.jsonl", "durations.jsonl", "recordings"})
"""What a replay needs. The rest is made again from it, or is a cluster's own files (keys among them)."""


class RunError(Exception):
    """A run directory or archive cannot be used; the message is one line."""

    exit_code = 2
    """Of a command that ends with it: the input is the user's to mend."""


def check_run(folder: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        RunError: no run directory, or of a foreign version.
    """
    return read_versioned(folder, RUN, "run directory", (FORMAT,), RunError)


def judged_recordings(folder: Path) -> frozenset[str]:
    """Names of the recordings on which the run came to its verdicts.

    Raises:
        RunError: its `verdicts.jsonl`, which says so, is missing or broken.
    """
    place = folder / "verdicts.jsonl"
    try:
        rows = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
        return frozenset(name for row in rows for name in row["recordings"])
    except FileNotFoundError:
        raise RunError(
            f"{folder}: no verdicts.jsonl, so nothing tells which recordings the run had; it is cut"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise RunError(f"{place} cannot be read (truncated?): {e}") from e


def pack(folder: Path, out: Path) -> None:
    """Write the run directory `folder` to `out` (.tar.xz); equal directories give equal bytes.

    `out` appears complete or not at all, and never in the place of something else.

    Raises:
        RunError: `folder` is no run directory, or holds `out`; `out` is there already, or is not called *.tar.xz.
        OSError: it cannot be written.
    """
    if folder.is_file():
        raise RunError(f"{folder}: a file; name the directory of a run")
    check_run(folder)
    if not out.name.endswith(SUFFIX):
        raise RunError(f"{out}: --replay takes a file called *{SUFFIX}; name it so")
    if os.path.lexists(out):
        raise RunError(f"{out} is there already: remove it, or name another file")
    if folder.resolve() in out.resolve().parents:
        raise RunError(f"{out} lies in the run directory itself: name a file elsewhere")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        try:
            _write(folder, part)
        except OSError as error:
            if error.filename in (None, str(part)):  # not one of the run's files
                raise OSError(error.errno, error.strerror, str(out)) from None
            raise
        try:
            os.link(part, out)  # unlike a renaming, this replaces nothing that has come meanwhile
        except FileExistsError:
            raise RunError(f"{out} is there already: remove it, or name another file") from None
        except OSError:  # a file system without hard links
            part.rename(out)
    finally:
        part.unlink(missing_ok=True)


def _write(folder: Path, out: Path) -> None:
    # xz keeps no time and no name; with sorted members and fixed owners nothing is left that could differ.
    with tarfile.open(out, "w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        # files of one kind side by side: they share most of their text, and xz looks back only so far
        for path in sorted(folder.rglob("*"), key=lambda path: (path.name, path)):
            inner = path.relative_to(folder)
            if not path.is_file() or path.is_symlink() or inner.parts[0] not in KEPT:
                continue
            member = tarfile.TarInfo(f"{ROOT}/{inner.as_posix()}")
            content = path.read_bytes()
            if inner.name == RUN and len(inner.parts) == 1:
                content = _without_places(content)
            member.size, member.mode, member.mtime = len(content), 0o644, 0
            archive.addfile(member, io.BytesIO(content))


def _without_places(document: bytes) -> bytes:
    """`run.json` without the folders that its command line names: they are nobody's business but this machine's."""
    told: dict[str, Any] = json.loads(document)
    words: list[str] = told.get("command", [])
    told["command"] = [re.sub(r"(^|=)/.*", r"\1DIR", word) for word in words]
    return (json.dumps(told, indent=1) + "\n").encode()


def open_run(path: Path | str) -> Path:
    """The run directory of a directory or archive; an archive is unpacked into a folder that goes with the process.

    Raises:
        RunError: missing, truncated, of a foreign version, or an archive with unsafe members.
    """
    where = Path(path)
    if where.is_dir():
        check_run(where)
        return where.resolve()  # `latest` is about to name the run that judges it
    if not where.exists():
        raise RunError(f"{where}: no such run directory or archive")
    if not where.is_file():  # a pipe would be waited for, and could be read once only
        raise RunError(f"{where}: neither a run directory nor a regular file; write what it yields to a {SUFFIX} file")
    folder = scratch.take("run")
    try:
        with tarfile.open(where, "r:xz") as archive:
            for member in archive:
                if not (member.isfile() or member.isdir()):
                    raise RunError(f"{where}: member {member.name!r} is neither file nor folder")
                archive.extract(member, folder, filter="data")
    except tarfile.FilterError as e:
        raise RunError(f"{where}: unsafe member: {e}") from e
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as e:
        raise RunError(f"{where}: not a complete .tar.xz archive of a run (truncated?): {e}") from e
    check_run(folder / ROOT)
    return folder / ROOT
