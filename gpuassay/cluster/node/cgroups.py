"""One cgroup per node, of the same name in every hierarchy of version 1 or in the one of version 2.

All pods of the node are below it, so that two nodes do not share a cgroup, and removing it removes everything.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

WANTED = ("cpu", "cpuset", "memory", "pids")
"""Controllers that kubelet and runc insist on."""

HANDED_DOWN = (*WANTED, "hugetlb", "io")
"""Controllers of version 2 that pods get where there are any: the kubelet asks for every one that the root has."""

REMOVAL_SECONDS = 5.0
"""The kernel empties the cgroup of a killed process a moment after its death."""


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy: its mount point, its version, and its controllers."""

    at: Path
    version: int
    controllers: frozenset[str]


def hierarchies(mounts: str | None = None) -> list[Hierarchy]:
    """The mounted hierarchies (proc_pid_mountinfo(5)); `mounts` is given by tests."""
    text = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    found: dict[Path, Hierarchy] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        at = Path(left.split()[4])
        if kind == "cgroup":
            found[at] = Hierarchy(at, 1, frozenset(options.split(",")))
        elif kind == "cgroup2":
            listed = at / "cgroup.controllers"
            found[at] = Hierarchy(at, 2, frozenset(listed.read_text().split() if listed.exists() else ()))
    return list(found.values())


def lacking(found: list[Hierarchy]) -> str | None:
    """Why no node can run with these hierarchies, or None."""
    offered = frozenset[str]().union(*(one.controllers for one in found))
    missing = [name for name in WANTED if name not in offered]
    if not found:
        return "no cgroup hierarchy is mounted at /sys/fs/cgroup"
    if missing:
        return f"the cgroup hierarchies lack the controllers {', '.join(missing)}"
    if unwritable := [str(one.at) for one in found if one.controllers & set(WANTED) and not os.access(one.at, os.W_OK)]:
        return f"cgroups may not be made in {unwritable[0]}: it is mounted read-only"
    return None


def make(name: str, found: list[Hierarchy]) -> None:
    """Make the cgroup `name` everywhere.

    Raises:
        OSError: the kernel refuses.
    """
    for one in found:
        if one.version == 2:
            _hand_down(one)
        folder = one.at / name
        folder.mkdir(exist_ok=True)
        if "cpuset" in one.controllers and one.version == 1:
            for file in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup, and then no process may enter
                (folder / file).write_text((one.at / file).read_text())


def _hand_down(one: Hierarchy) -> None:
    control = one.at / "cgroup.subtree_control"
    missing = (one.controllers & set(HANDED_DOWN)) - set(control.read_text().split())
    if not missing:
        return
    try:
        control.write_text(" ".join(f"+{name}" for name in sorted(missing)))
    except OSError as error:  # such as in a container, whose processes sit in the root that it sees
        raise OSError(
            error.errno,
            f"controllers {', '.join(sorted(missing))} cannot be handed down in {one.at} ({error.strerror}): "
            "move the processes in it to a cgroup below, or share the host's cgroup namespace",
        ) from None


def remove(name: str, found: list[Hierarchy]) -> list[str]:
    """Remove the cgroup `name` with all below it, whose processes are dead; what could not be removed."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    left = _sweep(name, found)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)  # there is no event for "empty" in version 1
        left = _sweep(name, found)
    return left


def _sweep(name: str, found: list[Hierarchy]) -> list[str]:
    left: list[str] = []
    for one in found:
        for folder, _, _ in os.walk(one.at / name, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.rmdir(folder)
                except OSError:
                    left.append(folder)
    return left
