"""Packs built programs into wheels, so that a machine without Go has them by `pip install`.

One wheel per component, `gpuassay-program-<component>`, for one platform. Its version is upstream's with the key of the
cache entry behind it, which is a digest of go.mod, go.sum, packages, flags, platform and Go release. Equal inputs give
equal bytes, so a wheel can be attested and compared.

    gpuassay_programs/<component>/
      manifest.json    inputs and programs, as in the cache; which file each program is
      bin/             the programs
      modules/<path>/  the files of Go modules that a run reads (manifests, CRDs)
      LICENSE          upstream's
      provenance.txt   what Go says of the programs: every module with its version and checksum (`go version -m`)
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import re
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gpuassay.toolchain import cache
from gpuassay.toolchain.component import Component
from gpuassay.toolchain.errors import ToolchainError
from gpuassay.toolchain.golang import Go

PACKAGE = "gpuassay_programs"
"""Folder in site-packages that all program wheels share (a namespace package without code)."""

MANIFEST = "manifest.json"
_LICENSES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive: the earliest that ZIP can tell."""


def project(component: str) -> str:
    """Name of the wheel's project."""
    return f"gpuassay-program-{component}"


def version_of(inputs: cache.Inputs) -> str:
    """Version of the wheel (PEP 440): upstream's, then what of it Python has no word for, and the key of the inputs."""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-rc\.(\d+))?(?:[-+](.+))?", inputs.version)
    if found is None:
        raise ToolchainError(f"{inputs.component} {inputs.version} has a version that no wheel can have")
    release, candidate, rest = found.groups()
    words = [*re.findall(r"[a-z0-9]+", (rest or "").lower()), inputs.key]
    return f"{release}{f'rc{candidate}' if candidate else ''}+{'.'.join(words)}"


def tag(component: Component) -> str:
    """The platform tag: a program that is partly C needs at least the glibc of the machine that built it."""
    dynamic = component.cgo and "-static" not in " ".join(component.link)
    libc = platform.libc_ver()[1] if dynamic else "2.17"
    return f"manylinux_{libc.replace('.', '_')}_{platform.machine()}"


@dataclass(frozen=True)
class _File:
    """A file of the archive: its name in it, its bytes on disk or given, and whether it is a program."""

    name: str
    content: Path | bytes
    program: bool = False

    def bytes(self) -> bytes:
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content


def pack(component: Component, entry: cache.Entry, modules: dict[str, Path], go: Go, out: Path) -> Path:
    """Write the wheel of `component` into `out`, replacing one of the same name.

    Args:
        component: what is packed.
        entry: its sound cache entry.
        modules: Go module path to the directory of its files, for every module of `component.files`.
        go: tells where the programs come from.
        out: an existing folder.

    Raises:
        ToolchainError: a module lacks files that a run reads, or `out` cannot be written.
    """
    name, version = project(component.name).replace("-", "_"), version_of(entry.inputs)
    info = f"{name}-{version}.dist-info"
    files = [*_content(component, entry, modules, go), *_metadata(component, version, info)]
    wheel = out / f"{name}-{version}-py3-none-{tag(component)}.whl"
    draft = wheel.with_suffix(f".{os.getpid()}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            record = "".join(_add(archive, one) for one in files)
            _add(archive, _File(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
        draft.replace(wheel)
    except OSError as error:
        raise ToolchainError(f"{wheel} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return wheel


def _add(archive: zipfile.ZipFile, file: _File) -> str:
    """Add a file; its line of RECORD."""
    content = file.bytes()
    entry = zipfile.ZipInfo(file.name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | (0o755 if file.program else 0o644)) << 16
    archive.writestr(entry, content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{file.name},sha256={digest},{len(content)}\n"


def _content(component: Component, entry: cache.Entry, modules: dict[str, Path], go: Go) -> Iterator[_File]:
    at = f"{PACKAGE}/{component.name}"
    real = {program: (entry.directory / program).resolve() for program in sorted(entry.programs)}
    files = {path.name: path for path in real.values()}
    for name, path in sorted(files.items()):
        yield _File(f"{at}/bin/{name}", path, program=True)
    facts = {
        program: {"file": path.name, "sha256": entry.programs[program], "size": path.stat().st_size}
        for program, path in real.items()
    }
    manifest = {"inputs": asdict(entry.inputs), "programs": facts, "modules": sorted(component.files)}
    yield _File(f"{at}/{MANIFEST}", json.dumps(manifest, indent=1).encode())
    yield _File(f"{at}/provenance.txt", "".join(_provenance(go, path) for _, path in sorted(files.items())).encode())
    for module, patterns in sorted(component.files.items()):
        for pattern in patterns:
            found = sorted(path for path in modules[module].glob(pattern) if path.is_file())
            if not found:
                raise ToolchainError(f"{component.name}: the module {module} has no {pattern}")
            for path in found:
                yield _File(f"{at}/modules/{module}/{path.relative_to(modules[module])}", path)
    source = Path(entry.modules[component.module]) if component.module in entry.modules else component.directory
    licence = next((source / name for name in _LICENSES if (source / name).is_file()), None)
    if licence is not None:
        yield _File(f"{at}/LICENSE", licence)


def _provenance(go: Go, program: Path) -> str:
    """What `go version -m` says, without the place where the program lies."""
    told = subprocess.run([go.path, "version", "-m", program], capture_output=True, text=True, timeout=60, check=False)
    return told.stdout.replace(f"{program}:", f"{program.name}:", 1)


def _metadata(component: Component, version: str, info: str) -> Iterator[_File]:
    altered = f" ({component.altered})" if component.altered else ""
    fields = (
        ("Metadata-Version", "2.1"),
        ("Name", project(component.name)),
        ("Version", version),
        (
            "Summary",
            f"{', '.join(component.packages)} of {component.module} {component.version}{altered}",
        ),
        ("License", "as upstream's; see the file LICENSE beside the programs"),
    )
    yield _File(f"{info}/METADATA", "".join(f"{key}: {value}\n" for key, value in fields).encode())
    wheel = f"Wheel-Version: 1.0\nGenerator: gpuassay\nRoot-Is-Purelib: false\nTag: py3-none-{tag(component)}\n"
    yield _File(f"{info}/WHEEL", wheel.encode())
