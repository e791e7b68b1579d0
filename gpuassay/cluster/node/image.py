"""Images for one containerd, without a registry: an OCI image layout in a tar file."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuassay.cluster.images import MANIFEST, Blobs, Part, Source, blocks, size


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
    made = Blobs()
    for image in images:
        made.add(Source(image.names, dict(image.files), image.entrypoint, path=image.path, env=image.env))
    # containerd's own annotation: with it the reference is taken as it is
    index = [
        {"mediaType": MANIFEST, "digest": digest, "size": size(made.blobs[digest]),
         "annotations": {"io.containerd.image.name": name}}
        for name, digest in made.references.items()
    ]  # fmt: skip
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", [json.dumps({"imageLayoutVersion": "1.0.0"}).encode()])
        _add(archive, "index.json", [json.dumps({"schemaVersion": 2, "manifests": index}).encode()])
        for digest, parts in made.blobs.items():
            _add(archive, f"blobs/{digest.replace(':', '/')}", parts)
    return target


def _add(archive: tarfile.TarFile, name: str, parts: Sequence[Part]) -> None:
    member = tarfile.TarInfo(name)
    member.size = size(parts)
    archive.addfile(member, io.BytesIO(b"".join(blocks(parts))))
