"""A container image of the Python that runs the tests, with the load generator: what `gpuassay load --image` asks for.

No registry is asked: interpreter, standard library, the load generator's packages and the shared libraries that they
map lie in the image as `pip install gpuassay` would put them into one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import gpuassay
from gpuassay.cluster.node.image import Image

_LOADED = """
import json, sys
import gpuassay.load.__main__, gpuassay.load.echo, gpuassay.load.pod
print(json.dumps([str(one.__file__) for one in list(sys.modules.values()) if getattr(one, "__file__", None)]))
"""
"""Tells the files of all modules that the load generator imports."""

PREFIX = "/usr/local"
_LEFT_OUT = re.compile(
    r"/(test|tests|site-packages|dist-packages|config-[^/]*|ensurepip|idlelib|lib2to3|pydoc_data|tkinter)/|\.opt-\d\."
)


def python_image(name: str) -> Image:
    """The image under `name`, for `gpuassay.cluster.node.real.Node.import_image`."""
    root = Path(gpuassay.__file__).parents[1]
    modules = {Path(one) for one in json.loads(_said(sys.executable, "-c", _LOADED, folder=root))}
    standard, packages = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("platlib"))
    inside = f"{PREFIX}/lib/{standard.name}"
    files = {f"{inside}/{path.relative_to(standard)}": path for path in _below(standard)}
    for one in modules:
        if one.is_relative_to(packages):
            top = packages / one.relative_to(packages).parts[0]
            files |= {f"{inside}/site-packages/{path.relative_to(packages)}": path for path in _below(top)}
    files |= {f"{inside}/site-packages/{path.relative_to(root)}": path for path in _below(root / "gpuassay")}
    interpreter, program = Path(sys.executable).resolve(), f"{PREFIX}/bin/python"
    files |= {program: interpreter} | dict(_libraries(interpreter, modules))
    return Image((name,), tuple(files.items()), (program,), path=f"{PREFIX}/bin")


def _libraries(interpreter: Path, modules: set[Path]) -> Iterator[tuple[str, Path]]:
    """The dynamic loader and shared libraries, by the paths at which they are looked for."""
    told = _said("ldd", interpreter, *(one for one in modules if ".so" in one.suffixes))
    for found in sorted(set(re.findall(r"(/\S+) \(0x", told))):
        yield found, Path(found)


def _said(*command: str | Path, folder: Path | None = None) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _below(top: Path) -> Iterator[Path]:
    """Files of a package or of a module's folder, without tests and the like; byte code lies beside the sources."""
    if top.is_file():
        yield top
    for path in top.rglob("*"):
        if path.is_file() and not _LEFT_OUT.search(f"/{path.relative_to(top)}"):
            yield path
