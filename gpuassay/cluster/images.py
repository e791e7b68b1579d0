"""Container images from programs of this machine, without Docker: blobs that are put together as they are read."""

from __future__ import annotations

import hashlib
import json
import platform
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
"""Media types of the OCI Image Format Specification 1.1."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NONROOT = 65532
"""User of images that are built from distroless bases."""
USERS = (("root", 0, "/root"), ("nobody", 65534, "/nonexistent"), ("nonroot", NONROOT, "/home/nonroot"))
FOLDERS = ("bin", "dev", "etc", "home", "proc", "run", "sys", "tmp", "usr", "usr/bin", "usr/lib", "var", "var/run")
BLOCK = 512
"""Bytes of a block of a tar archive."""


@dataclass(frozen=True)
class Source:
    """An image as it is to be.

    Attributes:
        names: references under which it is served, with registry and tag.
        files: path in the image to a file of this machine, to text, or to the target of a symbolic link ("-> target").
        entrypoint: what runs.
        user: who runs it, a number or a name of `USERS`; "" is root.
        arguments: what the entrypoint is given where a pod says nothing.
        path: folders in which a container looks for programs.
        env: further environment, `NAME=value`, which a pod's own replaces.
    """

    names: tuple[str, ...]
    files: Mapping[str, Path | str]
    entrypoint: tuple[str, ...]
    user: str = ""
    arguments: tuple[str, ...] = ()
    path: str = PATH
    env: tuple[str, ...] = ()


Part = Path | bytes
"""A piece of a blob: a file of this machine, or bytes."""


@dataclass
class Blobs:
    """Images, as their blobs and the names under which they are known.

    Attributes:
        blobs: digest to the parts that follow one another.
        references: name with registry and tag to the digest of its manifest.
        logins: registry that serves all of them under its own name to who logs in, to the digest of the credentials.
    """

    blobs: dict[str, list[Part]] = field(default_factory=dict[str, list[Part]])
    references: dict[str, str] = field(default_factory=dict[str, str])
    logins: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, image: Source) -> None:
        """Add an image.

        Raises:
            OSError: one of its files cannot be read.
        """
        layer = self._put(list(_archive(image.files)))
        machine = platform.machine()
        settings: dict[str, Any] = {
            **({"Entrypoint": list(image.entrypoint)} if image.entrypoint else {}),
            "Env": [f"PATH={image.path}", *image.env],
            "WorkingDir": "/",
            **({"Cmd": list(image.arguments)} if image.arguments else {}),
            **({"User": image.user} if image.user else {}),
        }
        config = self._json(
            {
                "architecture": ARCHITECTURES.get(machine, machine),
                "os": "linux",
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": [layer]},
            }
        )
        manifest = self._json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": config, "size": size(self.blobs[config])},
                "layers": [{"mediaType": LAYER, "digest": layer, "size": size(self.blobs[layer])}],
            }
        )
        self.references |= dict.fromkeys(image.names, manifest)

    def _json(self, content: Mapping[str, Any]) -> str:
        return self._put([json.dumps(content).encode()])

    def _put(self, parts: list[Part]) -> str:
        digest = hashlib.sha256()
        for block in blocks(parts):
            digest.update(block)
        name = f"sha256:{digest.hexdigest()}"
        self.blobs[name] = parts
        return name


def size(parts: Iterable[Part]) -> int:
    """Bytes of a blob."""
    return sum(len(part) if isinstance(part, bytes) else part.stat().st_size for part in parts)


def blocks(parts: Iterable[Part], length: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a blob, a block at a time."""
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        with part.open("rb") as file:
            while block := file.read(length):
                yield block


def _archive(files: Mapping[str, Path | str]) -> Iterator[Part]:
    """A tar archive: what every image has, then `files`, all of them programs or world-readable."""
    for folder in FOLDERS:
        yield _head(folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
    yield _head("home/nonroot", kind=tarfile.DIRTYPE, mode=0o700, owner=NONROOT)
    passwd = "".join(f"{name}:x:{number}:{number}:{name}:{home}:/sbin/nologin\n" for name, number, home in USERS)
    group = "".join(f"{name}:x:{number}:\n" for name, number, _ in USERS)
    for path, source in {"/etc/passwd": passwd, "/etc/group": group, **files}.items():
        name = path.lstrip("/")
        if isinstance(source, Path):
            found = source.stat()
            length = found.st_size
            # of the file's own age: Python's byte code counts only for a source of that age
            yield _head(name, length=length, mode=0o755, modified=int(found.st_mtime))
            yield source
            yield b"\0" * (-length % BLOCK)
        elif source.startswith("-> "):
            yield _head(name, kind=tarfile.SYMTYPE, target=source.removeprefix("-> "))
        else:
            content = source.encode()
            yield _head(name, length=len(content), mode=0o644) + content + b"\0" * (-len(content) % BLOCK)
    yield b"\0" * (2 * BLOCK)


def _head(
    name: str,
    *,
    length: int = 0,
    mode: int = 0o644,
    modified: int = 0,
    kind: bytes = tarfile.REGTYPE,
    owner: int = 0,
    target: str = "",
) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.type, member.linkname = length, mode, kind, target
    member.uid = member.gid = owner
    member.mtime = modified
    return member.tobuf(tarfile.GNU_FORMAT)


def save(blobs: Blobs, target: Path) -> None:
    """Write what a registry in another process is to serve, at once or not at all."""
    told = {
        "references": blobs.references,
        "logins": blobs.logins,
        "blobs": {
            digest: [{"file": str(part)} if isinstance(part, Path) else {"hex": part.hex()} for part in parts]
            for digest, parts in blobs.blobs.items()
        },
    }
    part = target.with_name(f"{target.name}.part")
    part.write_text(json.dumps(told))
    part.replace(target)


def load(source: Path) -> Blobs:
    """What `save` wrote."""
    told = json.loads(source.read_text())
    blobs: dict[str, list[Part]] = {
        digest: [Path(part["file"]) if "file" in part else bytes.fromhex(part["hex"]) for part in parts]
        for digest, parts in told["blobs"].items()
    }
    return Blobs(blobs, told["references"], told["logins"])
