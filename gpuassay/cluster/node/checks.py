"""What a machine must offer for a real node; each thing that is missing is one line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from gpuassay import toolchain
from gpuassay.cluster.node import cgroups
from gpuassay.toolchain import Assets
from gpuassay.toolchain.catalogue import NODE

CAPABILITIES = {21: "CAP_SYS_ADMIN", 12: "CAP_NET_ADMIN", 27: "CAP_MKNOD", 18: "CAP_SYS_CHROOT"}
"""Bits of capabilities(7)."""
SYS_RESOURCE = 24

EVERY_USER = ["0", "0", "4294967295"]
"""user_namespaces(7): how a process of the first user namespace sees users."""

TOOLS = ("ip", "mount", "umount")
"""Programs of iproute2 and util-linux: ours and the kubelet's."""

HIDDEN = ("/var/lib", "/var/log", "/run", "/var/run", "/proc")
"""Folders that are others inside a node."""


def reason(assets: Assets | None = None) -> str | None:
    """Why no real node can be had here without building anything, in one line, or None."""
    return machine() or programs(assets)


def machine() -> str | None:
    """What the machine, or our rights on it, lack; None where nothing."""
    if sys.platform != "linux":
        return "a real node needs Linux"
    if os.geteuid() != 0:
        return "a real node needs root (namespaces, mounts, cgroups): run as root, in a container with --privileged"
    held = _effective()
    if missing := [name for bit, name in CAPABILITIES.items() if not held >> bit & 1]:
        return f"a real node needs {', '.join(missing)}, which this root lacks: run the container with --privileged"
    for kind in ("mnt", "pid", "net", "uts", "ipc"):
        limit = Path(f"/proc/sys/user/max_{kind}_namespaces")
        if limit.exists() and limit.read_text().strip() == "0":
            return f"a real node needs {kind} namespaces, and {limit} is 0"
    if Path("/proc/self/uid_map").read_text().split() != EVERY_USER:
        return "a real node needs the machine's own root, and this one is of a user namespace: no rootless container"
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        return f"a real node needs the program {missing[0]}: install iproute2 and util-linux"
    return cgroups.lacking(cgroups.hierarchies())


def used_up(lines: Iterable[str]) -> str | None:
    """What a kubelet that died lacked, by its last lines, and what to do; None where they say no such thing."""
    if not any("inotify" in line and "too many open files" in line for line in lines):
        return None
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    return (
        f"all {limit.read_text().strip()} inotify instances of this user are in use, of which a real node takes some "
        "ten: run fewer nodes at once, end other programs that watch files, or raise fs.inotify.max_user_instances"
    )


def programs(assets: Assets | None = None) -> str | None:
    """Which programs would have to be built first, and by which command; None where all are there.

    Raises:
        ToolchainError: a folder that the user named lacks a program.
    """
    missing = [name for name in NODE if toolchain.available(name, assets) is not None]
    return f"programs of a node are not built yet: python -m gpuassay build {' '.join(missing)}" if missing else None


def may_raise_oom_score() -> bool:
    """Whether processes may be protected from the OOM killer (negative scores)."""
    return bool(_effective() >> SYS_RESOURCE & 1)


def _effective() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def hidden(places: Iterable[Path]) -> str | None:
    """Why a node cannot see one of `places`, or None."""
    for place in places:
        for folder in HIDDEN:
            if place.resolve().is_relative_to(folder):
                return f"{place} lies beneath {folder}, which is another one inside a node: use another folder"
    return None


def on_overlay(folder: Path) -> bool:
    """Whether a folder's file system is an overlay, on which overlays cannot be stacked."""
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        at = Path(left.split()[4])
        if folder.resolve().is_relative_to(at) and len(at.parts) >= len(best.parts):
            best, kind = at, right.split()[0]
    return kind == "overlay"
