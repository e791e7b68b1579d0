"""Keeps built programs, so that a second run builds nothing and concurrent runs build once.

    <root>/programs/<component>/<key>/   binaries and manifest.json
    <root>/programs/<component>/.new-<key>-*   a build under way, or what an interrupted one left
    <root>/locks/

An entry appears by one rename, complete or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from gpuassay.toolchain import halting
from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError
from gpuassay.toolchain.progress import Say

MANIFEST = "manifest.json"

LOCK_ASKED_EVERY = 0.2
"""Seconds between two looks at a lock that another process holds."""


def root() -> Path:
    """Where built programs are kept: $GPUASSAY_CACHE, else $XDG_CACHE_HOME/gpuassay, else ~/.cache/gpuassay.

    Raises:
        ToolchainError: this user has no home folder, and no variable names another one.
    """
    if own := os.environ.get("GPUASSAY_CACHE"):
        return Path(os.path.expanduser(own)).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(xdg) if xdg else Path.home() / ".cache").absolute() / "gpuassay"
    except RuntimeError:
        raise ToolchainError("this user has no home folder to keep programs in: set GPUASSAY_CACHE") from None


def unusable() -> str | None:
    """Why nothing can be kept at `root()`, or None; nothing is made to find out."""
    at = root()
    while not os.path.lexists(at):
        at = at.parent
    if not at.is_dir():
        return f"{at} is no folder"
    return None if os.access(at, os.W_OK | os.X_OK) else f"{at} cannot be written to"


def free_bytes(path: Path) -> int:
    """Bytes that this user can still write at `path`, or at its nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


@contextmanager
def locked(name: str, say: Say) -> Generator[None]:
    """Hold the lock `name` against every other process; the kernel frees it however this one ends.

    It is asked for again and again: whoever waits inside the kernel hears of no signal that another thread gets.

    Raises:
        ToolchainError: the cache directory cannot be written, or the wait was ended by `halting.halt`.
    """
    at = root() / "locks" / f"{name}.lock"
    try:
        at.parent.mkdir(parents=True, exist_ok=True)
        handle = at.open("a")
    except OSError as error:
        raise ToolchainError(f"the cache directory {root()} cannot be used: {error.strerror}") from None
    with handle:
        if not _taken(handle):
            say(f"another process is making {name.rsplit('-', 1)[0]}: waiting for it")
            while not _taken(handle):
                halting.check(f"waiting for another process that makes {name.rsplit('-', 1)[0]}")
                time.sleep(LOCK_ASKED_EVERY)
        yield


def _taken(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True)
class Inputs:
    """All that decides what a build yields. `go` is a version such as `go1.26.6`; hashes are SHA-256 in hex.

    `go_mod` covers the source files of our own beneath the module's directory too.
    """

    component: str
    version: str
    packages: dict[str, str]
    go_mod: str
    go_sum: str
    flags: list[str]
    platform: str
    go: str

    @property
    def key(self) -> str:
        """Name of the cache entry."""
        return _digest(asdict(self))

    @property
    def key_without_go(self) -> str:
        """Equal for entries that differ by nothing but the Go release."""
        return _digest(asdict(self) | {"go": ""})


def inputs(component: Component, go: str) -> Inputs:
    """The inputs of a build of `component` with Go release `go`.

    Raises:
        ToolchainError: go.mod or go.sum is missing.
    """
    version = component.version
    try:
        sums = (component.directory / "go.sum").read_bytes()
    except FileNotFoundError:
        raise ToolchainError(f"{component.directory / 'go.sum'} is missing: the checkout is incomplete") from None
    return Inputs(
        component=component.name,
        version=version,
        packages=dict(component.packages),
        go_mod=hashlib.sha256(b"".join(at.read_bytes() for at in _own_files(component.directory))).hexdigest(),
        go_sum=hashlib.sha256(sums).hexdigest(),
        flags=component.flags(),
        platform=f"{sys.platform}/{platform.machine()}{'/cgo' if component.cgo else ''}",
        go=go,
    )


def _own_files(module: Path) -> list[Path]:
    """The go.mod, and the source files of our own beside it that it may name as replacements."""
    return [module / "go.mod", *sorted(at for at in module.rglob("*") if at.suffix in (".go", ".c", ".h"))]


@dataclass(frozen=True)
class Entry:
    """A finished build.

    Attributes:
        directory: holds one file per program and the manifest.
        inputs: what it was built from.
        programs: program name to its SHA-256 in hex.
        modules: Go module path to the directory of its files at the time of the build.
    """

    directory: Path
    inputs: Inputs
    programs: dict[str, str]
    modules: dict[str, str]


def home(component: str) -> Path:
    """Holds the entries of `component`."""
    return root() / "programs" / component


def candidates(component: Component, go: str | None) -> list[Path]:
    """Entries that serve: the one for Go release `go`; for None those that differ only in it, newest first."""
    if go is not None:
        at = home(component.name) / inputs(component, go).key
        return [at] if at.is_dir() else []
    wanted = inputs(component, "").key_without_go
    found: list[Path] = []
    for at in home(component.name).glob("[!.]*/"):
        try:
            if _inputs_of(_manifest(at)).key_without_go == wanted:
                found.append(at)
        except ToolchainError:
            continue
    return sorted(found, key=lambda at: at.stat().st_mtime, reverse=True)


def load(directory: Path, full: bool = False) -> Entry:
    """Read and check the entry at `directory`: size and mtime of each file, the hash where those differ or `full`.

    Raises:
        ToolchainError: the entry is damaged; the message says how.
    """
    manifest = _manifest(directory)
    seen = _inputs_of(manifest)
    if seen.key != directory.name:
        raise ToolchainError("its manifest describes another build")
    programs: dict[str, str] = {}
    for name, fact in manifest["programs"].items():
        at = directory / name
        try:
            stat = at.stat()
        except OSError:
            raise ToolchainError(f"{name} is missing") from None
        if stat.st_size != fact["size"]:
            raise ToolchainError(f"{name} has {stat.st_size} bytes, not {fact['size']}")
        if (full or stat.st_mtime_ns != fact["mtime_ns"]) and file_sha256(at) != fact["sha256"]:
            raise ToolchainError(f"{name} is not the program that was built: its hash differs")
        if not os.access(at, os.X_OK):
            raise ToolchainError(f"{name} cannot be executed")
        programs[name] = fact["sha256"]
    if set(programs) != set(seen.packages):
        raise ToolchainError("its manifest lacks a program")
    return Entry(directory, seen, programs, dict(manifest["modules"]))


@contextmanager
def fresh(wanted: Inputs) -> Generator[Path]:
    """A directory to build in; the caller holds the entry's lock, so older ones for this key are left-overs."""
    place = home(wanted.component)
    place.mkdir(parents=True, exist_ok=True)
    for stale in place.glob(f".new-{wanted.key}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f".new-{wanted.key}-", dir=place))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def seal(built: Path, wanted: Inputs, modules: dict[str, str]) -> Entry:
    """Write the manifest into `built` and rename it into place.

    Raises:
        ToolchainError: the build did not leave a program that it should have.
    """
    facts: dict[str, dict[str, Any]] = {}
    for name in wanted.packages:
        at = built / name
        if not at.is_file():
            raise ToolchainError(f"the build of {wanted.component} left no {name}")
        stat = at.stat()
        facts[name] = {"sha256": file_sha256(at), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    manifest = {"inputs": asdict(wanted), "programs": facts, "modules": modules}
    (built / MANIFEST).write_text(json.dumps(manifest, indent=1))
    # mkdtemp makes it private; programs are no secret and may be run by other users of a shared cache.
    built.chmod(0o755)
    final = home(wanted.component) / wanted.key
    discard(final)
    built.rename(final)
    return load(final)


def discard(directory: Path) -> None:
    """Remove an entry. It is renamed away first, so that nobody finds half of it."""
    if directory.exists():
        grave = Path(tempfile.mkdtemp(prefix=f".new-{directory.name}-", dir=directory.parent))
        directory.rename(grave / "old")
        shutil.rmtree(grave, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        return json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ToolchainError(f"its manifest cannot be read: {error}") from None


def _inputs_of(manifest: dict[str, Any]) -> Inputs:
    try:
        return Inputs(**manifest["inputs"])
    except (KeyError, TypeError):
        raise ToolchainError("its manifest is of another format") from None


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]
