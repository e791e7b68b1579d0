"""Temporary folders of a process that do not outlive it for long, however it ends.

A process that is killed clears nothing away, so whoever makes the next folder does it. Each folder holds a file that
its owner has locked; the kernel opens that lock when the owner is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

OWNER = ".owner"
"""The locked file in a folder."""
UNOWNED_SECONDS = 86400.0
"""Age from which a folder without that file counts as left behind, not as just being made."""

_held: dict[Path, int] = {}


@contextlib.contextmanager
def scratch(purpose: str) -> Generator[Path]:
    """A folder that only we may read, for the length of a `with` block.

    Raises:
        OSError: the system's folder for temporary files takes none.
    """
    folder = take(purpose)
    try:
        yield folder
    finally:
        drop(folder)


def take(purpose: str) -> Path:
    """A folder that only we may read, for the length of this process.

    Raises:
        OSError: the system's folder for temporary files takes none.
    """
    clear(purpose)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(purpose)))
    owner = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not _held:
        atexit.register(_drop_all)
    _held[folder] = owner
    return folder


def drop(folder: Path) -> None:
    """Remove a folder that `take` has made, before the process ends."""
    owner = _held.pop(folder, None)
    shutil.rmtree(folder, ignore_errors=True)
    if owner is not None:
        os.close(owner)


def clear(purpose: str) -> None:
    """Remove folders of this user whose owners are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix(purpose)}*"):
        with contextlib.suppress(OSError):  # it goes meanwhile, or is not ours
            about = folder.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and _left(folder, about.st_mtime):
                shutil.rmtree(folder, ignore_errors=True)


def _left(folder: Path, changed: float) -> bool:
    try:
        owner = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - changed > UNOWNED_SECONDS
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True


def _drop_all() -> None:
    for folder in list(_held):
        drop(folder)


def _prefix(purpose: str) -> str:
    return f"gpuassay-{purpose}-"
