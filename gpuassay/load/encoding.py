"""Content codings (RFC 9110, section 8.4.1) of answers that are compressed although `identity` was asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

LARGEST = 64 * 1024 * 1024
"""Bytes that one read may unpack to: a bomb must not fill the memory."""

READ = ("gzip", "deflate")
"""What can be unpacked."""

_SAME = ("", "identity")


class BadEncoding(ValueError):  # noqa: N818 - reads as what it is
    """A body is packed in a way that is not read, or not in the way that its header says; one line says which."""


def unpacker(codings: str) -> Callable[[bytes], bytes] | None:
    """What unpacks a body of this `content-encoding` piece by piece; None where there is nothing to unpack.

    Raises BadEncoding, as does the unpacker.
    """
    named = [one.strip().lower().removeprefix("x-") for one in codings.split(",")]
    steps = [_Step(name) for name in reversed(named) if name not in _SAME]
    if not steps:
        return None
    return lambda data: _through(steps, data)


def _through(steps: Sequence[_Step], data: bytes) -> bytes:
    for step in steps:
        data = step.unpack(data)
    return data


class _Inflating(Protocol):
    """What zlib.decompressobj gives."""

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


class _Step:
    """One coding."""

    def __init__(self, name: str) -> None:
        if name not in READ:
            raise BadEncoding(
                f"content-encoding {name}: the body is compressed although accept-encoding says identity, and only"
                f" {' and '.join(READ)} are read; have the gateway not compress"
            )
        self._name = name
        self._inside: _Inflating | None = None

    def unpack(self, data: bytes) -> bytes:
        """The next piece. Raises BadEncoding."""
        found = bytearray()
        while data:
            if self._inside is None:
                self._inside = self._begun(data)
            try:
                found += self._inside.decompress(data, LARGEST)
            except zlib.error as error:
                raise BadEncoding(f"content-encoding {self._name}: {error}: {data[:40]!r}") from None
            if self._inside.unconsumed_tail or len(found) > LARGEST:
                raise BadEncoding(f"content-encoding {self._name}: {len(data)} bytes unpack to more than {LARGEST}")
            data = self._inside.unused_data
            if self._inside.eof:
                self._inside = None  # another member may follow: RFC 1952, section 2.2
                if not data.strip(b"\0"):
                    break
        return bytes(found)

    def _begun(self, data: bytes) -> _Inflating:
        if self._name == "gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        # RFC 9110 means the zlib format; some servers send the bare one. 0x78 is the usual first byte of the former
        return zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
