"""Finds program wheels (`gpuassay.toolchain.wheels`) that pip has installed into this environment."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from functools import cache as once
from importlib import metadata
from pathlib import Path
from typing import Any

from gpuassay.toolchain import cache
from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError
from gpuassay.toolchain.progress import Say
from gpuassay.toolchain.wheels import MANIFEST, PACKAGE, project


@dataclass(frozen=True)
class Installed:
    """Programs of an installed wheel.

    Attributes:
        entry: where they lie and what they were built from, as for one of the cache.
        told: the wheel's name and version, and the Go that built it, for reports.
    """

    entry: cache.Entry
    told: str


def find(component: Component, say: Say) -> Installed | None:
    """The programs of the installed wheel of `component`, or None.

    A wheel is used only if this checkout would build the same: equal go.mod, go.sum, packages, flags and platform; the
    Go release may be another, and is told. Why one is not used is said in one line, once.
    """
    try:
        distribution = metadata.distribution(project(component.name))
    except metadata.PackageNotFoundError:
        return None
    told = f"{project(component.name)} {distribution.version}"
    try:
        return Installed(*_checked(component, Path(str(distribution.locate_file(f"{PACKAGE}/{component.name}"))), told))
    except ToolchainError as error:
        _say_once(say, f"the installed {told} is not used: {error}")
        return None


@once
def _said(line: str) -> list[str]:
    """A mutable flag for each line: empty until it was said."""
    del line
    return []


def _say_once(say: Say, line: str) -> None:
    if not _said(line):
        _said(line).append(line)
        say(line)


def _checked(component: Component, folder: Path, told: str) -> tuple[cache.Entry, str]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        inputs = cache.Inputs(**manifest["inputs"])
        facts: dict[str, dict[str, Any]] = manifest["programs"]
        files = {name: (folder / "bin" / str(fact["file"]), int(fact["size"])) for name, fact in facts.items()}
        digests = {name: str(fact["sha256"]) for name, fact in facts.items()}
    except (OSError, ValueError, KeyError, TypeError):
        raise ToolchainError(f"its {MANIFEST} is missing or damaged; install it again") from None
    wanted = cache.inputs(component, inputs.go)
    if inputs.platform != wanted.platform:
        raise ToolchainError(f"it is for {inputs.platform}, this machine is {wanted.platform}")
    if inputs.key != wanted.key:
        raise ToolchainError(
            f"it was built from other inputs than this checkout's {wanted.version} "
            "(go.mod, go.sum, packages or flags differ)"
        )
    for name, (file, size) in files.items():
        if not file.is_file() or file.stat().st_size != size or not os.access(file, os.X_OK):
            raise ToolchainError(f"its program {name} is missing or damaged; install it again")
    modules = {str(module): str(folder / "modules" / str(module)) for module in manifest.get("modules", ())}
    paths = {name: file for name, (file, _) in files.items()}
    directory = folder / "bin" if all(name == file.name for name, file in paths.items()) else _links(inputs, paths)
    return cache.Entry(directory, inputs, digests, modules), f"{told}, built with {inputs.go}"


def _links(inputs: cache.Inputs, paths: dict[str, Path]) -> Path:
    """A folder of links for programs that are one file under several names; a wheel cannot hold links."""
    target = cache.root() / "links" / inputs.key
    if all((target / name).resolve() == path.resolve() for name, path in paths.items()):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir(exist_ok=True)
        for name, path in paths.items():
            with tempfile.TemporaryDirectory(dir=target.parent) as draft:
                (Path(draft) / name).symlink_to(path.resolve())
                (Path(draft) / name).replace(target / name)
    except OSError as error:
        raise ToolchainError(f"the cache directory {cache.root()} cannot be used: {error.strerror}") from None
    return target
