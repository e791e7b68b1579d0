"""A root of a node's own: what its pods write anywhere goes with the node and never reaches the host.

Every file system of the host that a path of the node may lead to is the lower layer of an overlay whose changes lie in
memory. Only the node's own folder is the host's. Runs inside the node's mount namespace, with the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gpuassay.cluster.node import linux

KERNEL = ("/proc", "/sys", "/dev")
"""What the kernel shows is the node's as it is: the keeper's namespaces decide what is seen there."""
OTHERS = ("/run", "/var/run", "/var/lib", "/var/log")
"""What every node has of its own (`gpuassay.cluster.node.inside`)."""
READ_ONLY = 1


def root(folder: Path) -> None:
    """Enter a root of which nothing is the host's but `folder`.

    Raises:
        OSError: the kernel refuses; such as an overlay of a file system that cannot be a lower layer.
    """
    linux.mount("none", "/", flags=linux.RECURSIVE | linux.PRIVATE)
    own = folder / "root"
    own.mkdir(exist_ok=True)
    linux.mount("own", str(own), "tmpfs", options="mode=755")
    new = own / "new"
    new.mkdir()
    for number, place in enumerate(_places(folder)):
        target = new / str(place).lstrip("/")
        if place.is_dir():
            _overlay(place, target, own / str(number))
        elif target.exists():  # a file that a container runtime has mounted, such as /etc/resolv.conf
            linux.mount(str(place), str(target), flags=linux.BIND)
            linux.mount("none", str(target), flags=linux.BIND | linux.REMOUNT | READ_ONLY)
    for name in KERNEL:
        linux.mount(name, str(new / name.lstrip("/")), flags=linux.BIND | linux.RECURSIVE)
    ours = new / str(folder).lstrip("/")
    ours.mkdir(parents=True, exist_ok=True)
    linux.mount(str(folder), str(ours), flags=linux.BIND)
    linux.change_root(str(new))


def _overlay(lower: Path, target: Path, changes: Path) -> None:
    upper, work = changes / "upper", changes / "work"
    for at in (upper, work):
        at.mkdir(parents=True)
    os.chmod(upper, lower.stat().st_mode & 0o7777)
    target.mkdir(parents=True, exist_ok=True)
    linux.mount("overlay", str(target), "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}")


def _places(folder: Path) -> Iterator[Path]:
    """Where file systems of the host are mounted, the root first; without what the node has of its own."""
    yield Path("/")
    left_out = [Path(one) for one in (*KERNEL, *OTHERS)] + [folder]
    seen = {Path("/")}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = Path(line.split()[4].encode().decode("unicode_escape"))
        if place not in seen and not any(place.is_relative_to(one) for one in left_out):
            seen.add(place)
            yield place
