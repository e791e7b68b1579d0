"""C libraries that a program is linked with: the machine's own, else Debian's package unpacked into the cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gpuassay.toolchain import cache
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.toolchain.progress import Say

DEBIAN = {"libseccomp": "libseccomp-dev"}
"""pkg-config's name of a library to the Debian package that holds its headers and its archive."""

SECONDS = 300.0
"""For one call of apt-get."""


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
                    _unpack(library, root, say)
    found = sorted({str(at.parent) for at in root.rglob("*.pc")})
    # Go's build cache does not know what pkg-config said; a linker's argument of ours makes objects of another
    # folder, which may be gone, other objects
    places = " ".join(sorted({f"-L{at.parent.parent}" for at in root.rglob("*.pc")}))
    return {
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "PKG_CONFIG_LIBDIR": ":".join(found),
        "CGO_LDFLAGS": f"-g -O2 {places}",
    }


def _installed(libraries: tuple[str, ...]) -> bool:
    if shutil.which("pkg-config") is None:
        raise UnobtainableError(f"building with {', '.join(libraries)} needs pkg-config: install it")
    return subprocess.run(["pkg-config", "--exists", *libraries], check=False).returncode == 0


def _unpacked(root: Path, library: str) -> bool:
    return any(root.rglob(f"{library}.pc"))


def _unpack(library: str, root: Path, say: Say) -> None:
    package = DEBIAN[library]
    hint = f"install {package} (elsewhere: the development files of {library})"
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise UnobtainableError(f"{library} is missing, and so is {missing[0]} to fetch it with: {hint}")
    say(f"taking {package} from the Debian archive into {root} (nothing is installed)")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".new-native-") as folder:
        _run(["apt-get", "download", package], folder, hint)
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
