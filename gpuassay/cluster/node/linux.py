"""The few system calls that Python lacks (before 3.12): namespaces, mounts, and death with the parent."""

from __future__ import annotations

import ctypes
import os
import platform

NEW_MOUNTS, NEW_HOSTNAME, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_PIDS, NEW_NETWORK = 0x20000000, 0x40000000
"""Flags of unshare(2) and setns(2)."""

NOSUID, NODEV, NOEXEC, REMOUNT, BIND, RECURSIVE = 2, 4, 8, 32, 4096, 16384
PRIVATE, SHARED = 1 << 18, 1 << 20
"""Flags of mount(2)."""

_PR_SET_PDEATHSIG = 1
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
"""Numbers of a system call that the C library has no function for."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process into new namespaces (NEW_PIDS: its next children).

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace that an open file of /proc/<pid>/ns stands for.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system, or a folder, at `target` (see its manual page).

    Raises:
        OSError: the kernel refuses; the message names the target.
    """
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mounting {source} on {target}")


def change_root(folder: str) -> None:
    """Make the mount at `folder` the root of this mount namespace, and let go of the former one (pivot_root(2)).

    Raises:
        OSError: the kernel refuses.
    """
    os.chdir(folder)
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"changing the root is not known for {platform.machine()}")
    _check(_libc.syscall(number, b".", b"."), f"making {folder} the root")
    _check(_libc.umount2(b".", _MNT_DETACH), "letting go of the former root")
    os.chdir("/")


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` when the thread that started this process ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def sethostname(name: str) -> None:
    """Name this process's hostname namespace.

    Raises:
        OSError: the kernel refuses.
    """
    raw = name.encode()[:64]
    _check(_libc.sethostname(raw, len(raw)), "sethostname")
