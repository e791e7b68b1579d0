"""A file as text: unpacked, decoded, piece by piece, so that its size does not matter."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry

PIECE = 1 << 20
"""Bytes that are read at a time."""

LONGEST = 1 << 28
"""Characters of one line or one JSON value; what is longer is no prompt, and would fill the memory."""

_PACKED = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_MAGIC = (
    (b"version https://git-lfs.github.com/spec", "a Git LFS pointer and not the file itself; run `git lfs pull`"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first: zstd -d"),
    (b"SQLite format 3", "an SQLite database; export its table as CSV"),
    (b"\x89HDF", "an HDF5 file; export it as JSON Lines or CSV"),
    (b"%PDF", "a PDF; prompts are read from JSON, CSV, Parquet or plain text"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save it as CSV"),
    (b"\x80\x04\x95", "a Python pickle, which is not opened; write it as JSON Lines"),
    (b"\x80\x05\x95", "a Python pickle, which is not opened; write it as JSON Lines"),
)
DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""What is raised for a packed file that is cut off or damaged."""

_NOT_BLANK = re.compile(r"\S")

PARQUET, ARROW, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
"""How files begin that pyarrow reads; the last is the stream that Hugging Face's `save_to_disk` writes."""


def unpacked(file: BinaryIO) -> io.BufferedReader:
    """The bytes of a file without gzip, bzip2, xz, or a zip around a single file.

    Raises:
        BadEntry: it is packed otherwise, or holds no text at all.
        OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile: it is damaged (`DAMAGED`).
    """
    found = _buffered(file)
    for _ in range(3):  # a zip of a .gz is about the deepest that occurs
        head = found.peek(PIECE)
        opener = next((one for magic, one in _PACKED if head.startswith(magic)), None)
        if opener is not None:
            found = _buffered(opener(found, "rb"))
        elif head.startswith(b"PK\x03\x04"):
            found = _buffered(_only_member(found))
        else:
            break
    head = found.peek(PIECE)
    if wrong := next((said for magic, said in _MAGIC if head.startswith(magic)), None):
        raise BadEntry("", wrong)
    if head[257:262] == b"ustar":
        raise BadEntry("", "a tar archive; unpack it and give the file")
    return found


def _buffered(file: object) -> io.BufferedReader:
    return cast("io.BufferedReader", io.BufferedReader(cast("io.RawIOBase", file), PIECE))


def _only_member(file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file if file.seekable() else io.BytesIO(file.read()))
    names = [one.filename for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")]
    if any(name.startswith("xl/") for name in names):
        raise BadEntry("", "an Excel workbook; save it as CSV")
    if len(names) != 1:
        raise BadEntry("", f"a zip archive of {len(names)} files; unpack it and give one, or the folder")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise BadEntry("", "a zip archive with a password; unpack it first")
    return archive.open(names[0])


class Text:
    """The text of a file, from its beginning, in pieces.

    Attributes:
        held: what has been read; what comes before `at` has been used.
        at: how much of it; moving on copies nothing.
        line: number of the line at `at`.
        ended: whether the file has been read to its end.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        """BadEntry if the file holds bytes that are no text."""
        self._file = file
        head = file.peek(PIECE)
        # the standard library's own test for UTF-8, -16 and -32, with and without a byte-order mark
        encoding = json.detect_encoding(head)
        if head.startswith(bytes(4)) or (encoding == "utf-8" and b"\x00" in head[:1024]):
            raise BadEntry("", "neither text nor a known kind of file; give JSON, CSV, Parquet or plain text")
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._encoding = encoding
        self._breaks = 0
        self.held, self.at, self.line, self.ended = "", 0, 1, False

    def more(self) -> bool:
        """Read another piece behind what is held, and forget what has been used; False at the end.

        Raises:
            BadEntry: it is not what its first bytes promise, is cut off, or would fill the memory.
        """
        if self.ended:
            return False
        if len(self.held) - self.at > LONGEST:
            raise BadEntry(f"line {self.line}", f"more than {LONGEST >> 20} MiB in one piece: no prompt is that long")
        try:
            # Not read(): of a packed file that is cut off, the part before the cut is wanted first.
            piece = self._file.read(PIECE)
        except DAMAGED as error:
            raise BadEntry("", f"cannot be unpacked, it is cut off or damaged: {error}") from error
        try:
            text = self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(self._encoding, errors="replace").count("\n")
            said = f"not {self._encoding.removesuffix('-sig').upper()}; convert it, for example with iconv"
            raise BadEntry(f"line {self._breaks + before + 1}", said) from error
        self._breaks += text.count("\n")
        self.ended = not piece
        self.held, self.at = self.held[self.at :] + text, 0
        return True

    @property
    def rest(self) -> str:
        """What is held and has not been used."""
        return self.held[self.at :]

    def use(self, characters: int) -> None:
        """Move on by so much of what is held."""
        self.line += self.held.count("\n", self.at, self.at + characters)
        self.at += characters

    def skip_blank(self) -> str:
        """Move on to what is not white space; its first character, "" at the end."""
        while True:
            if found := _NOT_BLANK.search(self.held, self.at):
                self.use(found.start() - self.at)
                return found.group()
            self.use(len(self.held) - self.at)
            if not self.more():
                return ""

    def first_line(self) -> str:
        """The first line that is not blank, without using it up; no more of it than one piece."""
        self.skip_blank()
        while self.held.find("\n", self.at) < 0 and len(self.held) - self.at < PIECE and self.more():
            pass
        return self.held[self.at : self.at + PIECE].partition("\n")[0]

    def lines(self) -> Iterator[tuple[int, str]]:
        r"""All lines with their numbers and without `\n`, which alone ends one: U+2028 may stand in a JSON string."""
        while True:
            whole = self.rest.split("\n")
            number = self.line
            self.held, self.at = whole.pop(), 0
            self.line += len(whole)
            for place, line in enumerate(whole):
                yield number + place, line
            if not self.more():
                break
        if self.held:
            last, self.held = self.held, ""
            yield self.line, last

    def rows(self) -> Iterator[str]:
        r"""All lines with their ends, of whichever kind: `\n`, `\r\n` or the old `\r`."""
        while True:
            whole = list(io.StringIO(self.rest, newline=""))
            # a last line may go on, and a last \r may be half of \r\n
            self.held, self.at = "" if self.ended or not whole else whole.pop(), 0
            yield from whole
            if not self.more() and not self.held:
                return
