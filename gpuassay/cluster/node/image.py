"""Container images from programs of this machine, without registry and Docker: an OCI image layout in a tar file."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FOLDERS = ("dev", "etc", "proc", "sys", "tmp")
"""Mount points that runtimes expect in an image."""


@dataclass(frozen=True)
class Image:
    """An image to write.

    Attributes:
        names: full references under which it is known, such as `localhost/pause:1`.
        files: path in the image to file on this machine; all are executable.
        entrypoint: what runs.
        path: folders in which a container looks for programs.
        env: further environment, `NAME=value`, which a pod's own replaces.
    """

    names: tuple[str, ...]
    files: tuple[tuple[str, Path], ...]
    entrypoint: tuple[str, ...]
    path: str = "/"
    env: tuple[str, ...] = ()


def write_archive(target: Path, images: Sequence[Image]) -> Path:
    """Write `images` as one OCI archive (OCI Image Format Specification 1.1) that containerd can import.

    Raises:
        OSError: no space, or a file is missing.
    """
    blobs: dict[str, bytes] = {}
    index: list[dict[str, object]] = []

    def blob(kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    for image in images:
        layer = blob(_LAYER, _layer(image))
        machine = platform.machine()
        config = {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Env": [f"PATH={image.path}", *image.env],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        described = blob(_CONFIG, json.dumps(config).encode())
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described, "layers": [layer]}
        entry = blob(_MANIFEST, json.dumps(manifest).encode())
        # containerd's own annotation: with it the reference is taken as it is
        index += [entry | {"annotations": {"io.containerd.image.name": name}} for name in image.names]
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": index}).encode())
        for digest, content in blobs.items():
            _add(archive, f"blobs/sha256/{digest}", content)
    return target


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for name in _FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            layer.addfile(folder)
        for name, source in image.files:
            # of the file's own age: Python's byte code counts only for a source of that age
            _add(layer, name.lstrip("/"), source.read_bytes(), 0o755, int(source.stat().st_mtime))
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644, modified: int = 0) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), mode, modified
    archive.addfile(member, io.BytesIO(content))
