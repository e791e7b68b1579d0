"""Builds a component from its Go modules into the cache, with progress."""

from __future__ import annotations

import ctypes
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gpuassay.toolchain import cache, golang, halting, native
from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError, UnobtainableError
from gpuassay.toolchain.golang import Go
from gpuassay.toolchain.progress import PackageCount, Say, build_seconds, duration

NEEDED_BYTES = 6 * 2**30
"""Free space that a build may take: objects of all packages, programs, and the temporary files of the linker."""

_COLD_PACKAGES = 300
"""A build that compiles more packages than this counts as cold: objects of fewer fit anywhere."""

_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_NO_REGISTRY = re.compile(r'Get "http|reading http|dial tcp|proxyconnect|module lookup disabled')

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    # Without this a killed test run would leave a compiler at work for minutes.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def make(component: Component, go: Go, say: Say) -> cache.Entry:
    """Build `component`; the caller holds the lock of its cache entry.

    Raises:
        UnobtainableError: a module cannot be downloaded, or it needs a C compiler and there is none.
        ToolchainError: no space, or the compiler refuses.
    """
    wanted = cache.inputs(component, go.version)
    flags, packages = component.flags(), list(dict.fromkeys(component.packages.values()))
    if component.cgo and shutil.which("cc") is None:
        raise UnobtainableError(f"{component.name} is partly C and there is no cc: install a C compiler (gcc or clang)")
    with cache.fresh(wanted) as directory:
        try:
            listed = _go(go, component, ["list", "-deps", "-f", "{{.Stale}} {{.DepOnly}}", *flags, *packages], say)
            stale = sum(line == "true true" for line in listed)
            if stale > _COLD_PACKAGES:
                _check_space(go, component.name)
            expected = build_seconds(component.cpu_seconds * min(1.0, stale / max(1, len(listed))) + 5 * len(packages))
            about = f"{stale} of {len(listed)} packages to compile, about {duration(expected)}"
            say(f"building {component.name} {component.version} with {go.version}: {about}")
            count = PackageCount(component.name, stale, expected)
            arguments = ["build", "-v", *flags, "-o", f"{directory}{os.sep}", *packages]
            try:
                _go(go, component, arguments, say, on_package=count.advance, on_tick=count.show)
            finally:
                count.finish()
            _name_programs(component, directory)
            modules = {one: _module_dir(go, component, one, say) for one in {component.module, *component.files}}
            return cache.seal(directory, wanted, modules)
        except OSError as error:
            raise ToolchainError(f"{component.name} cannot be written to {cache.root()}: {error.strerror}") from None


def _name_programs(component: Component, directory: Path) -> None:
    """Give what Go built its programs' names: links where several programs are one file."""
    programs_of: dict[str, list[str]] = {}
    for program in component.packages:
        programs_of.setdefault(component.binary(program), []).append(program)
    for binary, programs in programs_of.items():
        if not (directory / binary).exists() or programs == [binary]:
            continue  # what is missing is told when the entry is sealed
        if len(programs) == 1:
            (directory / binary).rename(directory / programs[0])
        else:
            for program in programs:
                (directory / program).symlink_to(binary)


def module_dir(component: Component, module: str, go: Go, say: Say) -> Path:
    """Directory of the files of `module`, at the version that the component's go.mod requires; downloaded if needed.

    Raises:
        UnobtainableError: it cannot be downloaded.
        ToolchainError: the component does not use it.
    """
    return Path(_module_dir(go, component, module, say))


def _module_dir(go: Go, component: Component, module: str, say: Say) -> str:
    # `go list -m` names a directory only once the module is there; `go mod download` fetches that one alone.
    for attempt in (False, True):
        if attempt:
            _go(go, component, ["mod", "download", module], say)
        lines = _go(go, component, ["list", "-m", "-f", "{{.Dir}}", module], say)
        if lines and lines[0] and Path(lines[0]).is_dir():
            return lines[0]
    raise ToolchainError(f"the module {module} has no directory after its download")


def _check_space(go: Go, name: str) -> None:
    compiler_cache = Path(golang.settings(go, "GOCACHE")["GOCACHE"])
    for what, place in (("Go's build cache", compiler_cache), ("the cache of programs", cache.root())):
        free = cache.free_bytes(place)
        if free < NEEDED_BYTES:
            variable = "GOCACHE" if place == compiler_cache else "GPUASSAY_CACHE"
            raise ToolchainError(
                f"building {name} needs {NEEDED_BYTES / 2**30:.0f} GiB, but {what} at {place} has "
                f"{free / 2**30:.1f} GiB free: make room, or set {variable} to a larger disk"
            )


def _go(
    go: Go,
    component: Component,
    arguments: Sequence[str],
    say: Say,
    on_package: Callable[[], None] | None = None,
    on_tick: Callable[[], None] | None = None,
) -> list[str]:
    """Run go in the component's module; lines of standard output.

    Standard error is read as it comes: names of packages (`go build -v`) are counted, downloads told once, the rest
    kept for the error message.
    """
    child = subprocess.Popen(
        [go.path, *arguments],
        cwd=component.directory,
        env=golang.environment(component.cgo) | dict(native.environment(component.libraries, say)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    output, complaints = _Lines(), _Complaints(component.name, say, on_package)
    try:
        assert child.stdout and child.stderr
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ, output.feed)
            selector.register(child.stderr, selectors.EVENT_READ, complaints.feed)
            while selector.get_map():
                halting.check(f"building {component.name}")
                for key, _ in selector.select(timeout=1.0):
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    key.data(chunk)
                if on_tick:
                    on_tick()
        code = child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()
    if code:
        raise _failure(component, code, complaints.kept)
    return output.lines


class _Lines:
    """Cuts chunks of bytes into lines; an empty chunk is the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            whole, self._rest = [self._rest], b""
        for line in whole:
            self.take(line.decode(errors="replace"))

    def take(self, line: str) -> None:
        self.lines.append(line)


class _Complaints(_Lines):
    """Standard error of go: counts packages, tells of downloads, keeps the last lines of the rest."""

    _PACKAGE = re.compile(r"[\w.\-]+(/[\w.\-~+]+)*")

    def __init__(self, name: str, say: Say, on_package: Callable[[], None] | None) -> None:
        super().__init__()
        self.kept: list[str] = []
        self._name, self._say, self._on_package = name, say, on_package
        self._downloads = 0

    def take(self, line: str) -> None:
        if line.startswith("go: downloading"):
            if self._downloads % 100 == 0:
                self._say(f"{self._name}: downloading Go modules ({self._downloads or 'first'} so far)")
            self._downloads += 1
        elif self._on_package and self._PACKAGE.fullmatch(line):
            self._on_package()
        elif line.strip():
            self.kept = [*self.kept[-39:], line.strip()]


def _failure(component: Component, code: int, complaints: list[str]) -> ToolchainError:
    text = "\n".join(complaints)
    if _NO_SPACE.search(text):
        return ToolchainError(
            f"no space left while building {component.name}: a cold build needs {NEEDED_BYTES / 2**30:.0f} GiB "
            "(GOCACHE, GPUASSAY_CACHE and TMPDIR name other places)"
        )
    # The compiler's first complaint is the cause; for modules it is the line that names the failed request.
    telling = next((line for line in complaints if _NO_REGISTRY.search(line)), None)
    if telling:
        return UnobtainableError(f"Go modules of {component.name} cannot be downloaded: {telling}")
    first = next((line for line in complaints if not line.startswith("#")), f"go ended with code {code}")
    return ToolchainError(f"{component.name} does not build: {first}")
