"""An image of gpuassay itself, for programs of ours that run in pods: this interpreter, and what they import."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import gpuassay
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.images import NONROOT, Source
from gpuassay.cluster.shared_libraries import shared_libraries

NAME = f"ghcr.io/gpuassay/gpuassay:{gpuassay.__version__}"
"""`--arm-image` names another one: any image that has Python, as `python` on the PATH, and gpuassay."""
SITE = "/opt/gpuassay"
PACKAGES = (
    *("grpcio", "grpcio-tools", "msgspec", "protobuf", "pyzmq", "setuptools", "typing-extensions"),
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "idna", "multidict", "propcache", "tenacity"),
    *("uvloop", "yarl"),
)
"""Distributions that those programs import."""
_LEFT_OUT = frozenset({"site-packages", "test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo"})


def own_image() -> Source:
    """The image; its entrypoint is `python -m`.

    Raises:
        ClusterError: this interpreter cannot be carried into an image; the message says why.
    """
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not python.is_file():
        raise ClusterError(f"{python} is missing: an image of this interpreter cannot be made")
    standard = Path(sys.base_prefix) / "lib" / python.name
    files: dict[str, Path | str] = {str(python): python, "/usr/local/bin/python": f"-> {python}"}
    files |= {str(one): one for one in _below(standard)}
    for name in PACKAGES:
        files |= _distribution(name)
    own = Path(gpuassay.__file__).parent
    # as text: of a checkout these may change while somebody pulls the image
    files |= {f"{SITE}/gpuassay/{one.relative_to(own)}": one.read_text() for one in _below(own) if one.suffix == ".py"}
    linked = [python, *(one for one in files.values() if isinstance(one, Path) and ".so" in one.suffixes)]
    files |= {
        str(one): one for program in linked if "_tkinter" not in program.name for one in shared_libraries(program)
    }
    return Source(
        (NAME,), files, (str(python), "-m"), user=f"{NONROOT}:{NONROOT}",
        env=(f"PYTHONPATH={SITE}", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"),
    )  # fmt: skip


def _below(folder: Path) -> Iterator[Path]:
    """Files of a folder and those below it, without what no program of ours imports."""
    for one in sorted(folder.iterdir()):
        if one.is_dir():
            if one.name not in _LEFT_OUT and not one.name.startswith("config-"):
                yield from _below(one)
        elif one.is_file():
            yield one


def _distribution(name: str) -> dict[str, Path]:
    try:
        found = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise ClusterError(f"the Python package {name} is missing: install the project's requirements") from None
    files: dict[str, Path] = {}
    for one in found:
        at = Path(str(one.locate()))
        if ".." not in one.parts and at.is_file():
            files[f"{SITE}/{one}"] = at
    return files
