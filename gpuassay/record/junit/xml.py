"""Parses XML as test frameworks write it: any encoding, forbidden characters, several documents in one file.

Entities are refused and nothing outside the file is ever read. Source of the rules: XML 1.0, sections 2.2, 2.8, 4.3.3.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from gpuassay.record.junit import foreign
from gpuassay.record.junit.errors import JUnitError

LONGEST = 4000
"""Characters of an element's text that are kept."""
DEEPEST = 200
"""Elements within elements; what is deeper is no report of tests."""

_OUTPUT = frozenset({"system-out", "system-err"})
"""Elements whose content is a program's output: often the largest part of a file, and never a result."""
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_COLOUR = re.compile(r"(?:\x1b|&#(?:27|x1[bB]);)\[[0-9;?]*[A-Za-z]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);|#)([^;\s<>&]{1,60});")
_REPLACEMENT = "\ufffd"


@dataclass
class Node:
    """An element: its name in lower case and without a namespace, its attributes likewise, children and text."""

    tag: str
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list["Node"])
    text: str = ""

    def get(self, name: str) -> str:
        """The attribute `name`, "" where there is none."""
        return self.attributes.get(name, "")


def parse(data: bytes, name: str) -> list[Node]:
    """The documents in `data`; `name` is how messages call the file.

    Raises:
        JUnitError: it is no well-formed XML, was cut off, or declares entities.
    """
    text = _decode(data, name)
    if not text.strip("\0 \t\r\n"):
        raise JUnitError(f"{name} is empty: what should have written it has written nothing")
    if told := foreign.no_xml(text):
        raise JUnitError(f"{name} is {told}")
    text = text.rstrip("\0 \t\r\n")
    begins = 1 + text[: len(text) - len(text.lstrip())].count("\n")
    rest = _clean(text.lstrip()).encode()
    found: list[Node] = []
    while rest:
        parser = _Parser(name, begins)
        document = _without_declaration(rest)
        end = parser.feed(document)
        found.append(parser.root())
        begins += document[:end].count(b"\n")
        rest = document[end:]
    return found


def _without_declaration(data: bytes) -> bytes:
    """Blanks for the XML declaration: the encoding is settled, and lines stay where they are."""
    found = _DECLARATION.match(data[:1000].decode(errors="replace"))
    if found is None:
        return data
    length = len(found[0].encode())
    return re.sub(rb"[^\n]", b" ", data[:length]) + data[length:]


def _decode(data: bytes, name: str) -> str:
    """`data` as text. A byte order mark, or what the bytes look like, counts more than what is declared."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    for start, encoding in ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be")):
        if data.startswith(start):
            return data.decode(encoding, errors="replace")
    for start, encoding in ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if data.startswith(start):
            return data.decode(encoding, errors="replace")
    declared = _DECLARED.match(data[:1000])
    encoding = declared[1].decode("latin-1").strip() if declared else "utf-8"
    if re.match(r"(?i)(utf|ucs|iso-10646-ucs)[-_]?(16|32|2|4)", encoding):
        encoding = "utf-8"  # .NET's string writers declare their own encoding, whatever the file's is
    try:
        return data.decode(encoding, errors="replace")
    except (LookupError, UnicodeError, ValueError):  # unknown, no encoding of text, or one that cannot replace
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise JUnitError(
            f"{name} declares the encoding {encoding!r}, which is not known here, and is not UTF-8 either: convert it"
        ) from None


def _clean(text: str) -> str:
    """Without what XML forbids: test output often holds it, and many writers copy it as it is."""
    text = _COLOUR.sub("", text)
    return _REFERENCE.sub(_reference, _FORBIDDEN.sub(_REPLACEMENT, text))


def _reference(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    code = int(digits, 16 if found[1] else 10) if len(digits.lstrip("0")) <= 7 else -1
    allowed = 0 <= code <= 0x10FFFF and not _FORBIDDEN.match(chr(code))
    return found[0] if allowed else _REPLACEMENT


class _Parser:
    """One document. The parser is told the encoding, so that it heeds no declaration."""

    def __init__(self, name: str, begins: int) -> None:
        self._name = name
        self._begins = begins
        self._open: list[Node] = []
        self._root: Node | None = None
        self._text: dict[int, list[str]] = {}
        self._room: dict[int, int] = {}
        self._output = 0
        self._data = b""
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._document_type
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._entity

    def feed(self, data: bytes) -> int:
        """Parse; where in `data` the document ends."""
        self._data = data
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            end = self._parser.ErrorByteIndex
            if self._root is not None and not self._open and data[end : end + 1] == b"<":
                return end  # another document follows
            raise JUnitError(f"{self._name} {self._why(error, data)}") from None
        return len(data)

    def root(self) -> Node:
        """The document's element."""
        assert self._root is not None  # the parser wants one
        return self._root

    def _why(self, error: expat.ExpatError, data: bytes) -> str:
        place = f"line {error.lineno + self._begins - 1}"
        if self._root is not None and not self._open:
            return f"has text after its last element, in {place}: {_line(data, self._parser.ErrorByteIndex)!r}"
        inside = f"within <{self._open[-1].tag}>" if self._open else "at its beginning"
        if self._parser.ErrorByteIndex >= len(data.rstrip()) or error.code in _CUT:
            return f"was cut off: it ends {inside}, in {place}; have it written again"
        what = expat.ErrorString(error.code)
        return f"is not well-formed XML: {what} {inside}, in {place}, column {error.offset + 1}"

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._output:
            self._output += 1
            return
        tag = _local(name)
        if tag in _OUTPUT:
            self._output = 1
            return
        if len(self._open) >= DEEPEST:
            raise JUnitError(f"{self._name} has elements {DEEPEST} levels deep: that is no report of tests")
        node = Node(tag, {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        self._open.append(node)

    def _end(self, name: str) -> None:
        del name
        if self._output:
            self._output -= 1
            return
        self._open.pop()

    def _characters(self, text: str) -> None:
        if self._output or not self._open:
            return
        node = self._open[-1]
        if len(node.text) < LONGEST:
            node.text += text[: LONGEST - len(node.text)]

    def _document_type(self, name: str, system: str | None, public: str | None, inner: int) -> None:
        del name, inner
        # such a file is not fetched, and in attributes its entities would vanish in silence
        if (system or public) and (found := _ENTITY.search(self._data)):
            self._entity(found[1].decode(errors="replace"))

    def _entity(self, *told: object) -> None:
        raise JUnitError(
            f"{self._name} has the XML entity {told[0]!r} of its own, which is refused: no report needs one"
        )


_CUT = (
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
)


def _line(data: bytes, begin: int) -> str:
    line = data[begin : begin + 400].decode(errors="replace").strip().splitlines()
    return line[0][:60] if line else ""


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()


def below(node: Node) -> Iterator[Node]:
    """All elements below `node`, in their order."""
    for child in node.children:
        yield child
        yield from below(child)
