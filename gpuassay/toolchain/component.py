"""What one component is: upstream programs that are built together, from which modules, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpuassay.toolchain import gomod

MODULES = Path(__file__).parent / "modules"
"""Holds one Go module per directory, each with its committed go.sum."""


@dataclass(frozen=True)
class Component:
    """Upstream programs that are built together.

    Attributes:
        name: what users and `programs()` call it; another version of it than the suite's is `NAME@VERSION`.
        directory: holds its go.mod and go.sum.
        module: the Go module whose version is the component's version.
        packages: program name to Go package path; programs of one package are one file, which does what its name says.
        tags: Go build tags.
        stamps: variables set at link time; `{version}`, `{major}` and `{minor}` are filled in from go.mod.
        cpu_seconds: CPU time of a build with an empty Go build cache, measured on one x86-64 machine; for estimates.
        optional: not needed by the suite itself, so built only when asked for by name.
        cgo: whether parts of it are C, so that its build needs a C compiler.
        link: more arguments of the linker (`-ldflags`).
        libraries: C libraries that it is linked with, by their names in pkg-config (`gpuassay.toolchain.native`).
        own: whether it is a program of ours: its version is a digest of its sources.
        altered: how it differs from what upstream publishes, in words for reports; empty where it does not.
        follows: the component whose versions its dependencies take, so that both compile them once; "" for programs
            that are under test: those keep upstream's versions.
        files: Go module path to patterns of the files in it that a run reads (manifests, CRDs, protocols).
    """

    name: str
    directory: Path
    module: str
    packages: Mapping[str, str]
    tags: tuple[str, ...] = ()
    stamps: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu_seconds: float = 300.0
    optional: bool = False
    cgo: bool = False
    link: tuple[str, ...] = ()
    altered: str = ""
    follows: str = ""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    libraries: tuple[str, ...] = ()
    own: bool = False

    @property
    def version(self) -> str:
        """The version that go.mod requires, such as `v1.36.3`."""
        if self.own:
            sources = b"".join(at.read_bytes() for at in sorted(self.directory.glob("*.go")))
            return f"v0.0.0-{hashlib.sha256(sources).hexdigest()[:12]}"
        return gomod.read(self.directory).version(self.module)

    def flags(self) -> list[str]:
        """Arguments of `go build` that decide what comes out."""
        version = self.version
        major, minor = version.removeprefix("v").split(".")[:2]
        values = {name: value.format(version=version, major=major, minor=minor) for name, value in self.stamps.items()}
        link = " ".join(["-s -w", *self.link, *(f"-X {name}={value}" for name, value in values.items())])
        tags = ["-tags", ",".join(self.tags)] if self.tags else []
        # no debug information is linked (-w), so none need be compiled: a sixth of the CPU time of a build
        return ["-trimpath", "-gcflags=all=-dwarf=false", *tags, "-ldflags", link]

    def binary(self, program: str) -> str:
        """File name that `go build` gives `program`: the last path element that is not a major version suffix."""
        parts = self.packages[program].split("/")
        last = parts[-1]
        return parts[-2] if last[:1] == "v" and last[1:].isdigit() and len(parts) > 1 else last
