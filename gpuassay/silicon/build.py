"""Builds the fake `libnvidia-ml.so.1` with the machine's C compiler, into the cache of programs.

It is fake: no GPU is behind it. It answers from a state file (`gpuassay.silicon.state`) by the hardware's rules for
MIG. Functions of NVML that it does not know are there and answer NOT_SUPPORTED, because a client that calls a missing
function ends at once.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from gpuassay.toolchain import cache
from gpuassay.toolchain.errors import ToolchainError, UnobtainableError
from gpuassay.toolchain.progress import Say, say_on_stderr

LIBRARY = "libnvidia-ml.so.1"
LISTING = "nvidia-smi"
SOURCES = Path(__file__).parent / "c"
PROGRAM = Path(__file__).parent / "smi" / "nvidia-smi.c"
FUNCTIONS = Path(__file__).parent / "functions.txt"
"""Every public function name of NVML, one a line."""

_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=default")
_STATIC = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static")
_DEFINED = re.compile(r"^(?:int|const char \*) ?\*?(nvml\w+)\(", re.MULTILINE)


def available() -> str | None:
    """None if `library` needs no compiler or there is one, else one line that says what is missing."""
    if (_place() / LIBRARY).is_file() or shutil.which("cc"):
        return None
    return "the fake GPU library is built with a C compiler and there is no cc: install gcc or clang"


def library(say: Say = say_on_stderr) -> Path:
    """The library's file; built within a second where the cache has none.

    Raises:
        UnobtainableError: there is no C compiler.
        ToolchainError: it does not compile, or the cache cannot be written.
    """
    place = _place()
    if not (place / LIBRARY).is_file():
        with cache.locked(f"silicon-{place.name}", say):
            if not (place / LIBRARY).is_file():
                _build(place)
    return place / LIBRARY


def listing(say: Say = say_on_stderr) -> Path | None:
    """A program that takes the place of `nvidia-smi -L` in containers, static; None where a C library lacks for that.

    Raises:
        UnobtainableError: there is no C compiler.
        ToolchainError: the library does not compile, or the cache cannot be written.
    """
    place = library(say).parent
    with cache.locked(f"silicon-{place.name}", say):
        if not (place / LISTING).is_file() and not _build_listing(place):
            return None
    return place / LISTING


def _build_listing(place: Path) -> bool:
    """Whether it could be built: not every machine has the static C library."""
    compiler = shutil.which("cc")
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as fresh:
        stubs, made = Path(fresh) / "stubs.c", Path(fresh) / LISTING
        stubs.write_text(_stubs())
        sources = [PROGRAM, *sorted(SOURCES.glob("*.c")), stubs]
        command = [compiler, *_STATIC, f"-I{SOURCES}", "-o", made, *sources, "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            made.rename(place / LISTING)
        return done.returncode == 0


def implemented() -> set[str]:
    """Names of the NVML functions that do something."""
    return {name for source in sorted(SOURCES.glob("*.c")) for name in _DEFINED.findall(source.read_text())}


def _stubs() -> str:
    missing = sorted(set(FUNCTIONS.read_text().split()) - implemented())
    body = "{ static int last = -1; traced(__func__, NOT_SUPPORTED, &last); return NOT_SUPPORTED; }"
    return "\n".join(['#include "nvml.h"', *(f"int {name}(void) {body}" for name in missing), ""])


def _place() -> Path:
    digest = hashlib.sha256(" ".join((*_FLAGS, platform.machine())).encode())
    for source in (*sorted(SOURCES.iterdir()), FUNCTIONS, PROGRAM):
        digest.update(source.read_bytes())
    return cache.home("silicon") / digest.hexdigest()[:20]


def _build(place: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise UnobtainableError(available() or "no cc")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    except OSError as error:
        raise ToolchainError(f"the cache directory {cache.root()} cannot be used: {error.strerror}") from None
    try:
        (fresh / "stubs.c").write_text(_stubs())
        sources = [*sorted(SOURCES.glob("*.c")), fresh / "stubs.c"]
        command = [
            compiler,
            *_FLAGS,
            f"-I{SOURCES}",
            f"-Wl,-soname,{LIBRARY}",
            "-o",
            fresh / LIBRARY,
            *sources,
            "-lpthread",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise ToolchainError(
                f"the fake GPU library does not compile: {lines[0] if lines else '(it printed nothing)'}"
            )
        fresh.chmod(0o755)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
