"""Versions that Go programs tell of themselves, read from files of the documented form."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.toolchain.buildinfo import version_of

INLINE, POINTERS = 2, 0


def blob(modules: str, flags: int = INLINE) -> bytes:
    """Build information as Go's linker writes it."""

    def string(text: str) -> bytes:
        body, length = text.encode(), len(text.encode())
        low: list[int] = []
        while length >= 0x80:
            low.append(length & 0x7F | 0x80)
            length >>= 7
        return bytes([*low, length]) + body

    return (b"\xff Go buildinf:\x08" + bytes([flags])).ljust(32, b"\0") + string("go1.26.8") + string(modules)


def modules(version: str) -> str:
    """Long enough that its length takes two bytes; with a dependency that has a version, too."""
    dependencies = "".join(f"dep\texample.com/other{n}\tv9.{n}.0\th1:x\n" for n in range(20))
    return f"path\texample.com/thing/cmd\nmod\texample.com/thing\t{version}\th1:x\n{dependencies}"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\x7fELF".ljust(64, b"\0") + blob(modules("v0.10.0")), "v0.10.0"),
        (b"\x7fELF....\xff Go buildinf:".ljust(64, b"\0") + blob(modules("v1.2.3-rc.1")), "v1.2.3-rc.1"),
        (blob(modules("(devel)")), None),
        (blob(modules("(devel)") + 'build\t-ldflags="-s -X example.com/version.BuildRef=v0.10.0 -w"\n'), "v0.10.0"),
        (blob(modules("(devel)") + 'build\t-ldflags="-X=example.com/build.gitVersion=v1.36.2"\n'), "v1.36.2"),
        (blob(modules("(devel)") + 'build\t-ldflags="-X example.com/version.Commit=abcdef0"\n'), None),
        (blob(modules("v0.10.0"), POINTERS), None),
        (blob(modules("v0.10.0"))[:50], None),
        (b"\xff Go buildinf:", None),
        (b"#!/bin/sh\n", None),
        (b"", None),
    ],
)
def test_a_program_tells_the_version_of_its_own_module(tmp_path: Path, body: bytes, told: str | None) -> None:
    """Red when the version of a dependency is taken for the program's, or a damaged file breaks the run."""
    file = tmp_path / "program"
    file.write_bytes(body)
    assert version_of(file) == told
