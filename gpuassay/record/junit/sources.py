"""What a person names as JUnit results, as bytes: a file, a pipe, a folder or an archive, read once.

Nothing is unpacked onto the disk, and no link of an archive is followed out of it.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from gpuassay.record.junit.errors import JUnitError

LARGEST = 512 * 2**20
"""Bytes that are read of one source, after unpacking: what is longer is a mistake, or made to fill the memory."""
LONGEST_ERROR = 4000
"""Bytes of what Sonobuoy says of a broken plugin."""
DEEPEST = 4
"""Archives within archives that are opened."""

_TOO_LARGE = f"{{}} holds more than {LARGEST // 2**20} MiB: name the JUnit files in it one by one"
_UNSUPPORTED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
}
_COMPRESSED = r"(\.(gz|bz2|xz|zst))?"
_WANTED = re.compile(rf"(\.xml{_COMPRESSED}|\.tar{_COMPRESSED}|\.tgz|\.txz|\.tbz2|\.zip)$", re.IGNORECASE)
_PLUGIN_BROKE = re.compile(r"(?:^|/)plugins/([^/]+)/errors/.")
"""Where Sonobuoy keeps that a plugin, such as the conformance tests, did not come to its end."""
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, ValueError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Part:
    """One file of a source: its name within, "" where the source is that file, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes:
        name: of the file or folder, for people.
        digest: SHA-256 of the bytes as they were given; of a folder, of the names and bytes of its files.
        parts: the files in it that may hold results.
        problems: name and words of each of Sonobuoy's plugins that did not come to its end.
    """

    name: str
    digest: str
    parts: tuple[Part, ...]
    problems: tuple[tuple[str, str], ...] = ()


def read(path: Path) -> Source:
    """All of `path`, each byte once, so that a pipe can be read too.

    Raises:
        JUnitError: it cannot be read or unpacked, is too large, changes meanwhile, or is a folder without XML files.
    """
    if re.match(r"https?:/", str(path)):
        raise JUnitError(f"{path} is an address: download the file and name that")
    path = path.expanduser()
    try:
        found = _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        raise JUnitError(f"{path} cannot be read: {error.strerror or error}") from None
    if not (found.parts or found.problems):
        raise JUnitError(f"{path} has no .xml file in it: name the file that holds the results")
    return found


def _file(path: Path) -> Source:
    data, regular = _bytes_of(path)
    unpacking = _Unpacking(str(path))
    parts = tuple(unpacking.parts("", data, 0))
    name = path.name if regular else f"the pipe {path}"
    return Source(name, hashlib.sha256(data).hexdigest(), parts, tuple(unpacking.problems))


def _folder(path: Path) -> Source:
    unpacking = _Unpacking(str(path))
    digest = hashlib.sha256()
    parts: list[Part] = []
    for folder, names, files in os.walk(path, onerror=_refuse):
        names.sort()
        for file in sorted(files):
            place = Path(folder, file)
            inner = place.relative_to(path).as_posix()
            if not _wanted(inner) or not place.is_file():
                continue
            data, _ = _bytes_of(place)
            digest.update(f"{inner}\0{len(data)}\0".encode(errors="surrogateescape") + data)
            parts += unpacking.parts(inner, unpacking.take(data), 0)
    return Source(path.resolve().name, digest.hexdigest(), tuple(parts), tuple(unpacking.problems))


def _refuse(error: OSError) -> None:
    raise error


def _bytes_of(path: Path) -> tuple[bytes, bool]:
    """Content of a file, and whether it is a regular one and not a pipe.

    Raises:
        JUnitError: it is too large, or was written to while it was read.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = _limited(file, str(path), LARGEST)
        after = os.fstat(file.fileno())
    regular = stat.S_ISREG(after.st_mode)
    if regular and ((before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)):
        raise JUnitError(f"{path} changed while it was read: wait until what writes it has ended")
    return data, regular


def _limited(file: _Readable, name: str, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise JUnitError(_TOO_LARGE.format(name))
    return data


class _Unpacking:
    """Opens what is packed, down to the files that may hold results."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = LARGEST
        self.problems: list[tuple[str, str]] = []

    def parts(self, name: str, data: bytes, depth: int) -> Iterator[Part]:
        """The files in `data`, or `data` itself.

        Raises:
            JUnitError: it is damaged, cut off, encrypted, too large, or packed in a way that is not known here.
        """
        where = self._where(name)
        if broke := _PLUGIN_BROKE.search(name):
            self.problems.append((broke[1], _error_of(data)))
            return
        for magic, kind in _UNSUPPORTED.items():
            if data.startswith(magic):
                raise JUnitError(f"{where} is packed by {kind}, which is not read here: unpack it first")
        kind = _kind(data)
        if kind and depth >= DEEPEST:
            raise JUnitError(f"{where} is packed more than {DEEPEST} times over: unpack it first")
        try:
            if kind == "zip":
                yield from self._members(name, self._zip(data), depth)
            elif kind == "tar":
                yield from self._members(name, self._tar(data), depth)
            elif kind:
                opened = _open(kind, data)
                inner = self.take(_limited(opened, where, self._left))
                yield from self.parts(re.sub(r"\.(gz|bz2|xz)$", "", name), inner, depth + 1)
            else:
                yield Part(name, data)
        except _BROKEN as error:
            raise JUnitError(f"{where} is a {kind} file that is damaged or was cut off: {error}") from None
        except (RuntimeError, NotImplementedError) as error:  # zipfile: a password, or a method of compression
            raise JUnitError(f"{where} is a {kind} file that cannot be unpacked here: {error}") from None

    def _members(self, name: str, members: Iterator[Part], depth: int) -> Iterator[Part]:
        found = list(members)
        wanted = [one for one in found if _wanted(one.name)] or (found if len(found) == 1 else [])
        for one in wanted:
            yield from self.parts(f"{name}/{one.name}" if name else one.name, one.data, depth + 1)

    def _tar(self, data: bytes) -> Iterator[Part]:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = [one for one in archive if one.isfile()]
            for one in members:
                if not (_wanted(one.name) or len(members) == 1):
                    continue
                opened = archive.extractfile(one)
                assert opened is not None  # what is no file has none
                inner = self.take(_limited(opened, self._where(one.name), self._left))
                if len(inner) != one.size:
                    raise EOFError(f"{one.name} has {len(inner)} of {one.size} bytes")
                yield Part(one.name, inner)

    def _zip(self, data: bytes) -> Iterator[Part]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            for one in members:
                if not (_wanted(one.filename) or len(members) == 1):
                    continue
                with archive.open(one) as opened:
                    yield Part(one.filename, self.take(_limited(opened, self._where(one.filename), self._left)))

    def take(self, data: bytes) -> bytes:
        """Count `data`, and hand it back.

        Raises:
            JUnitError: with it, the source is too large.
        """
        if len(data) > self._left:
            raise JUnitError(_TOO_LARGE.format(self._source))
        self._left -= len(data)
        return data

    def _where(self, name: str) -> str:
        return f"{name} in {self._source}" if name else self._source


def _kind(data: bytes) -> str:
    """How `data` is packed; "" where it is not."""
    for magic, kind in ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if data.startswith(magic):
            return kind
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    try:
        tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return ""
    return "tar"


def _open(kind: str, data: bytes) -> _Readable:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=io.BytesIO(data))
    return bz2.BZ2File(io.BytesIO(data)) if kind == "bzip2" else lzma.LZMAFile(io.BytesIO(data))


def _error_of(data: bytes) -> str:
    text = data[:LONGEST_ERROR].decode(errors="replace").strip()
    try:
        told: dict[str, Any] = json.loads(text)
        return str(told["error"])
    except (ValueError, KeyError, TypeError):
        return text


def _wanted(name: str) -> bool:
    place = PurePosixPath(name)
    # macOS puts a file of attributes beside each file of an archive
    if _PLUGIN_BROKE.search(name):
        return True
    return bool(_WANTED.search(name)) and not place.name.startswith("._") and "__MACOSX" not in place.parts
