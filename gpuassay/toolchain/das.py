"""DAS, the Dynamic Accelerator Slicer: programs that the user brings (`--asset das=DIR`); nothing here builds them.

DIR holds the four programs, their three CRDs as YAML files in `crds/`, and a file VERSION that says from which commit
of upstream's sources (https://github.com/openshift/instaslice-operator) they were built.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpuassay.toolchain import cache
from gpuassay.toolchain.assets import NEVER_BUILT, Assets, variable_of
from gpuassay.toolchain.errors import ToolchainError

ASSET = "das"
VERSION = "9f4fc07f"
"""The commit that the behaviours and the known defects were verified with."""
MODULE = b"github.com/openshift/instaslice-operator"
"""Go writes a program's module into it."""
PROGRAMS = ("das-operator", "das-scheduler", "das-webhook", "das-daemonset")
CRDS = tuple(f"{name}.inference.redhat.com" for name in ("allocationclaims", "nodeaccelerators", "dasoperators"))


@dataclass(frozen=True)
class Das:
    """The user's directory, checked.

    Attributes:
        directory: it.
        source: who named it, in words for reports.
        files: program name to file.
        crds: the files of the CRDs.
    """

    directory: Path
    source: str
    files: Mapping[str, Path]
    crds: tuple[Path, ...]

    @cached_property
    def sha256(self) -> dict[str, str]:
        """Program name to SHA-256 in hex."""
        return {name: cache.file_sha256(at) for name, at in self.files.items()}


def find(assets: Assets | None = None) -> Das | None:
    """The DAS that the user brings, or None.

    Raises:
        ToolchainError: its directory is incomplete, holds something else, or another version; one line says what.
    """
    directory = (assets or Assets()).directory(ASSET)
    if directory is None:
        return None
    files = {name: directory / name for name in PROGRAMS}
    missing = [name for name, at in files.items() if not at.is_file()]
    if missing:
        raise ToolchainError(f"--asset das={directory}: {', '.join(missing)} missing; it is {NEVER_BUILT[ASSET]}")
    strangers = [name for name, at in files.items() if not _of_das(at)]
    if strangers:
        raise ToolchainError(f"--asset das={directory}: {', '.join(strangers)} is not a program of DAS")
    if locked := [name for name, at in files.items() if not os.access(at, os.X_OK)]:
        raise ToolchainError(f"--asset das={directory}: {', '.join(locked)} cannot be executed: chmod +x")
    crds = tuple(sorted((directory / "crds").glob("*.y*ml")))
    texts = [one.read_text(errors="replace") for one in crds]
    absent = [name for name in CRDS if not any(f"name: {name}" in text for text in texts)]
    if absent:
        raise ToolchainError(
            f"--asset das={directory}: crds/ has no CRD {', '.join(absent)}; they are in DAS's deploy/"
        )
    file = directory / "VERSION"
    told = file.read_text(errors="replace").strip() if file.is_file() else ""
    if not told.startswith(VERSION):
        said = f"is of commit {told[:40]!r}" if told else "does not say its commit in a file VERSION"
        raise ToolchainError(f"--asset das={directory}: it {said}; this suite knows DAS at commit {VERSION}")
    where = f"--asset {ASSET}" if ASSET in (assets or Assets()).explicit else variable_of(ASSET)
    return Das(directory, f"supplied by the user ({where}), DAS {VERSION}", files, crds)


def _of_das(program: Path) -> bool:
    with program.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return content.find(MODULE) >= 0
        except ValueError:  # an empty file
            return False
