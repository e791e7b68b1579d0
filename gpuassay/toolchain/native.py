"""C libraries and tools of the system: the machine's own, else Debian's packages unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuassay.toolchain import cache
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.toolchain.progress import Say

DEBIAN = {"libseccomp": "libseccomp-dev"}
"""pkg-config's name of a library to the Debian package that holds its headers and its archive."""

TOOLS = {
    "nft": (
        "nftables", "libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libgmp10", "libedit2", "libxtables12",
        "libbsd0", "libmd0", "libtinfo6",
    ),
    "busybox": ("busybox-static",),
}  # fmt: skip
"""A tool to the Debian packages that hold it and the libraries that a bare machine lacks."""

SECONDS = 300.0
"""For one call of apt-get."""

PROGRAMS = ("usr/sbin", "sbin", "usr/bin", "bin")
"""Where packages keep programs."""


def environment(libraries: tuple[str, ...], say: Say) -> Mapping[str, str]:
    """What the compiler must be told to find `libraries`; nothing where the machine has them all.

    Nothing is installed: a package is downloaded with apt-get and unpacked into the cache directory.

    Raises:
        UnobtainableError: a library is missing and cannot be had; the message says what to install.
    """
    if not libraries or _installed(libraries):
        return {}
    root = cache.root() / "native"
    for library in libraries:
        if not _unpacked(root, library):
            with cache.locked(f"native-{library}", say):
                if not _unpacked(root, library):
                    package = DEBIAN[library]
                    hint = f"install {package} (elsewhere: the development files of {library})"
                    _unpack(library, (package,), root, hint, say)
    found = sorted({str(at.parent) for at in root.rglob("*.pc")})
    # Go's build cache does not know what pkg-config said; a linker's argument of ours makes objects of another
    # folder, which may be gone, other objects
    places = " ".join(sorted({f"-L{at.parent.parent}" for at in root.rglob("*.pc")}))
    return {
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "PKG_CONFIG_LIBDIR": ":".join(found),
        "CGO_LDFLAGS": f"-g -O2 {places}",
    }


@dataclass(frozen=True)
class Tool:
    """A program of the system.

    Attributes:
        path: its file.
        libraries: folders in which the loader finds its libraries (LD_LIBRARY_PATH), beside its own.
    """

    path: Path
    libraries: tuple[Path, ...] = ()


def tool(name: str, say: Say) -> Tool:
    """The program `name`: the machine's, else one unpacked into the cache; nothing is installed.

    Raises:
        UnobtainableError: it is missing and cannot be had; the message says what to install.
    """
    if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        return Tool(Path(found))
    root, packages = cache.root() / "native-tools" / name, TOOLS[name]
    hint = f"install {packages[0]}"
    if not root.exists():
        with cache.locked(f"native-{name}", say):
            if not root.exists():
                _unpack(name, packages, root, hint, say)
    program = next((root / folder / name for folder in PROGRAMS if (root / folder / name).exists()), None)
    if program is None:
        raise UnobtainableError(f"{packages[0]} of the Debian archive holds no {name}: {hint}")
    return Tool(program, tuple(sorted({at.parent for at in root.rglob("*.so.*")})))


def _installed(libraries: tuple[str, ...]) -> bool:
    if shutil.which("pkg-config") is None:
        raise UnobtainableError(f"building with {', '.join(libraries)} needs pkg-config: install it")
    return subprocess.run(["pkg-config", "--exists", *libraries], check=False).returncode == 0


def _unpacked(root: Path, library: str) -> bool:
    return any(root.rglob(f"{library}.pc"))


def _unpack(what: str, packages: Sequence[str], root: Path, hint: str, say: Say) -> None:
    """Put the files of Debian packages below `root`, all or none."""
    if missing := [one for one in ("apt-get", "dpkg-deb") if shutil.which(one) is None]:
        raise UnobtainableError(f"{what} is missing, and so is {missing[0]} to fetch it with: {hint}")
    say(f"taking {packages[0]} from the Debian archive into {root} (nothing is installed)")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".new-native-") as folder:
        _run(["apt-get", "download", *packages], folder, hint)
        for archive in Path(folder).glob("*.deb"):
            _run(["dpkg-deb", "-x", str(archive), "files"], folder, hint)
        shutil.copytree(Path(folder) / "files", root, symlinks=True, dirs_exist_ok=True)


def _run(command: list[str], folder: str, hint: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnobtainableError(f"{' '.join(command)} took more than {SECONDS:g} s: {hint}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UnobtainableError(f"{' '.join(command)} failed ({said[-1]}): {hint}")
